"""Figures of this process for Prometheus. Labels never name a person, a text or a key."""

from prometheus_client import Counter, Gauge, Histogram

REPLIES = Counter("chat_replies", "Replies ended.", ["status"])
RUNNING = Gauge("chat_replies_running", "Replies that this process writes now.")
SOCKETS = Gauge("chat_sockets", "Open WebSockets.")
FIRST_DELTA = Histogram(
    "chat_first_delta_seconds",
    "From the call to its first text.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30),
)
