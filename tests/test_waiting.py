"""The waiting JSON form holds no thread and no connection while the model talks."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from accounts.models import User
from billing.models import Price
from tests.doors import JsonDoor, Outcome
from tests.people import Person
from tests.provider import Script, ScriptedProvider
from tests.services import Web

THREADS = 2
WAITING = 12


def test_more_wait_than_there_are_threads(
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
