"""How tests start processes: as the deployment does."""

from deploy.processes import PATIENCE, ROOT, Service, dying_with_parent

__all__ = ["PATIENCE", "ROOT", "Service", "dying_with_parent"]
