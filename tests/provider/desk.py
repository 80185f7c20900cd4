"""The provider's front desk: takes each HTTP request, keeps the bill, hands it to who answers it."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable
from typing import Any

import h11

from tests.provider import request as chat_request
from tests.provider.bill import PRICES, Bill, Call
from tests.provider.chat import Answer
from tests.provider.choice import Scripts
from tests.provider.connection import Connection, Request
from tests.provider.errors import Refusal
from tests.provider.gate import Gate
from tests.provider.script import Script

JSON = {"content-type": "application/json"}


class Desk:
    """Everything that outlives one request. `keys`: the API keys that are taken; None takes any."""

    def __init__(self, keys: Iterable[str] | None = None) -> None:
        self.keys = None if keys is None else frozenset(keys)
        self.scripts = Scripts()
        self.requests: list[Request] = []
        self.gate = Gate()
        self._calls: list[Call] = []

    def bill(self) -> Bill:
        """The bill as it stands."""
        return Bill([call.row() for call in list(self._calls)])

    def reset(self) -> None:
        """Forget scripts, requests and bill, and let through what is held."""
        self.scripts.clear()
        self.requests.clear()
        self._calls.clear()
        self.gate.open()

    async def handle(self, connection: Connection, http: h11.Request, body: bytes) -> None:
        """Answer one HTTP request."""
        request = Request(
            request_id=f"req_{secrets.token_hex(16)}",
            method=http.method.decode(),
            path=http.target.decode().partition("?")[0],
            headers={name.decode(): value.decode("latin-1") for name, value in http.headers},
            content=body,
            received_at=time.monotonic(),
        )
        try:
            if request.path.startswith("/_control/"):
                self._control(connection, request)
                return
            self.requests.append(request)
            self._check_key(request)
            if request.path == "/v1/chat/completions" and request.method == "POST":
                await self._chat(connection, request)
            elif request.path.startswith("/v1/models") and request.method == "GET":
                self._models(connection, request)
            else:
                raise Refusal(404, f"Invalid URL ({request.method} {request.path})", code="unknown_url")
        except Refusal as refusal:
            headers = {**JSON, "x-request-id": request.request_id}
            connection.answer(refusal.status, headers, json.dumps({"error": refusal.error}).encode())

    def _check_key(self, request: Request) -> None:
        key = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if not key or (self.keys is not None and key not in self.keys):
            raise Refusal(401)

    async def _chat(self, connection: Connection, request: Request) -> None:
        call = Call(request_id=request.request_id, received_at=request.received_at)
        self._calls.append(call)
        script = Script()
        try:
            wanted = chat_request.read(request.body)
            call.model, call.stream = wanted.model, wanted.stream
            script, call.attempt = self.scripts.choose(wanted, request.headers)
            for name in script.refuse_parameters:
                if name in wanted.parameters:
                    self.scripts.parameter_refused(wanted)
                    raise Refusal.unsupported(name)
            answer = Answer(connection=connection, call=call, request=wanted, script=script, gate=self.gate)
            await answer.run()
            if call.outcome == "complete":
                self.scripts.answered(wanted)
        except Refusal as refusal:
            answer_refusal(connection, call, script, refusal)
        finally:
            if call.ended_at is None:
                call.client_closed_at = connection.client_closed_at
                call.end("client_closed")

    def _models(self, connection: Connection, request: Request) -> None:
        models = [{"id": name, "object": "model", "created": 1715367049, "owned_by": "system"} for name in PRICES]
        name = request.path.removeprefix("/v1/models").strip("/")
        found = [model for model in models if model["id"] == name]
        if name and not found:
            raise Refusal(404, f"The model '{name}' does not exist", param="model")
        body: dict[str, Any] = found[0] if found else {"object": "list", "data": models}
        connection.answer(200, {**JSON, "x-request-id": request.request_id}, json.dumps(body).encode())

    def _control(self, connection: Connection, request: Request) -> None:
        """What `remote.RemoteProvider` asks for."""
        command = f"{request.method} {request.path.removeprefix('/_control/')}"
        answer: Any = {}
        try:
            if command == "POST reset":
                self.reset()
            elif command == "POST release":
                self.gate.open()
            elif command == "POST enqueue":
                self.scripts.queue.extend([Script.from_json(item) for item in request.body])
            elif command == "POST default":
                self.scripts.default = Script.from_json(request.body)
            elif command == "GET bill":
                bill = self.bill()
                answer = {"total": str(bill.total), "rows": [row.to_json() for row in bill.rows]}
            elif command == "GET requests":
                answer = [written(item) for item in self.requests]
            else:
                raise Refusal(404, f"There is no {command} here.", code="unknown_url")
        except (ValueError, TypeError) as error:
            raise Refusal(400, f"The script cannot be read: {error}.") from error
        connection.answer(200, JSON, json.dumps(answer).encode())


def answer_refusal(connection: Connection, call: Call, script: Script, refusal: Refusal) -> None:
    """Answer with an error object and close the row at no cost."""
    headers = {**JSON, "x-request-id": call.request_id, **script.headers}
    if script.retry_after is not None:
        headers["retry-after"] = script.retry_after
    connection.answer(refusal.status, headers, json.dumps({"error": refusal.error}).encode())
    call.status = refusal.status
    call.headers_sent_at = time.monotonic()
    call.end("refused")


def written(request: Request) -> dict[str, Any]:
    """A request as the control endpoint writes it; its content must be UTF-8 to come through whole."""
    return {
        "request_id": request.request_id,
        "method": request.method,
        "path": request.path,
        "headers": request.headers,
        "content": request.content.decode("utf-8", "replace"),
        "received_at": request.received_at,
    }
