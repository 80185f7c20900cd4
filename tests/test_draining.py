"""SIGTERM to a web process in the middle of its work."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from io import StringIO

import httpx2
import pytest
from django.core.management import call_command
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.tcp import Server
from twisted.python.failure import Failure
from websockets.exceptions import ConnectionClosed

from accounts.models import User
from billing.models import BudgetPeriod, Price, UsageRecord
from conversations import draining
from conversations.models import Conversation, Message
from deploy.cluster.proxy import Nginx
from deploy.local.run import free_port
from tests.people import Person
from tests.provider import Script, ScriptedProvider
from tests.services import Web

pytestmark = pytest.mark.once("scaled")

LONG = "a reply of some length that the provider holds for a while in the middle"


def end(web: Web) -> float:
    """Send the signal, and wait until the process listens no more; when that was."""
    os.kill(web.pid, signal.SIGTERM)
    begun = time.monotonic()
    while time.monotonic() < begun + 10:
        try:
            httpx2.get(f"{web.url}/healthz", trust_env=False, timeout=2)
        except httpx2.ConnectError:
            return begun
        time.sleep(0.02)
    raise AssertionError("it still listens")


def ended(web: Web, seconds: float = 55) -> int:
    """How the process ended."""
    assert web.process is not None
    return web.process.wait(timeout=seconds)


def books_are_in_order() -> None:
    call_command("audit_ledger", stdout=StringIO())
    assert not UsageRecord.objects.filter(state="held").exists()
    assert not BudgetPeriod.objects.exclude(held=0).exists()


def test_a_reply_is_finished_and_its_reader_sees_the_end(
    start_web: Callable[..., Web], provider: ScriptedProvider, alice: User, prices: dict[str, Price]
) -> None:
    web = start_web(CHAT_TITLES="false")
    owner = Person(web, alice)
    provider.enqueue(Script(text=LONG, hold_after=4))
    conversation = owner.new_conversation()
    with owner.stream("POST", f"conversations/{conversation}/messages/", json={"content": "Go on."}) as stream:
        seen = stream.until(lambda seen: seen.text)
        end(web)
        provider.release()
        stream.until(lambda seen: seen.ended, seen)
    assert seen.text == LONG
    assert seen.last["message"]["status"] == "complete"
    assert ended(web) == 0
    assert Message.objects.get(role="assistant").content == LONG
    books_are_in_order()


def test_a_name_that_is_being_made_is_waited_for(
    start_web: Callable[..., Web], provider: ScriptedProvider, alice: User, prices: dict[str, Price]
) -> None:
    web = start_web(CHAT_TITLES="true")
    owner = Person(web, alice)
    provider.enqueue(Script(text="Fine, thanks"), Script(text="Being well", hold_after=0))
    conversation = owner.new_conversation()
    assert owner.post(f"conversations/{conversation}/messages/", {"content": "How are you?"}).status_code == 201
    provider.wait_until(lambda bill: bill.waiting == 1)
    end(web)
    time.sleep(2)  # nothing else is left to wait for
    provider.release()
    assert ended(web) == 0
    assert Conversation.objects.get().title == "Being well"
    books_are_in_order()


def test_a_tab_is_told_to_reconnect_and_its_reply_goes_on(
    start_web: Callable[..., Web], provider: ScriptedProvider, alice: User, prices: dict[str, Price]
) -> None:
    web = start_web(CHAT_TITLES="false")
    owner = Person(web, alice)
    provider.enqueue(Script(text=LONG, hold_after=4))
    with owner.socket(owner.new_conversation()) as tab:
        tab.tell(type="send", content="Go on.", key="k")
        tab.until(lambda event: event["type"] == "delta")
        end(web)
        with pytest.raises(ConnectionClosed) as closed:
            tab.until(lambda event: event["type"] == "done")  # which another process would tell
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4503
    provider.release()
    assert ended(web) == 0
    assert Message.objects.get(role="assistant").content == LONG
    books_are_in_order()


def test_what_takes_longer_than_the_limit_ends_as_interrupted(
    start_web: Callable[..., Web], provider: ScriptedProvider, alice: User, prices: dict[str, Price]
) -> None:
    web = start_web(CHAT_DRAIN_SECONDS="1", CHAT_TITLES="false")
    owner = Person(web, alice)
    provider.enqueue(Script(text=LONG, hold_after=4))
    conversation = owner.new_conversation()
    with owner.stream("POST", f"conversations/{conversation}/messages/", json={"content": "Go on."}) as stream:
        seen = stream.until(lambda seen: seen.text)
        begun = end(web)
        stream.until(lambda seen: seen.ended, seen)
    assert time.monotonic() - begun > 0.9
    assert ended(web) == 0
    assert seen.kinds[-2:] == ["warning", "done"]
    assert seen.last["message"]["status"] == "interrupted"
    reply = Message.objects.get(role="assistant")
    assert (reply.status, reply.content) == ("interrupted", seen.text)
    assert LONG.startswith(seen.text)
    assert provider.wait_idle().rows[0].outcome == "client_closed"
    books_are_in_order()


def test_new_replies_are_refused_meanwhile(
    start_web: Callable[..., Web], provider: ScriptedProvider, alice: User, bob: User, prices: dict[str, Price]
) -> None:
    web = start_web(CHAT_DRAIN_SECONDS="20", CHAT_TITLES="false")
    owner, other = Person(web, alice), Person(web, bob)
    provider.enqueue(Script(text=LONG, hold_after=4))
    conversation, others = owner.new_conversation(), other.new_conversation()  # their connections stay open
    with owner.stream("POST", f"conversations/{conversation}/messages/", json={"content": "Go on."}) as stream:
        seen = stream.until(lambda seen: seen.text)
        end(web)
        time.sleep(1.2)  # what had come in before the signal is still taken
        refused = other.post(f"conversations/{others}/messages/", {"content": "Me too."})
        assert other.get("conversations/").status_code == 200  # what only reads is answered
        provider.release()
        stream.until(lambda seen: seen.ended, seen)
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "provider_unavailable"
    assert refused.headers["Retry-After"] == "2"
    assert ended(web) == 0
    assert UsageRecord.objects.count() == 1
    assert len(provider.bill.rows) == 1


def test_a_process_with_nothing_to_finish_ends_at_once(start_web: Callable[..., Web]) -> None:
    web = start_web(CHAT_DRAIN_SECONDS="60")
    begun = end(web)
    assert ended(web) == 0
    assert time.monotonic() - begun < 60


def test_a_second_signal_does_not_wait(
    start_web: Callable[..., Web], provider: ScriptedProvider, alice: User, prices: dict[str, Price]
) -> None:
    web = start_web(CHAT_DRAIN_SECONDS="60", CHAT_TITLES="false")
    owner = Person(web, alice)
    provider.enqueue(Script(text=LONG, hold_after=4))
    with owner.socket(owner.new_conversation()) as tab:
        tab.tell(type="send", content="Go on.", key="k")
        tab.until(lambda event: event["type"] == "delta")
        begun = end(web)
        os.kill(web.pid, signal.SIGTERM)
        ended(web)
    assert time.monotonic() - begun < 60


def test_who_came_before_the_door_closes_is_let_in_and_nobody_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """In between a connection would be taken by the kernel, and cut off with its request."""
    reactor = SelectReactor()
    monkeypatch.setitem(sys.modules, "twisted.internet.reactor", reactor)
    door = Factory.forProtocol(Protocol)
    port = reactor.listenTCP(0, door, interface="127.0.0.1")
    place = ("127.0.0.1", port.getHost().port)
    with socket.create_connection(place), socket.create_connection(place):
        draining._stop_listening()  # and no turn of the loop
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(place)
        let_in = [one for one in reactor.removeAll() if isinstance(one, Server)]
        assert len(let_in) == 2
        for one in let_in:
            one.connectionLost(Failure(ConnectionDone()))


def test_a_rolling_restart_breaks_nothing(
    start_web: Callable[..., Web], provider: ScriptedProvider, alice: User, prices: dict[str, Price]
) -> None:
    provider.set_default(Script(text=LONG, delay_between=0.02))
    patient = {"CHAT_DRAIN_SECONDS": "60", "CHAT_LEASE_SECONDS": "60"}  # a busy machine must not end a reply either
    webs = [start_web(CHAT_TITLES="false", **patient) for _ in range(2)]
    with Nginx(free_port(), [web.port for web in webs]) as nginx:
        statuses: list[str] = []
        over = threading.Event()

        def talk() -> None:
            owner = talkers.pop()
            conversation = owner.new_conversation()
            while not over.is_set():
                answer = owner.post(f"conversations/{conversation}/messages/", {"content": "Go on."})
                statuses.append(answer.json()["message"]["status"] if answer.is_success else answer.text)

        talkers = [Person(nginx, alice) for _ in range(4)]
        threads = [threading.Thread(target=talk) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for web in webs:
                time.sleep(1.5)
                os.kill(web.pid, signal.SIGTERM)
                assert ended(web, 90) == 0
                web.start()
            time.sleep(1.5)
        finally:
            over.set()
            for thread in threads:
                thread.join(timeout=30)
            print(nginx.log)
    assert set(statuses) == {"complete"}
    assert len(statuses) > 8
    assert provider.wait_idle().running == 0
    books_are_in_order()
