"""The page and the command of reconciliation: who may, what they see, what is booked."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from accounts.models import User
from billing.models import Price, Proposal, Reconciliation, UsageRecord
from billing.reconciliation import runs
from tests.calls import hold, make_price, settle
from tests.clients import signed_in
from tests.invoices import Used, bucket, cost, files, page
from tests.locks import until_somebody_waits
from tests.test_reconcile import DAY, SAME

pytestmark = pytest.mark.django_db(transaction=True)

FIGURES = {DAY: {("gpt-4o", None): SAME._replace(dollars="0.0025"), ("o1", None): Used(1, 100, 10, dollars="0.01")}}
ADDRESS = "/reports/reconcile/"


@pytest.fixture
def price(alice: User) -> Price:
    price = make_price(model="gpt-4o")
    now = datetime(2026, 3, 3, 10, tzinfo=UTC)
    settle(hold(user=alice, price=price, now=now), now=now)
    return price


@pytest.fixture
def office(client: Client, finance: User) -> Client:
    client.force_login(finance, backend="django.contrib.auth.backends.ModelBackend")
    return client


def given(figures: Any = FIGURES, **fields: Any) -> dict[str, Any]:
    uploads = [SimpleUploadedFile(name, content) for name, content in files(figures, DAY, DAY)]
    return {"first": "2026-03-03", "last": "2026-03-03", "files": uploads, "keys": "", **fields}


def compared(office: Client) -> Reconciliation:
    response = office.post(ADDRESS, given())
    assert response.status_code == 302, response.content.decode()
    return Reconciliation.objects.latest("pk")


def test_finance_compares_ticks_and_books(office: Client, finance: User, price: Price) -> None:
    assert office.get(ADDRESS).status_code == 200
    run = compared(office)
    html = office.get(f"{ADDRESS}{run.pk}/").content.decode()
    assert "The day was compared: 2 differences." in html
    assert "for the same 1 call and tokens the provider charges $0.0025, our prices say $0.002." in html
    boxes = re.findall(r'name="proposal" value="(\d+)"', html)
    assert len(boxes) == 2
    before = UsageRecord.objects.count()

    office.post(f"{ADDRESS}{run.pk}/book/", {"reason": "The invoice."})
    office.post(f"{ADDRESS}{run.pk}/book/", {"reason": " ", "proposal": boxes[0]})
    assert UsageRecord.objects.count() == before, "nothing was ticked, or nobody said why"

    done = office.post(f"{ADDRESS}{run.pk}/book/", {"reason": "The invoice.", "proposal": boxes[0]}, follow=True)
    assert "Booked: 1." in done.content.decode()
    assert "Booked by finance@example.com" in done.content.decode()
    booked = UsageRecord.objects.get(kind="adjustment")
    assert (booked.booked_by, booked.cost) == (finance, 500_000)
    again = office.post(f"{ADDRESS}{run.pk}/book/", {"reason": "The invoice.", "proposal": boxes[0]}, follow=True)
    assert "Booked: 0." in again.content.decode()
    office.post(f"{ADDRESS}{run.pk}/book/", {"reason": "The invoice.", "all": "yes"})
    assert not Proposal.objects.filter(state="open").exists()
    clean = compared(office)
    assert "no differences" in office.get(f"{ADDRESS}{clean.pk}/").content.decode()


def figures_of(html: str) -> list[list[str]]:
    """What the rows of the differences' tables say, without the markup."""
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", html)]
    return [[re.sub(r"<[^>]+>", "", cell) for cell in row] for row in rows]


HEADS = ["Source", "Calls", "Input", "Cached", "Output", "Cost"]
OURS = ["Our records", "1", "1,000", "0", "500", "$0.002000000"]


def test_what_no_file_says_is_no_zero(office: Client, price: Price) -> None:
    figures = {DAY: {("gpt-4o", None): Used(calls=2, input=1200, output=400, dollars="1.23")}}
    costs, used = given(figures)["files"]
    for upload, theirs in (
        (costs, ["–", "–", "–", "–", "$1.230000000"]),
        (used, ["2", "1,200", "0", "400", "–"]),
    ):
        office.post(ADDRESS, given(files=[upload]))
        run = Reconciliation.objects.latest("pk")
        html = office.get(f"{ADDRESS}{run.pk}/").content.decode()
        assert figures_of(html) == [HEADS, ["Provider", *theirs], OURS]
    office.post(ADDRESS, given(figures))
    both = figures_of(office.get(f"{ADDRESS}{Reconciliation.objects.latest('pk').pk}/").content.decode())
    assert both[1] == ["Provider", "2", "1,200", "0", "400", "$1.230000000"]


def test_a_report_from_before_says_what_it_can_tell(office: Client, price: Price) -> None:
    """Which files there were was not kept always: a cost that differs was found without usage."""
    run = compared(office)
    costs = given({DAY: {("gpt-4o", None): SAME._replace(dollars="1.23")}})["files"][0]
    office.post(ADDRESS, given(files=[costs]))
    for kept in Reconciliation.objects.all():
        del kept.report["given"]
        kept.save()
    rows = figures_of(office.get(f"{ADDRESS}{run.pk}/").content.decode())
    assert rows[1] == ["Provider", "1", "1,000", "0", "500", "$0.002500000"]
    alone = figures_of(office.get(f"{ADDRESS}{Reconciliation.objects.latest('pk').pk}/").content.decode())
    assert alone[1] == ["Provider", "–", "–", "–", "–", "$1.230000000"]


def by_hand(record: UsageRecord) -> dict[str, str]:
    """A correction of a record's input tokens, from a page that was opened when nothing was booked."""
    tokens = {name: str(getattr(record, name)) for name in UsageRecord.TOKENS}
    return tokens | {"act": "correct", "input_tokens": "1500", "reason": "The provider counts more.", "seen": "0"}


def test_a_correction_by_hand_from_before_a_booking_is_looked_at_again(
    office: Client, alice: User, staff: User, price: Price
) -> None:
    """An adjustment names no record, so nothing but this would keep one who has its page open from the same again."""
    record, client = UsageRecord.objects.get(), signed_in(staff)
    page = f"/admin/billing/usagerecord/{record.pk}/correct/"
    right = by_hand(record)
    assert 'name="seen" value="0"' in client.get(page).content.decode()
    run = compared(office)
    office.post(f"{ADDRESS}{run.pk}/book/", {"reason": "The invoice.", "all": "yes"})
    before = UsageRecord.objects.count()
    html = client.post(page, right).content.decode()
    assert "Since you opened this page a correction from a comparison" in html
    assert 'name="seen" value="2"' in html
    assert UsageRecord.objects.count() == before
    assert client.post(page, right | {"seen": "2"}).status_code == 302, "who has looked may book"
    assert UsageRecord.objects.count() == before + 2
    replacement = UsageRecord.objects.latest("pk")
    page = f"/admin/billing/usagerecord/{replacement.pk}/correct/"
    assert 'name="seen" value="2"' in client.get(page).content.decode(), "it counts on the day of the call"


@pytest.mark.only("scaled")  # SQLite has one writer at a time
def test_a_correction_by_hand_waits_for_who_is_just_booking(office: Client, staff: User, price: Price) -> None:
    record, client = UsageRecord.objects.get(), signed_in(staff)
    run = compared(office)

    def correct() -> str:
        try:
            page = f"/admin/billing/usagerecord/{record.pk}/correct/"
            return client.post(page, by_hand(record)).content.decode()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            every = run.proposals.values_list("pk", flat=True)
            runs.book(reconciliation=run, proposals=list(every), by=staff, reason="The invoice.", now=timezone.now())
            before = UsageRecord.objects.count()
            correcting = pool.submit(correct)
            until_somebody_waits()
        html = correcting.result()
    assert "Since you opened this page a correction from a comparison" in html
    assert UsageRecord.objects.count() == before


def test_who_holds_a_difference_for_explained_says_why(office: Client, price: Price) -> None:
    other_tokens = {DAY: {("gpt-4o", None): Used(calls=1, input=1200, output=400, dollars="0.002")}}
    office.post(ADDRESS, given(other_tokens))
    run = Reconciliation.objects.get()
    address = f"{ADDRESS}{run.pk}/"
    office.post(f"{address}book/", {"reason": "  They count <b>hidden</b> tokens.  ", "all": "yes"})
    proposal = Proposal.objects.get()
    assert (proposal.act, proposal.booked, proposal.reason) == ("note", None, "They count <b>hidden</b> tokens.")
    html = office.get(address).content.decode()
    assert "Booked by finance@example.com on " in html
    assert "Reason: They count &lt;b&gt;hidden&lt;/b&gt; tokens." in html
    german = office.get(address, headers={"Accept-Language": "de"}).content.decode()
    assert "Begründung: They count" in german


def test_a_reason_is_kept_without_what_no_database_takes(office: Client, price: Price) -> None:
    run = compared(office)
    assert office.post(f"{ADDRESS}{run.pk}/book/", {"reason": "The\x00 invoice.", "all": "yes"}).status_code == 302
    assert set(run.booked().values_list("reason", flat=True)) == {"The invoice."}


def test_a_comparison_is_in_the_language_of_who_makes_it(office: Client, price: Price) -> None:
    spoken = {"Accept-Language": "de"}
    assert re.search(
        r'type="date" name="first" value="\d{4}-\d\d-01"', office.get(ADDRESS, headers=spoken).content.decode()
    )
    office.post(ADDRESS, given(), headers=spoken)
    html = unescape(office.get(f"{ADDRESS}{Reconciliation.objects.get().pk}/", headers=spoken).content.decode())
    for said in (
        "Der Tag wurde verglichen: 2 Unterschiede.",
        "Bei gleichen Aufrufen (1 Aufruf) und Token berechnet der Anbieter $0.0025, unsere Preise sagen $0.002.",
        "Aufrufe, die uns fehlen",
        "$0.0005 für niemanden im Einzelnen buchen: die Preise des Anbieters.",
    ):
        assert said in html
    broken = office.post(ADDRESS, given(files=[SimpleUploadedFile("a.json", b"{")]), headers=spoken)
    assert "a.json ist kein JSON" in broken.content.decode()


def test_the_report_as_files(office: Client, price: Price) -> None:
    run = compared(office)
    found = office.get(f"{ADDRESS}{run.pk}/report.json").json()
    assert [row["kind"] for row in found["differences"]] == ["price", "calls that we lack"]
    assert found["differences"][0]["theirs_cost_usd"] == "0.0025"
    text = office.get(f"{ADDRESS}{run.pk}/report.csv").content.decode()
    assert text.splitlines()[0].startswith("day,model,key,kind,theirs_calls")
    assert len(text.splitlines()) == 3
    assert office.get(f"{ADDRESS}{run.pk}/report.xml").status_code == 404


def test_a_formula_in_a_model_s_name_stays_text(office: Client, price: Price) -> None:
    upload = SimpleUploadedFile("costs.json", page(bucket(DAY, cost("=cmd|'/c calc'!A1", 1), cost("<b>x</b>", 1))))
    office.post(ADDRESS, given(files=[upload]))
    run = Reconciliation.objects.get()
    assert ",'=cmd|'/c calc'!A1," in office.get(f"{ADDRESS}{run.pk}/report.csv").content.decode()
    html = office.get(f"{ADDRESS}{run.pk}/").content.decode()
    assert "<b>x</b>" not in html
    assert "&lt;b&gt;x&lt;/b&gt;" in html


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"files": []}, "Give one file"),
        ({"files": [SimpleUploadedFile("a.json", b"{")]}, "a.json is no JSON"),
        ({"first": "2026-03-04"}, "Give a first and a last day"),
        ({"last": "soon"}, "Enter a valid date"),
        ({"first": "9999-12-31", "last": "9999-12-31"}, "The year must be one from 2000 to 2100."),
        ({"first": "0001-01-01", "last": "0001-01-01"}, "The year must be one from 2000 to 2100."),
        ({"keys": "key_abc"}, "One key a line"),
    ],
)
def test_what_can_t_be_compared_is_said_on_the_page(
    office: Client, price: Price, fields: dict[str, Any], said: str
) -> None:
    response = office.post(ADDRESS, given(**fields))
    assert response.status_code == 400
    assert said in response.content.decode()
    assert not Reconciliation.objects.exists()


@pytest.mark.parametrize(("who", "status"), [("alice", 404), (None, 302), ("staff", 200), ("finance", 200)])
def test_who_may(request: pytest.FixtureRequest, finance: User, price: Price, who: str | None, status: int) -> None:
    client = Client()
    if who:
        client.force_login(request.getfixturevalue(who), backend="django.contrib.auth.backends.ModelBackend")
    office = Client()
    office.force_login(finance, backend="django.contrib.auth.backends.ModelBackend")
    run = compared(office)
    for address in (ADDRESS, f"{ADDRESS}{run.pk}/", f"{ADDRESS}{run.pk}/report.csv"):
        assert client.get(address).status_code == status, address
    before = (Reconciliation.objects.count(), UsageRecord.objects.count())
    if status != 200:
        assert client.post(ADDRESS, given()).status_code == status
        assert client.post(f"{ADDRESS}{run.pk}/book/", {"reason": "Mine.", "all": "yes"}).status_code == status
        assert (Reconciliation.objects.count(), UsageRecord.objects.count()) == before
    assert client.get(f"{ADDRESS}{run.pk}/book/").status_code in (405, status)
    assert office.get(f"{ADDRESS}999999/").status_code == 404


def test_the_command(price: Price, staff: User, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = []
    for name, content in files(FIGURES, DAY, DAY):
        (tmp_path / name).write_bytes(content)
        names.append(str(tmp_path / name))
    days = ["--from", "2026-03-03", "--to", "2026-03-03"]
    with pytest.raises(SystemExit) as ended:
        call_command("reconcile", *days, *names)
    assert ended.value.code == 1
    out = capsys.readouterr().out
    assert "the provider charges $0.0025, our prices say $0.002." in out
    assert "→ Book $0.0005 for nobody in particular: the provider's prices." in out
    assert not Reconciliation.objects.exists()

    with pytest.raises(SystemExit):
        call_command("reconcile", *days, "--format", "json", *names)
    assert len(json.loads(capsys.readouterr().out)["differences"]) == 2
    with pytest.raises(SystemExit):
        call_command("reconcile", *days, "--format", "csv", "--keep", "--by", "Staff@example.com", *names)
    written = capsys.readouterr()
    assert len(written.out.splitlines()) == 3
    assert f"/reports/reconcile/{Reconciliation.objects.get().pk}/" in written.err
    assert Reconciliation.objects.get().by == staff

    for wrong in (["--keep"], ["--key", "abc"]):
        with pytest.raises(CommandError, match=r"--by|--key"):
            call_command("reconcile", *days, *wrong, *names)
    with pytest.raises(CommandError, match="can't be read"):
        call_command("reconcile", *days, str(tmp_path / "none.json"))
    agreeing = files({DAY: {("gpt-4o", None): SAME}}, DAY, DAY)
    for name, content in agreeing:
        (tmp_path / name).write_bytes(content)
    call_command("reconcile", *days, *names)
    assert "no differences" in capsys.readouterr().out
