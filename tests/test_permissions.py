"""Every address of the site, every method, every person: what `matrix` says, and nothing else.

Whatever is refused, and whatever only asks to see, changes nothing that is stored. An address, a table of the admin or
an action of its lists that has no line there fails.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from asgiref.sync import async_to_sync
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import Group, Permission
from django.db.models import Model
from django.http import HttpResponseBase
from django.test import RequestFactory
from django.urls import URLResolver, get_resolver, resolve

from accounts.models import User
from billing.access import FINANCE
from conversations import routing
from tests import environment, matrix
from tests.calls import limit, make_price
from tests.clients import body
from tests.matrix import ADMINS, OFFICE, PAGES, PEOPLE, SOCKETS, Row, rows, tables
from tests.test_admin import SECRET, address, write_rows
from tests.watch import Watch
from tests.world import World

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once("embedded")]

OURS = ("accounts", "billing", "conversations")
SEEING = ("GET", "HEAD", "OPTIONS")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
NO = ("in", "401", "403", "404", "405")
APPLIED = "apply=1&post=yes&reason=x&amount=1&more=1&period=day&idempotency_key=0b6d3f3e-7f5a-4a52-9a65-3a1f5f0c2a11"
THEIRS = ("django.", "allauth.", "drf_spectacular.")  # whose views answer some methods that are not in the table


@pytest.fixture
def watch(make_user: Callable[..., User], settings: Any) -> Iterator[Watch]:
    """Looks at a database in which each table has a row."""
    settings.CHAT_MODELS = {"fast": "test-model", "smart": "test-model"}
    write_rows(make_user("dora"), make_price())
    with closing(sqlite3.connect(environment.sqlite_file())) as database:
        yield Watch(database)


@pytest.fixture
def people(
    alice: User, charlie: User, finance: User, staff: User, make_user: Callable[..., User]
) -> dict[str, User | None]:
    """By what the table calls them; none of them has anything left to spend."""
    ours = Permission.objects.filter(content_type__app_label__in=OURS).exclude(codename="view_message_text")
    helper, viewer, clerk = (make_user(name, is_staff=True) for name in ("helper", "viewer", "clerk"))
    viewer.groups.add(Group.objects.get(name=FINANCE))
    viewer.user_permissions.set(ours.filter(codename__startswith="view_"))
    clerk.user_permissions.set(ours)
    found = {
        "user": alice, "other": charlie, "staff": helper, "finance": finance, "viewer": viewer, "clerk": clerk,
        "superuser": staff,
    }  # fmt: skip
    for user in found.values():
        limit(user=user, day="0")
    return {"nobody": None, **found}


def outcome(answer: HttpResponseBase) -> str:
    """As the table says it."""
    place = answer.headers.get("Location", "").partition("?")[0]
    return "in" if place.endswith("/login/") else str(answer.status_code)


def text_of(answer: Any) -> bytes:
    """What is in it, also where it comes in pieces."""
    if not answer.streaming:
        return answer.content
    return body(answer) if answer.is_async else b"".join(answer)


class Asking:
    """Asks the people of a world, and keeps what is not as it should be."""

    def __init__(self, world: World) -> None:
        self.world, self.wrong = world, []
        self.changed: set[str] = set()  # by the last request

    def ask(self, person: str, method: str, path: str, sent: str, expected: Iterable[str], *, writes: bool) -> str:
        """What somebody is answered; `writes`: even where they only look."""
        answer, changed = self.world.ask(person, method, path, sent)
        found, self.changed = outcome(answer), changed
        if found not in expected:
            self.wrong.append(f"{person}: {method} {path} {found}, not {' or '.join(expected)}")
        if changed and not writes and (method in SEEING or found in NO or found >= "400"):
            self.wrong.append(f"{person}: {method} {path} {found} changed {', '.join(sorted(changed))}")
        reads_all = person == "user" or (person == "superuser" and path.startswith("/admin/"))
        if not reads_all and SECRET.encode() in text_of(answer):
            self.wrong.append(f"{person}: {method} {path} shows what alice wrote")
        return found

    def row(self, row: Row) -> None:
        """Ask each, the owner last; and for the head where somebody is shown something."""
        path, sent, writes = self.world.fill(row.path), self.world.fill(row.sent), row.method == "GET!"
        method = row.method.removesuffix("!")
        for person in sorted(row.answers, key=lambda person: person == "user"):
            self.ask(person, method, path, sent, [row.answers[person]], writes=writes)
        shown = next((person for person in reversed(row.answers) if row.answers[person] == "200"), None)
        if method == "GET" and shown:
            self.ask(shown, "HEAD", path, sent, ["405" if writes else "200"], writes=False)
        self.world.clear()

    def others(self, path: str, methods: set[str]) -> None:
        """Ask for what the table does not name."""
        path = self.world.fill(path)
        view = resolve(path).func
        module = getattr(getattr(view, "cls", None) or getattr(view, "view_class", view), "__module__", "")
        theirs = module.startswith(THEIRS)
        for method in (method for method in METHODS if method not in methods):
            allowed = (*NO, "200", "302") if theirs or method == "OPTIONS" else NO
            for person in ("nobody", "superuser"):
                self.ask(person, method, path, "", allowed, writes=False)
        self.world.clear()

    def table(self, model: type[Model]) -> None:
        """Ask for each page of a table of the admin, and for each action of its list."""
        clerk, superuser, actions = tables()[model._meta.label_lower]
        may = {"viewer": clerk[:1], "clerk": clerk, "superuser": superuser}
        pk = model._default_manager.order_by("pk")[0].pk
        for method, page, letter in matrix.ADMIN_PAGES:
            for person in ADMINS:
                answers = expected(person, letter, may.get(person, ""))
                self.ask(person, method, address(model) + page.format(pk=pk), "", answers, writes=False)
        for action in actions:
            sent = f"action={action}&{ACTION_CHECKBOX_NAME}={pk}&{APPLIED}"
            for person in ("nobody", "user", "finance", "staff", "viewer"):
                answers = expected(person, "v", may.get(person, ""))
                self.ask(person, "POST", address(model), sent, answers, writes=False)
                if changed := self.changed:
                    self.wrong.append(f"{person}: {action} changed {', '.join(sorted(changed))}")


def expected(person: str, letter: str, may: str) -> tuple[str, ...]:
    """What somebody is answered on a page of the admin, who may do what the letters say."""
    if person in ("nobody", "user", "finance"):
        return ("in",)
    return ("200", "302") if letter in may else ("403",)


def test_each_page_and_endpoint(people: dict[str, User | None], watch: Watch) -> None:
    asking = Asking(World({name: people[name] for name in PEOPLE}, watch))
    table = rows(PAGES, PEOPLE)
    for row in table:
        asking.row(row)
    methods: dict[str, tuple[str, set[str]]] = {}
    for row in table:
        route = resolve(asking.world.fill(row.path)).route
        methods.setdefault(route, (row.path, set()))[1].add(row.method.removesuffix("!"))
    for path, named in methods.values():
        asking.others(path, named)
    assert not asking.wrong, "\n".join(asking.wrong)


def test_each_socket(people: dict[str, User | None], watch: Watch) -> None:
    world = World({name: people[name] for name in PEOPLE}, watch)
    table = rows(SOCKETS, PEOPLE)
    for row in table:
        path = world.fill(row.path)
        assert {person: async_to_sync(world.knock)(person, path) for person in PEOPLE} == row.answers
    patterns = [pattern.pattern for pattern in routing.urlpatterns]
    assert all(any(pattern.match(world.fill(row.path)[1:]) for row in table) for pattern in patterns)


def test_each_page_of_the_admin(people: dict[str, User | None], watch: Watch, charlie: User) -> None:
    Authenticator.objects.create(user=charlie, type=Authenticator.Type.TOTP, data={"secret": "x"})
    asking = Asking(World({name: people[name] for name in ADMINS}, watch))
    for row in rows(OFFICE, ADMINS):
        asking.row(row)
    for model in admin.site._registry:
        asking.table(model)
    assert not asking.wrong, "\n".join(asking.wrong)


def test_every_address_table_and_action_has_its_line(people: dict[str, User | None], watch: Watch) -> None:
    world = World({"user": people["user"], "finance": people["finance"]}, watch)
    named = [row.path for row in (*rows(PAGES, PEOPLE), *rows(OFFICE, ADMINS))]
    pages = [page.format(pk=1) for _, page, _ in (*matrix.ADMIN_PAGES, ("GET", "{pk}/", "v"))]
    named += [address(model) + page for model in admin.site._registry for page in pages]
    assert {resolve(world.fill(path)).route for path in named} == set(routes(get_resolver()))
    assert tables().keys() == {model._meta.label_lower for model in admin.site._registry}
    request = RequestFactory().get("/")
    for model, office in admin.site._registry.items():
        actions = tables()[model._meta.label_lower][2]
        for person, may in (("viewer", []), ("clerk", actions), ("superuser", actions)):
            request.user = people[person]
            sees = office.has_view_permission(request)
            assert (list(office.get_actions(request)) if sees else []) == (may if sees else []), (person, model)


def routes(resolver: URLResolver, above: str = "") -> Iterator[str]:
    """Every address that the site knows, as patterns."""
    for pattern in resolver.url_patterns:
        place = above + str(pattern.pattern).removeprefix("^")
        if isinstance(pattern, URLResolver):
            yield from routes(pattern, place)
        else:
            yield place
