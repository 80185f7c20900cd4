"""What takes long holds up nothing that is short."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from accounts.models import User
from billing.models import Price
from conversations.models import ImportRun
from tests.doors import JsonDoor, Outcome
from tests.locks import nobody_can_read, until_somebody_waits
from tests.people import Person
from tests.provider import Script, ScriptedProvider
from tests.services import Web

THREADS = 2
WAITING = 12


def test_the_waiting_json_form_holds_no_thread_and_no_connection(
    start_web: Callable[..., Web], make_user: Callable[..., User], prices: dict[str, Price], provider: ScriptedProvider
) -> None:
    web = start_web(CHAT_DATABASE_THREADS=str(THREADS))
    people = [Person(web, make_user(f"user{number}")) for number in range(WAITING // 2)]
    doors = [JsonDoor(person, person.new_conversation()) for person in people for _ in range(2)]
    provider.set_default(Script(text="One two", hold_after=1))
    with ThreadPoolExecutor(WAITING) as pool:
        waiting = [pool.submit(door.send, "Hello there") for door in doors]
        provider.wait_until(lambda bill: bill.waiting == WAITING, timeout=30)
        assert people[0].http.get("/healthz").text == "ok\n"
        for person in people:
            assert len(person.get("conversations/").json()["results"]) == 2
            assert person.get("budget/").status_code == 200
        assert not any(answer.done() for answer in waiting)
        provider.release()
        outcomes: list[Outcome] = [answer.result(timeout=30) for answer in waiting]
    assert [(outcome.code, outcome.text, outcome.status) for outcome in outcomes] == [("complete", "One two", 201)] * 12


@pytest.mark.only("scaled")  # SQLite knows no lock of one table
def test_files_hold_up_no_message(
    start_web: Callable[..., Web], alice: User, bob: User, prices: dict[str, Price], provider: ScriptedProvider
) -> None:
    web = start_web(CHAT_DATABASE_THREADS=str(THREADS))
    importer, door = Person(web, alice), JsonDoor(owner := Person(web, bob), owner.new_conversation())
    headers = {**importer.headers, "Content-Type": "application/octet-stream"}

    def bring_in() -> int:
        body = b'{"conversations": []}'
        return httpx2.post(f"{web.url}/api/imports/", content=body, headers=headers, timeout=60).status_code

    with ThreadPoolExecutor(THREADS * 3) as pool:
        with nobody_can_read(ImportRun):
            files = [pool.submit(bring_in) for _ in range(THREADS * 3)]
            until_somebody_waits(count=THREADS)
            assert door.send("Hello there").code == "complete"
            assert not any(file.done() for file in files)
        assert [file.result(timeout=60) < 500 for file in files] == [True] * THREADS * 3
