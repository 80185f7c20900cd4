"""The real processes that tests talk to: those of the deployment."""

from deploy.cluster.product import Beat, LocalModel, Web, Worker
from deploy.cluster.stores import PostgreSQL, Redis

__all__ = ["Beat", "LocalModel", "PostgreSQL", "Redis", "Web", "Worker"]
