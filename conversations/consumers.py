"""The WebSocket door: send, follow and stop in one conversation; every tab of it sees its replies."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import orjson
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.errors import AWAY, BodyTooLarge, InvalidRequest, NotAuthenticated
from accounts.models import User
from accounts.requests import address_of, begin_request
from conversations import hints, replies, stopping
from conversations.api.serializers import SendSerializer
from conversations.events import Event
from conversations.following import SILENCE_SECONDS, Follower
from conversations.limits import RateLimited
from conversations.pool import AWAY_SECONDS, in_database, insist
from conversations.replies import Parent, Send
from conversations.sockets import SocketConsumer, refusal_of

logger = logging.getLogger(__name__)

SEND = SendSerializer()  # one for all: a serializer copies all its fields when it is made
INTRODUCE_SECONDS = 1.0
COMMANDS_AT_ONCE = 8  # of one socket, beside a send or follow; more wait
MOST_WAITING = 4 * 1024 * 1024  # characters of the frames that are not obeyed yet
LEAST_FRAME = MOST_WAITING // 100  # what one counts for at least, so that at most a hundred wait


class ConversationConsumer(SocketConsumer):
    """A tab with a conversation, or a program."""

    conversation_id: UUID

    async def connect(self) -> None:
        """Accept whoever the conversation belongs to."""
        self._followers: dict[str, Follower] = {}
        self._room = asyncio.Semaphore(COMMANDS_AT_ONCE)
        self._waiting = 0  # characters
        self._strangers: set[str] = set()  # replies heard of that this tab has not asked for yet
        self._order = asyncio.Lock()  # of what is sent: a follower's events must not overtake each other
        self._asked = asyncio.Lock()  # a send or follow must not overtake another; a stop waits for neither
        # Its `blocks`: a program that does not ask for them is sent none.
        self._blocks = 0 if "blocks" in parse_qs(self.scope["query_string"].decode("latin-1")) else None
        self.conversation_id = self.scope["url_route"]["kwargs"]["conversation_id"]
        await super().connect()

    async def admit(self, user: User) -> None:
        """Only its owner. Raises NotFound."""
        await in_database(replies.own_conversation, user, self.conversation_id)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Start the command that a frame holds. Whoever sends more than can be obeyed is cut off.

        The server reads whatever comes and never asks a sender to wait. Nor may this: until the frames before it were
        read, nobody would hear that the tab has gone.
        """
        text = text_data or ""
        size = max(len(text), LEAST_FRAME)
        if self._waiting + size > MOST_WAITING:
            await self.end(RateLimited(_("Too much waits to be done here. Send less at once."), retry_after=1))
        if not self._gone:
            self._waiting += size
            self.start(self._in_turn(text, size))

    async def _in_turn(self, text: str, size: int) -> None:
        try:
            await self.entered()
            await self._obey(text)
        finally:
            self._waiting -= size

    async def _obey(self, text: str) -> None:
        begin_request()
        frame: dict[str, Any] = {}
        try:
            frame = _frame(text)
            async with self._asked if frame.get("type") in ("send", "follow") else self._room:
                await self._do(frame)
        except NotAuthenticated:
            await self.part()
        except Exception as error:
            key = frame.get("key")
            await self.refuse(refusal_of(error), key=key if isinstance(key, str) else None)

    async def _do(self, frame: dict[str, Any]) -> None:
        kind = frame.get("type")
        if self._gone or (kind != "send" and not await self.may_stay()):
            return
        match kind:
            case "send":
                await self._send(frame)
            case "follow":
                await self._follow(frame)
            case "stop":
                await stopping.stop(user=self.user, message_id=_message_id(frame), now=timezone.now())
            case _:
                raise InvalidRequest(_("A frame's type is send, follow or stop."), fields={"type": [_("Unknown.")]})

    async def _send(self, frame: dict[str, Any]) -> None:
        form = SEND.run_validation(frame)
        wanted = Send(
            user=self.user,
            token_id=self.token_id,
            address=self._address(),
            conversation_id=self.conversation_id,
            content=form["content"],
            tier=form.get("tier"),
            parent=form.get("parent", Parent.TIP),
            key=_key(frame),
            # A token is looked at by its id.
            still=partial(self._visitor.holding, self.user) if self.token_id is None else None,
        )
        begun = await replies.send(wanted, clock=timezone.now)
        async with self._order:
            if not begun.created:
                self._followers.pop(begun.started.message_id, None)
            await self._begin(begun.started)
            if not begun.created:
                await self._pass(await self._followers[begun.started.message_id].catch_up())

    async def _follow(self, frame: dict[str, Any]) -> None:
        message_id, start, blocks = _message_id(frame), _place(frame, "from", 0), _place(frame, "blocks", self._blocks)
        message = await in_database(replies.own_message, self.user, message_id)
        if message.role != message.Role.ASSISTANT:
            raise InvalidRequest(
                _("Only an answer can be followed."), fields={"message_id": [_("This is a question.")]}
            )
        async with self._order:
            follower = self._followers[str(message.pk)] = Follower(message.pk, start or 0, blocks=blocks)
            await self._pass(await follower.catch_up())

    async def relay(self) -> None:
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
        elif event.message_id in self._followers:
            await self._pass(await self._followers[event.message_id].on(event))
        elif event.message_id not in self._strangers:
            self._strangers.add(event.message_id)
            self.start(self._introduce(UUID(event.message_id)))

    async def _begin(self, started: Event) -> None:
        """Show a reply's beginning, once, however often it is heard of."""
        if started.message_id not in self._followers:
            self._followers[started.message_id] = Follower(UUID(started.message_id), 0, blocks=self._blocks)
            await self.send(text_data=started.data)

    async def _introduce(self, message_id: UUID) -> None:
        """Show a reply that began before this socket, from its beginning.

        A tab that knows the reply asks to follow it from where it is, as soon as it has connected;
        only one that does not is shown it like this.
        """
        await asyncio.sleep(INTRODUCE_SECONDS)
        try:
            if str(message_id) in self._followers:
                return  # it has been heard of meanwhile
            # Until the database answers: perhaps what made it known was the last that is heard of this reply.
            started = await insist(in_database, replies.started_of, self.user, message_id)
        finally:
            self._strangers.discard(str(message_id))  # with whatever else goes wrong, the next word of it starts anew
        async with self._order:
            if str(message_id) not in self._followers:
                await self._begin(started)
                await self._pass(await self._followers[str(message_id)].catch_up())

    async def _pass(self, found: list[Event]) -> None:
        for event in found:
            await self.send(text_data=event.spoken)

    def _address(self) -> str:
        forwarded = self.headers().get("x-forwarded-for", b"").decode("latin-1")
        return address_of(forwarded=forwarded, peer=str((self.scope.get("client") or [""])[0]))


def _frame(text: str) -> dict[str, Any]:
    limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if len(text) > limit or (not text.isascii() and len(text.encode()) > limit):
        raise BodyTooLarge(_("At most %(limit)s bytes can be sent at once.") % {"limit": f"{limit:,}"}, limit=limit)
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError:
        frame = None
    if not isinstance(frame, dict):
        raise InvalidRequest(_("A frame is one JSON object."), fields={"frame": [_("Not a JSON object.")]})
    return frame


def _message_id(frame: dict[str, Any]) -> UUID:
    try:
        return UUID(str(frame.get("message_id")))
    except ValueError:
        raise InvalidRequest(_("Which message?"), fields={"message_id": [_("Not an id.")]}) from None


def _place(frame: dict[str, Any], name: str, default: int | None) -> int | None:
    if name not in frame:
        return default
    place = frame[name]
    if type(place) is not int or not 0 <= place < 2**31:
        raise InvalidRequest(_("That is no place in an answer."), fields={name: [_("The `end` of an event.")]})
    return place


def _key(frame: dict[str, Any]) -> str | None:
    key = frame.get("key")
    if key is not None and not isinstance(key, str):
        raise InvalidRequest(_("The key is a string."), fields={"key": [_("Not a string.")]})
    return key
