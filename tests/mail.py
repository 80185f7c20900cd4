"""A mail server on a real port, for one test: it keeps what it is given; it refuses, is silent or hangs up as told."""

from __future__ import annotations

import email
import email.policy
import socketserver
import threading
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any, cast


@dataclass
class Mail:
    """A mail as it came over SMTP."""

    to: list[str]
    message: EmailMessage

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    @property
    def text(self) -> str:
        body = self.message.get_body()
        assert body is not None
        return str(cast(EmailMessage, body).get_content()).replace("\r\n", "\n").strip()


@dataclass
class MailServer:
    """Speaks as much SMTP as Django's backend needs."""

    mails: list[Mail] = field(default_factory=list)
    refusing: bool = False  # answers 451 to every mail
    mute: int = 0  # takes so many mails and hangs up before it says so
    silent: bool = False  # takes connections and says nothing
    curt: bool = False  # hangs up when it hears whom a mail is from
    unknown: set[str] = field(default_factory=set)  # addresses that it refuses with 550
    connections: int = 0
    port: int = 0

    def __enter__(self) -> MailServer:
        server = self

        class Session(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                server._serve(self)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, session: socketserver.StreamRequestHandler) -> None:
        def say(text: str) -> None:
            session.wfile.write(f"{text}\r\n".encode())

        self.connections += 1
        if self.silent:
            session.rfile.readline()  # until the other side has enough
            return
        say("220 test mail server")
        to: list[str] = []
        while line := session.rfile.readline():
            word = line.decode().strip().upper()
            if word.startswith("RCPT TO:"):
                address = line.decode().split("<")[1].split(">")[0]
                if address in self.unknown:
                    say("550 nobody of that name")
                    continue
                to.append(address)
            if self.curt and word.startswith("MAIL FROM:"):
                return
            if word == "DATA":
                say("354 go on")
                if not self._take(session, to, say):
                    return
                to = []
            elif word == "QUIT":
                say("221 bye")
                return
            else:
                say("250 fine")

    def _take(self, session: socketserver.StreamRequestHandler, to: list[str], say: Any) -> bool:
        data = b""
        while (line := session.rfile.readline()) and line != b".\r\n":
            data += line.removeprefix(b".") if line.startswith(b"..") else line
        if self.refusing:
            say("451 not now")
            return True
        self.mails.append(Mail(to, email.message_from_bytes(data, policy=email.policy.default)))
        if self.mute:
            self.mute -= 1
            return False
        say("250 taken")
        return True
