"""HTTP and WebSocket: `daphne chatproject.asgi:application`."""

import gc
import os
import sys

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatproject.settings")
# Seconds that one thread may keep the interpreter while another waits for it. With Python's 0.005 the event loop
# waits ten times longer than a piece of database work takes.
sys.setswitchinterval(0.0005)
http = get_asgi_application()  # first: it loads the apps that the imports below need

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.sessions import CookieMiddleware  # noqa: E402

from conversations import replies, server  # noqa: E402
from conversations.draining import Drain  # noqa: E402
from conversations.routing import urlpatterns  # noqa: E402

server.install()
doors = ProtocolTypeRouter({"http": http, "websocket": CookieMiddleware(URLRouter(urlpatterns))})
application = Drain(doors, busy=replies.busy)

# What the program itself is made of stays to its end. Python would look through all of it every few seconds, for the
# fifth of a second, in which no delta moves.
gc.collect()
gc.freeze()
gc.set_threshold(10_000, 10, 10)  # and at the youngest more seldom: nearly all that a reply makes goes by itself
