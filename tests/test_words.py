"""The words of the interface: none is forgotten, and each of the pages says nothing but words that are translated."""

from __future__ import annotations

import gettext
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from django.utils.translation import trans_real
from django.utils.translation.trans_real import DjangoTranslation

from accounts.models import Token, User
from billing import corrections, rollup
from billing.models import Account, Budget, Price
from tests.calls import limit, spend
from tests.clients import signed_in
from tests.talks import make_call, make_conversation, reply_of

CATALOGS = Path(settings.LOCALE_PATHS[0]) / "de" / "LC_MESSAGES"
SOURCES = ("accounts", "billing", "chatproject", "conversations", "templates", "static", "locale", "manage.py")


def catalog(file: Path) -> dict[Any, str]:
    """What a compiled catalogue says; an entry that is empty, uncertain or out of use is not in it."""
    with file.open("rb") as opened:
        return {key: said for key, said in gettext.GNUTranslations(opened)._catalog.items() if key}  # type: ignore[attr-defined]


def compiled(source: Path, out: Path) -> dict[Any, str]:
    subprocess.run(["msgfmt", "--check-format", "-o", out, source], check=True, capture_output=True)
    return catalog(out)


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the words that are marked in the sources now, one .pot a domain."""
    root = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        place = settings.BASE_DIR / name
        if place.is_dir():
            shutil.copytree(place, root / name, ignore=shutil.ignore_patterns("__pycache__", "migrations"))
        else:
            shutil.copy(place, root)
    environment = {**os.environ, "VAR_DIR": str(root / "var"), "SECRET_KEY": "none"}
    started = [
        subprocess.Popen(
            [sys.executable, "manage.py", "makemessages", "-l", "de", "-d", domain, "--keep-pot", "-v", "0"],
            cwd=root,
            env=environment,
        )
        for domain in ("django", "djangojs")
    ]
    assert [process.wait() for process in started] == [0, 0]
    return root / "locale"


@pytest.mark.once("embedded")
@pytest.mark.parametrize("domain", ["django", "djangojs"])
def test_the_german_catalogue_has_every_word_and_no_other(domain: str, extracted: Path, tmp_path: Path) -> None:
    full = tmp_path / "all.po"
    subprocess.run(["msgen", "--lang=de", "-o", full, extracted / f"{domain}.pot"], check=True)
    full.write_text(full.read_text().replace("nplurals=INTEGER; plural=EXPRESSION;", "nplurals=2; plural=(n != 1);"))
    marked = compiled(full, tmp_path / "all.mo")
    translated = compiled(CATALOGS / f"{domain}.po", tmp_path / "now.mo")
    missing, idle = set(marked) - set(translated), set(translated) - set(marked)
    assert not missing, f"run `make words` and translate: {missing}"
    assert not idle, f"run `make words`, nobody says these any more: {idle}"
    assert translated == catalog(CATALOGS / f"{domain}.mo"), "run `make words`: the compiled catalogue is old"
    whole = {key: said for key, said in translated.items() if isinstance(key, str)}
    assert all(braces(key) == braces(said) for key, said in whole.items())


def braces(text: str) -> set[str]:
    """What a sentence is filled with."""
    return set(re.findall(r"%\(\w+\)[sd]|</?\w+|https?://\S+|`[^`]+`", text))


# A language in which every word that is translated stands in marks, and whatever has none was forgotten.


class Marked(DjangoTranslation):
    """Says each sentence as it stands in the code, in marks."""

    def gettext(self, message: str) -> str:
        return f"«{message}»"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return f"«{msgid1 if n == 1 else msgid2}»"


class Words(HTMLParser):
    """The letters of a page that no mark is around, with those of names that are read out."""

    NAMES: ClassVar[set[str]] = {
        "aria-label",
        "title",
        "placeholder",
        "alt",
        "data-start",
        "data-failed",
        "data-missing",
    }
    SILENT: ClassVar[set[str]] = {"script", "style", "code", "option", "kbd"}

    def __init__(self) -> None:
        super().__init__()
        self.depth, self.silent = 0, 0
        self.bare: list[str] = []
        self.all = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.silent += tag in self.SILENT
        given = dict(attrs)
        names = [value for name, value in attrs if name in self.NAMES and value]
        if tag == "input" and given.get("type") in ("submit", "button"):
            names.append(given.get("value") or "")
        self.bare += [outside for name in names for outside in _outside(name)]

    def handle_endtag(self, tag: str) -> None:
        self.silent -= tag in self.SILENT

    def handle_data(self, data: str) -> None:
        if self.silent:
            return
        outside = ""
        for letter in data:
            self.depth += (letter == "«") - (letter == "»")
            outside += letter if not self.depth and letter != "»" else " "
        self.bare.append(outside)


def _outside(text: str) -> Iterator[str]:
    depth, outside = 0, ""
    for letter in text:
        depth += (letter == "«") - (letter == "»")
        outside += letter if not depth and letter != "»" else " "
    yield outside


# What is said in every language: names and numbers, and what people and the provider have written.
NAMES = re.compile(
    r"https?://\S+|\S+@\S+|[\w-]*\.(md|json|zip|csv)\b|\bgpt-[\w.-]+|\bchat_\w+…?|[0-9a-f]{4,}|"
    r"UTC|SHA-256|CSV|JSON|XLSX|Parquet|FOCUS|"
    r"\b(Alice|Staff|Finance|Sales|Talk|Hello|Company|English|Deutsch|Chrome|Linux|ChatGPT|CFO|YYYY-MM|key_abc|LDAP|Why)\b|MB\b"
)


# What Django, allauth and the data themselves say in the admin: pictures' names, a model's name, codes, the trail.
ADMIN = re.compile(
    r"\b(Search|True|False|Authenticators|ID|chat|credit|Credit for|\w+_base|\d+-\d\d-\d\d|req_\d)\b|pbkdf2\w*"
    r"|\S+\*{4,}"
)


def bare(html: str) -> list[str]:
    """The words of a page that are not translated."""
    page = Words()
    page.feed(html)
    assert page.depth == 0
    found: Iterable[str] = (NAMES.sub(" ", text) for text in page.bare)
    return [text.strip() for text in found if re.search(r"[^\W\d_]{2,}", text)]


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(trans_real._translations, "de", Marked("de"))  # type: ignore[attr-defined]


PUBLIC = ["login", "signup", "password/reset", "password/reset/done", "confirm-email", "inactive", "deleted", "logout"]
OWN = [
    "/", "/?q=hello", "/?q=nothing-like-it", "/?archived", "/import/", "/usage/", "/side/", "/accounts/profile/",
    "/accounts/email/",
    "/accounts/password/change/", "/accounts/2fa/", "/accounts/sessions/", "/accounts/tokens/", "/accounts/data/",
    "/accounts/delete/", "/nothing-here/",
]  # fmt: skip
OFFICE = ["/reports/", "/reports/?group_by=user&user=1", "/reports/?from=2026-13-01", "/reports/reconcile/"]
MODELS = [
    "accounts/user", "accounts/token", "billing/budget", "billing/budgetperiod", "billing/usagerecord", "billing/price",
    "billing/account", "billing/act", "billing/notice", "billing/monthclosing", "billing/dailyspend", "billing/hold",
    "billing/exportrun", "billing/reconciliation", "billing/modelalias", "conversations/conversation",
    "conversations/message", "conversations/importrun",
]  # fmt: skip


@pytest.mark.once("embedded")
@pytest.mark.django_db
def test_every_page_says_only_what_is_translated(
    alice: User, staff: User, prices: dict[str, Price], marked: None
) -> None:
    now = timezone.now()
    conversation = make_conversation(alice, title="Hello")
    reply_of(conversation, make_call(alice, prices["gpt-4o"], at=now), content="Hello", ended_at=now)
    make_conversation(alice, title="", archived=True)
    record = spend(user=alice, price=prices["gpt-4o"], now=now)
    corrections.grant_credit(user=alice, amount=1_000_000, by=staff, reason="LDAP", now=now)
    limit(user=alice, day="0.01", month="5")
    rollup.roll_up()
    Token.issue(user=alice, name="LDAP")
    Token.objects.update(hint="0123456789")  # it is random, and may look like a word
    Account.objects.update_or_create(
        user=staff, defaults={"disabled_by": "budget", "disabled_at": now, "reason": "The daily budget is used up."}
    )
    spoken = {"Accept-Language": "de"}
    paths = {Client(headers=spoken): [f"/accounts/{page}/" for page in PUBLIC]}
    own, office = signed_in(alice), signed_in(staff)
    paths[own] = [*OWN, f"/c/{conversation.pk}/"]
    budget = Budget.objects.filter(user=alice)[0]
    paths[office] = [
        *OFFICE, "/admin/", *(f"/admin/{model}/" for model in MODELS), "/admin/billing/price/add/",
        "/admin/billing/monthclosing/add/", f"/admin/billing/usagerecord/{record.pk}/change/",
        f"/admin/billing/usagerecord/{record.pk}/correct/", f"/admin/billing/budget/{budget.pk}/change/",
        f"/admin/accounts/user/{alice.pk}/change/", f"/admin/accounts/user/{alice.pk}/spend/",
    ]  # fmt: skip
    forgotten = {}
    for client, addresses in paths.items():
        for path in addresses:
            response = client.get(path, headers=spoken, follow=True)
            html = response.content.decode()
            assert '<html lang="de"' in html or "<html" not in html, path
            if words := bare(ADMIN.sub(" ", html) if path.startswith("/admin/") else html):
                forgotten[path] = words
    assert not forgotten, "\n".join(f"{path}: {words}" for path, words in forgotten.items())
