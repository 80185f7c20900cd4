"""A send asks in one statement whether its session still holds: it finds what Django's own way finds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import sessions
from accounts.errors import NotAuthenticated
from accounts.models import User
from accounts.statements import Statement, run
from billing.models import Price
from conversations import admission
from tests import road
from tests.talks import make_conversation

pytestmark = pytest.mark.django_db

SignIn = Callable[[User], tuple[str, str]]


def expire(key: str, user: User) -> None:
    Session.objects.filter(pk=key).update(expire_date=timezone.now() - timedelta(seconds=1))


def sign_out(key: str, user: User) -> None:
    Session.objects.filter(pk=key).delete()


def sign_out_everywhere(key: str, user: User) -> None:
    sessions.end_all(user)


def deactivate(key: str, user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def change_the_password(key: str, user: User) -> None:
    changed = User.objects.get(pk=user.pk)
    changed.set_password("another long password")
    changed.save()


ENDS = [expire, sign_out, sign_out_everywhere, deactivate, change_the_password]


def holds(statement: Statement) -> bool:
    return bool(run(statement)[0].rows)


@pytest.mark.parametrize("end", ENDS)
def test_it_holds_until_it_ends(alice: User, bob: User, session_cookie: SignIn, end: Callable[..., None]) -> None:
    keys = [session_cookie(user)[1] for user in (alice, bob)]

    def statements() -> list[bool]:
        now = timezone.now()
        return [holds(sessions.holding(session_key=key, user=alice, now=now)) for key in (keys[0], "nonsense", None)]

    found = sessions.holder_of(keys[0])
    assert isinstance(found, User)
    assert statements() == [True, False, False]
    end(keys[1], bob)
    assert statements()[0], "it was another's that ended"
    end(keys[0], alice)
    assert statements() == [False, False, False]
    django_finds = sessions.holder_of(keys[0])
    assert not (django_finds.is_authenticated and django_finds.is_active)


def test_a_send_asks_along_with_what_it_looks_at(alice: User, prices: dict[str, Price], session_cookie: SignIn) -> None:
    conversation = make_conversation(alice)
    key = session_cookie(alice)[1]

    def look(**fields: Any) -> int:
        request = road.ask(conversation, **fields)
        with CaptureQueriesContext(connection) as captured:
            admission.look(request, now=timezone.now())
        return len(captured)

    def still(now: Any) -> Statement:
        return sessions.holding(session_key=key, user=alice, now=now)

    look(), look(still=still)  # which prepares what is asked
    alone, along = look(), look(still=still)
    assert along == (alone if connection.vendor == "postgresql" else alone + 1)
    sign_out(key, alice)
    for content in ("Hello", "", "x" * 1_000_001):
        with pytest.raises(NotAuthenticated):
            look(still=still, content=content)
