"""What every test may ask for: the cast, prices, a provider, the product in processes of its own, a browser."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.db import connection, connections
from django.test import Client
from django.utils import translation
from playwright.sync_api import Browser, Page, sync_playwright

from deploy.local import debian
from tests import environment, flushing
from tests.mail import MailServer
from tests.provider.server import ScriptedProvider
from tests.services import LocalModel, Web

if TYPE_CHECKING:
    from accounts.models import User
    from billing.models import Price
    from tests.people import Person

if django_settings.configured:
    raise pytest.UsageError("Unset DJANGO_SETTINGS_MODULE: the suite first makes the environment that settings read.")
environment.apply()
_ = django_settings.DATABASES  # reads the settings, so that pytest-django sets Django up with them


def pytest_addoption(parser: pytest.Parser) -> None:
    """What `python -m tests` says to each of its two runs."""
    parser.addoption("--share", action="store_true", help="leave to the other run the tests that are its own alone")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what this run has nothing of, and where two share the suite, what is enough in the other."""
    here = "embedded" if environment.is_sqlite() else "scaled"
    shared = config.getoption("--share")

    def is_elsewhere(item: pytest.Item) -> bool:
        marks = [item.get_closest_marker("only"), item.get_closest_marker("once") if shared else None]
        return any(mark is not None and mark.args != (here,) for mark in marks)

    config.hook.pytest_deselected(items=[item for item in items if is_elsewhere(item)])
    items[:] = [item for item in items if not is_elsewhere(item)]


PASSWORD = "correct horse battery staple"
BROWSER_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PRICES = {
    "gpt-4o-mini": (150_000_000, 75_000_000, 150_000_000, 600_000_000),
    "gpt-4o": (2_500_000_000, 1_250_000_000, 2_500_000_000, 10_000_000_000),
}


# The database and what is around it


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """On SQLite, a file: other processes must be able to open it."""
    if environment.is_sqlite():
        database = django_settings.DATABASES["default"]
        database.setdefault("TEST", {})["NAME"] = str(environment.sqlite_file())


@pytest.fixture(scope="session", autouse=True)
def _flushable() -> Iterator[None]:
    """The database can be emptied after a test, although it refuses that to the product."""
    with pytest.MonkeyPatch.context() as patch:
        flushing.without_triggers(patch)
        flushing.again_after_deadlock(patch)
        yield


@pytest.fixture(scope="session", autouse=True)
def _static_files(django_test_environment: None) -> None:
    """The site's pages name their static files by content, so these must have been collected."""
    from deploy.local.prepare import collect_static

    collect_static()


@pytest.fixture(autouse=True)
def _clean_slate(settings: Any) -> None:
    """Counters of an earlier test are gone; passwords take no time."""
    settings.PASSWORD_HASHERS = ["tests.passwords.FewRounds"]
    cache.clear()
    translation.deactivate()


@pytest.fixture
def unprepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Statements go to the database as they are, and not by the names under which it has prepared them."""
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)


# The cast


@pytest.fixture
def make_user(db: None) -> Callable[..., User]:
    """Makes a user by the first part of an address; the password is PASSWORD."""

    def make(name: str, **fields: Any) -> User:
        return get_user_model().objects.create_user(f"{name}@example.com", PASSWORD, name=name.title(), **fields)

    return make


@pytest.fixture
def alice(make_user: Callable[..., User]) -> User:
    """The owner of things."""
    return make_user("alice")


@pytest.fixture
def bob(make_user: Callable[..., User]) -> User:
    """Another user of the same company, beside alice."""
    return make_user("bob")


@pytest.fixture
def charlie(make_user: Callable[..., User]) -> User:
    """The outsider, who must see nothing of alice's."""
    return make_user("charlie")


@pytest.fixture
def staff(make_user: Callable[..., User]) -> User:
    """Who may do everything in the admin."""
    return make_user("staff", is_staff=True, is_superuser=True)


@pytest.fixture
def finance(make_user: Callable[..., User]) -> User:
    """Who may read the reports."""
    user = make_user("finance")
    user.groups.add(apps.get_model("auth", "Group").objects.get_or_create(name="Finance")[0])
    return user


@pytest.fixture
def prices(db: None) -> dict[str, Price]:
    """What gpt-4o-mini and gpt-4o cost, by model; in force since 2024."""
    model = apps.get_model("billing", "Price")
    return {
        name: model.objects.create(
            model=name,
            effective_from=datetime(2024, 1, 1, tzinfo=UTC),
            source=model.Source.CATALOGUE,
            input_price=input_price,
            cached_input_price=cached,
            cache_write_price=cache_write,
            output_price=output,
            tokenizer="o200k_base",
            context_window=128_000,
        )
        for name, (input_price, cached, cache_write, output) in PRICES.items()
    }


@pytest.fixture
def scaled() -> bool:
    """Whether this run is on PostgreSQL and Redis, where there may be several web processes."""
    return not environment.is_sqlite()


# Whom the product talks to


@pytest.fixture(scope="session")
def provider_server() -> Iterator[ScriptedProvider]:
    """One scripted provider for the whole run; ask for `provider`."""
    with ScriptedProvider() as server:
        yield server


@pytest.fixture
def provider(provider_server: ScriptedProvider) -> Iterator[ScriptedProvider]:
    """A provider on a real port that says what a test scripts, and keeps its own bill."""
    provider_server.reset()
    yield provider_server
    provider_server.reset()


@pytest.fixture(scope="session")
def local_model() -> Iterator[LocalModel]:
    """The real model; point OPENAI_BASE_URL at its `base_url` and name LocalModel.MODEL."""
    with LocalModel() as running:
        yield running


@pytest.fixture
def mail_server(settings: Any) -> Iterator[MailServer]:
    """A mail server on a real port, to which the product sends what is owed; Django's test runner kept it away."""
    with MailServer() as server:
        settings.EMAIL_BACKEND = "billing.outbox.EmailBackend"
        settings.MAIL_SENDER = "billing.mail_server.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        yield server


def what_went_wrong(log: str) -> str:
    """The lines of a log that say so, and its end."""
    return "\n".join([*[line for line in log.splitlines() if " ERROR " in line][-50:], "…", log[-5000:]])


# The product in processes of its own. Tests that use these see what other processes commit, so they
# get `transactional_db`, whose rows are really there.


@pytest.fixture(scope="session")
def process_environment(django_db_setup: None, provider_server: ScriptedProvider) -> dict[str, str]:
    """The environment of a process on the test database, with the scripted provider."""
    name = connection.settings_dict["NAME"]
    if environment.is_sqlite():
        database_url = f"sqlite:///{name}"
    else:
        database_url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
    return {**os.environ, "DATABASE_URL": database_url, "OPENAI_BASE_URL": provider_server.base_url}


@pytest.fixture
def start_web(transactional_db: None, process_environment: dict[str, str]) -> Iterator[Callable[..., Web]]:
    """Starts web processes of the test's own: `start_web(CHAT_RATE="2/m")`; all end with the test."""
    with ExitStack() as stack:
        started: list[Web] = []

        def start(**env: str) -> Web:
            web = stack.enter_context(Web(len(started) + 1, {**process_environment, **env}))
            started.append(web)
            return web

        yield start
        for web in started:
            print(f"Log of web {web.number}:\n{what_went_wrong(web.log)}")  # shown where the test failed


@pytest.fixture(scope="session")
def web_server(process_environment: dict[str, str]) -> Iterator[Web]:
    """One web process for the whole run; ask for `live_web`."""
    with Web(0, process_environment) as web:
        yield web


@pytest.fixture
def live_web(web_server: Web, transactional_db: None, provider: ScriptedProvider) -> Iterator[Web]:
    """A running product on the test database, shared by tests that neither end it nor set its environment."""
    before = len(web_server.log)
    yield web_server
    print(f"Log of web:\n{what_went_wrong(web_server.log[before:])}")


# A person in front of it


@pytest.fixture
def enter(live_web: Web, prices: dict[str, Price]) -> Iterator[Callable[..., Person]]:
    """Puts a user in front of the running product: `enter(alice)`, or `enter(alice, cookie=…)`."""
    from tests.people import Person

    with ExitStack() as stack:

        def come(user: User, **options: Any) -> Person:
            person = Person(live_web, user, **options)
            stack.callback(person.http.close)
            return person

        yield come


@pytest.fixture
def session_cookie() -> Callable[[User], tuple[str, str]]:
    """Signs a user in and gives the session cookie's name and value, good for every process."""

    def sign_in(user: User) -> tuple[str, str]:
        client = Client()
        client.force_login(user, backend=django_settings.AUTHENTICATION_BACKENDS[0])
        name = django_settings.SESSION_COOKIE_NAME
        return name, client.cookies[name].value

    return sign_in


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    """Debian's chromium, driven by Playwright, for one test.

    While Playwright runs, its event loop counts as this thread's running one, and Django refuses the
    ORM there. The test itself is synchronous, so that guard is lifted; but only as long as the browser
    is open, so that everywhere else it still tells of a query in async code. Django also keeps another
    connection for code under a loop: it is closed here, or nobody would.
    """
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=debian.chromium(), args=BROWSER_OPTIONS)
        try:
            yield chromium
        finally:
            connections.close_all()
            chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A tab; an uncaught error in a page's script fails the test."""
    errors: list[str] = []
    with browser.new_context() as context:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
    assert not errors, errors
