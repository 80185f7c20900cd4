"""A tab: shows a conversation's replies as the page does, connects again by itself, never forgets what it showed."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException


@dataclass(slots=True)
class Shown:
    """One reply in one tab. `text` and the `html` of its finished blocks only ever grow; `status` ends them.

    `rendered`: where in the text the last block ended.
    """

    text: str = ""
    html: str = ""
    rendered: int = 0
    status: str = ""


@dataclass(slots=True)
class Command:
    """A frame that is sent again, with the same key, until the reply that it asks for is heard of."""

    frame: dict[str, Any]
    done: bool = False


class Tab:
    """One open page. `addresses` are the web processes; each connection takes one of them by chance.

    By chance it also asks for blocks, as the page does, or does not, as programs may.
    """

    def __init__(self, conversation: str, token: str, addresses: list[str], chance: random.Random) -> None:
        self.signed_out = False
        self.conversation = conversation
        self.shown: dict[str, Shown] = {}
        self.refusals: list[dict[str, Any]] = []
        self.commands: list[Command] = []
        self.problems: list[str] = []
        self._token = token
        self._addresses = addresses
        self._chance = chance
        self._blocks = chance.random() < 0.7
        self._socket: ClientConnection | None = None
        self._task = asyncio.create_task(self._live())

    async def close(self) -> None:
        """The person closes it."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def reload(self) -> None:
        """The connection goes; what the page showed is fetched from where it was, as `?from=` does."""
        if self._socket is not None:
            await self._socket.close()

    async def send(self, key: str, content: str) -> None:
        """Press Send; the page repeats it until it is answered."""
        command = Command({"type": "send", "key": key, "content": content})
        self.commands.append(command)
        await self._put(command.frame)

    async def take_over(self, other: Tab) -> None:
        """Show what runs, and send what is unsent, in the place of a tab that can no longer."""
        for message_id, shown in other.shown.items():
            if not shown.status:
                self.shown.setdefault(message_id, Shown())
        known = {command.frame["key"] for command in self.commands}
        for command in other.commands:
            if not command.done and command.frame["key"] not in known:
                await self.send(command.frame["key"], command.frame["content"])
        await self.follow_all()

    async def stop(self) -> None:
        """Press Stop on what runs."""
        for message_id, shown in self.shown.items():
            if not shown.status:
                await self._put({"type": "stop", "message_id": message_id})

    async def follow_all(self) -> None:
        """Ask for what came after each place reached."""
        for message_id, shown in self.shown.items():
            if not shown.status:
                places = {"from": len(shown.text), **({"blocks": shown.rendered} if self._blocks else {})}
                await self._put({"type": "follow", "message_id": message_id, **places})

    @property
    def waiting(self) -> bool:
        """Whether something that it shows has not ended, or a send is unanswered."""
        return not self.signed_out and self._expects

    @property
    def _expects(self) -> bool:
        return any(not shown.status for shown in self.shown.values()) or any(not c.done for c in self.commands)

    async def _put(self, frame: dict[str, Any]) -> None:
        if self._socket is not None:
            with suppress(WebSocketException, OSError):
                await self._socket.send(json.dumps(frame))

    async def _live(self) -> None:
        headers = {"Authorization": f"Bearer {self._token}"}
        while not self.signed_out:
            address = self._chance.choice(self._addresses).replace("http", "ws", 1)
            url = f"{address}/ws/conversations/{self.conversation}/{'?blocks=0' if self._blocks else ''}"
            with suppress(WebSocketException, OSError, TimeoutError):
                async with connect(url, additional_headers=headers, open_timeout=4, ping_interval=None) as socket:
                    self._socket = socket
                    await self.follow_all()
                    for command in self.commands:
                        if not command.done:
                            await self._put(command.frame)
                    await self._listen(socket)
            self._socket = None
            await asyncio.sleep(self._chance.uniform(0.05, 0.4))

    async def _listen(self, socket: ClientConnection) -> None:
        """Take what comes; a socket that has been silent for long is asked, then given up, as the page does."""
        while True:
            try:
                async with asyncio.timeout(3.0):
                    frame = await socket.recv()
            except TimeoutError:
                if not self.waiting:
                    continue
                with suppress(TimeoutError):
                    async with asyncio.timeout(2.0):
                        await (await socket.ping())
                        await self.follow_all()
                        continue
                return
            await self._take(json.loads(frame))

    async def _take(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "started":
                self.shown.setdefault(event["message"]["id"], Shown())
                self._answered(event["user_message"]["content"])
            case "delta":
                await self._take_delta(event)
            case "block":
                self._take_block(event)
            case "done":
                shown = self.shown.setdefault(event["message"]["id"], Shown())
                if event["message"]["content"] != shown.text:
                    self.problems.append(f"done with {len(event['message']['content'])}, shown {len(shown.text)}")
                if not event["message"]["html"].startswith(shown.html):
                    self.problems.append(f"done with other HTML than that of the blocks to {shown.rendered}")
                shown.status = event["message"]["status"]
            case "error" if event["message_id"]:
                self.shown.setdefault(event["message_id"], Shown()).status = "failed"
            case "error":
                self._refused(event["error"], event["error"].get("key"))

    async def _take_delta(self, event: dict[str, Any]) -> None:
        shown = self.shown.get(event["message_id"])
        if shown is None or event["start"] > len(shown.text):  # it ran before this tab came, or a gap: ask
            self.shown.setdefault(event["message_id"], Shown())
            await self.follow_all()
            return
        known = len(shown.text) - event["start"]  # an answer to a send that was repeated begins at 0 again
        if event["end"] - event["start"] != len(event["content"]):
            self.problems.append(f"a delta that is not as long as it says: {event}")
        if not (shown.text + event["content"][known:]).startswith(event["content"], event["start"]):
            self.problems.append(f"a delta from {event['start']} that is not what was shown there")
        shown.text += event["content"][known:]

    def _take_block(self, event: dict[str, Any]) -> None:
        shown = self.shown.get(event["message_id"])
        if shown is None or event["end"] <= shown.rendered:
            return
        if not self._blocks or event["start"] != shown.rendered or event["end"] > len(shown.text):
            self.problems.append(f"a block to {event['end']}, after {shown.rendered} of {len(shown.text)} shown")
        shown.html += event["html"]
        shown.rendered = event["end"]

    def _answered(self, content: str) -> None:
        for command in self.commands:
            if command.frame["content"] == content:
                command.done = True

    def _refused(self, error: dict[str, Any], key: str | None) -> None:
        """A final refusal answers the send with that key; a passing one is tried again at the next connection."""
        self.refusals.append(error)
        if error["code"] == "not_authenticated":
            self.signed_out = True
        elif error["code"] not in ("unavailable", "server_error"):
            for command in self.commands:
                command.done = command.done or command.frame["key"] == key
        elif self._socket is not None:
            asyncio.get_running_loop().create_task(self._socket.close())
