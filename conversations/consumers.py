"""The WebSocket door: send, follow and stop in one conversation; every tab of it sees its replies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import orjson
from channels.consumer import get_handler_name
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest
from django.utils import timezone
from django.utils.module_loading import import_string

from accounts.authentication import bearer_secret, user_of_token
from accounts.errors import BodyTooLarge, InvalidRequest, NotAuthenticated, Refusal, envelope, translate
from accounts.models import User
from accounts.requests import begin_request
from conversations import events, hints, limits, metrics, replies
from conversations.api.serializers import SendSerializer
from conversations.events import Event
from conversations.following import SILENCE_SECONDS, Follower
from conversations.pool import AWAY, AWAY_SECONDS, in_database
from conversations.replies import Parent, Send

logger = logging.getLogger(__name__)

COMMANDS_AT_ONCE = 8  # of one socket; more wait to be read
NOT_AUTHENTICATED, NOT_FOUND = 4401, 4404  # close codes, after an error event that says it in words


class ConversationConsumer(AsyncWebsocketConsumer):
    """One socket: a tab, or a program.

    Its handlers only start tasks: Channels awaits them in turn, and a long one would keep Stop waiting.
    """

    user: User
    conversation_id: UUID

    async def dispatch(self, message: dict[str, Any]) -> None:
        """As Channels', without its visit to the one thread that all sockets share: no handler uses the database."""
        await getattr(self, get_handler_name(message))(message)

    async def connect(self) -> None:
        """Accept whoever the conversation belongs to; say in words why not."""
        self._followers: dict[str, Follower] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(COMMANDS_AT_ONCE)
        self._order = asyncio.Lock()  # of what is sent: a follower's events must not overtake each other
        self.conversation_id = self.scope["url_route"]["kwargs"]["conversation_id"]
        self._headers = {name.decode("latin-1").lower(): value for name, value in self.scope["headers"]}
        begin_request()
        secret = bearer_secret(self._headers.get("authorization", b""))
        if not origin_fits(self._headers, token_sent=secret is not None):
            await self.close()
            return
        await self.accept()
        try:
            user = await in_database(_user_of, secret, self.scope.get("cookies", {}))
            if user is None:
                raise NotAuthenticated("Sign in, or send a valid personal token.")
            await in_database(replies.own_conversation, user, self.conversation_id)
        except Refusal as refusal:
            await self._refuse(refusal)
            await self.close(NOT_AUTHENTICATED if isinstance(refusal, NotAuthenticated) else NOT_FOUND)
            return
        self.user = user
        metrics.SOCKETS.inc()
        self._start(self._relay())

    async def disconnect(self, code: int) -> None:
        """The tab is gone; its replies go on."""
        for task in self._tasks:
            task.cancel()
        if hasattr(self, "user"):
            metrics.SOCKETS.dec()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Start the command that a frame holds."""
        await self._room.acquire()
        task = self._start(self._obey(text_data or ""))
        task.add_done_callback(lambda _: self._room.release())

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _obey(self, text: str) -> None:
        begin_request()
        try:
            frame = _frame(text)
            match frame.get("type"):
                case "send":
                    await self._send(frame)
                case "follow":
                    await self._follow(frame)
                case "stop":
                    await replies.stop(user=self.user, message_id=_message_id(frame), now=timezone.now())
                case _:
                    raise InvalidRequest("A frame's type is send, follow or stop.", fields={"type": ["Unknown."]})
        except Exception as error:
            refusal = translate(error)
            if refusal is None:
                logger.exception("a command failed")
                refusal = Refusal("Something went wrong here. Try again.")
            await self._refuse(refusal)

    async def _send(self, frame: dict[str, Any]) -> None:
        form = SendSerializer(data=frame)
        form.is_valid(raise_exception=True)
        wanted = Send(
            user=self.user,
            address=self._address(),
            conversation_id=self.conversation_id,
            content=form.validated_data["content"],
            tier=form.validated_data.get("tier"),
            parent=form.validated_data.get("parent", Parent.TIP),
            key=_key(frame),
        )
        begun = await replies.send(wanted, clock=timezone.now)
        async with self._order:
            if not begun.created:
                self._followers.pop(begun.started.message_id, None)
            await self._begin(begun.started)
            if not begun.created:
                await self._pass(await self._followers[begun.started.message_id].catch_up())

    async def _follow(self, frame: dict[str, Any]) -> None:
        message_id, start = _message_id(frame), frame.get("from", 0)
        if type(start) is not int or not 0 <= start < 2**31:
            raise InvalidRequest("That is no place in an answer.", fields={"from": ["The `end` of an event."]})
        message = await in_database(replies.own_message, self.user, message_id)
        async with self._order:
            follower = self._followers[str(message.pk)] = Follower(message.pk, start)
            await self._pass(await follower.catch_up())

    async def _relay(self) -> None:
        """Pass on what the conversation's replies do, for as long as the socket is open."""
        while True:
            try:
                async with hints.Feed(hints.group_of(self.conversation_id)) as feed:
                    while True:
                        event = await feed.event(timeout=SILENCE_SECONDS)
                        async with self._order:
                            await self._on(event)
            except AWAY as error:
                logger.warning("a socket hears nothing for a moment: %s", type(error).__name__)
                await asyncio.sleep(AWAY_SECONDS)

    async def _on(self, event: Event | None) -> None:
        if event is None:
            for follower in list(self._followers.values()):
                await self._pass(await follower.catch_up())
        elif event.kind == "started":
            await self._begin(event)
        else:
            await self._pass(await self._follower_of(event).on(event))

    async def _begin(self, started: Event) -> None:
        """Show a reply's beginning, once, however often it is heard of."""
        if started.message_id not in self._followers:
            self._followers[started.message_id] = Follower(UUID(started.message_id), 0)
            await self.send(text_data=started.data)

    def _follower_of(self, event: Event) -> Follower:
        """The follower of an event's reply; of one that ran before this socket, from where it is now."""
        new = Follower(UUID(event.message_id), event.start if event.kind == "delta" else event.end)
        return self._followers.setdefault(event.message_id, new)

    async def _pass(self, found: list[Event]) -> None:
        for event in found:
            await self.send(text_data=event.data)

    async def _refuse(self, refusal: Refusal) -> None:
        await self.send(text_data=events.refusal(envelope(refusal)["error"]).data)

    def _address(self) -> str:
        forwarded = self._headers.get("x-forwarded-for", b"").decode("latin-1")
        return limits.address_of(forwarded=forwarded, peer=str((self.scope.get("client") or [""])[0]))


def origin_fits(headers: dict[str, bytes], *, token_sent: bool) -> bool:
    """Whether a socket may be opened from where the browser says it is: from this site, or a trusted one.

    A program that sends a token needs no Origin: a token, unlike a cookie, is not sent by itself.
    """
    origin = headers.get("origin", b"").decode("latin-1")
    if not origin:
        return token_sent
    same = urlsplit(origin).netloc == headers.get("host", b"").decode("latin-1")
    return (same and urlsplit(origin).scheme in ("http", "https")) or origin in settings.CSRF_TRUSTED_ORIGINS


def _user_of(secret: str | None, cookies: dict[str, str]) -> User | None:
    """Who opens the socket, by token or by session."""
    if secret is not None:
        return user_of_token(secret=secret, now=timezone.now())
    request = HttpRequest()
    store = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
    request.session = store(cookies.get(settings.SESSION_COOKIE_NAME))
    user = get_user(request)
    return user if isinstance(user, User) and user.is_active else None


def _frame(text: str) -> dict[str, Any]:
    limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if len(text) > limit:
        raise BodyTooLarge(f"At most {limit:,} bytes can be sent at once.", limit=limit)
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError:
        frame = None
    if not isinstance(frame, dict):
        raise InvalidRequest("A frame is one JSON object.", fields={"frame": ["Not a JSON object."]})
    return frame


def _message_id(frame: dict[str, Any]) -> UUID:
    try:
        return UUID(str(frame.get("message_id")))
    except ValueError:
        raise InvalidRequest("Which message?", fields={"message_id": ["Not an id."]}) from None


def _key(frame: dict[str, Any]) -> str | None:
    key = frame.get("key")
    if key is not None and not isinstance(key, str):
        raise InvalidRequest("The key is a string.", fields={"key": ["Not a string."]})
    return key
