"""Exports in the background: claimed once, seen on their way, cancelled, begun anew after a crash, gone in time."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import time
import uuid
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django.test import Client
from django.utils import timezone

from accounts.errors import InvalidRequest, NotFound
from accounts.models import Token, User
from billing import exporting, exports, runs, tasks
from billing.exports import copying, parquet, xlsx
from billing.exports import csv as csv_export
from billing.exports.focus import documents
from billing.models import ExportRun, Price
from billing.selection import Selection
from tests.calls import NOON, at_once, make_price, spend

State = ExportRun.State
MARCH = Selection(first=date(2026, 3, 1), last=date(2026, 3, 31))
PATIENCE = 60.0


@pytest.fixture
def price(transactional_db: None) -> Price:
    return make_price()


@pytest.fixture(autouse=True)
def _own_folder(settings: Any, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path


def begun(user: User, form: str = "csv", **options: Any) -> ExportRun:
    return runs.begin(user=user, selection=options.pop("selection", MARCH), form=form, now=timezone.now(), **options)


def until(true: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)
    return found


def files() -> list[str]:
    return sorted(path.name for path in runs.folder().iterdir())


@pytest.mark.parametrize("form", list(exports.FORMATS))
def test_a_run_makes_a_file_and_says_what_is_in_it(alice: User, finance: User, price: Price, form: str) -> None:
    records = [spend(user=alice, price=price) for _ in range(3)]
    run = begun(finance, form)
    assert exporting.make(run_id=run.pk, clock=timezone.now)
    run.refresh_from_db()
    with runs.open_file(run, now=timezone.now()) as file:
        written = file.read()
    assert (run.state, run.done, run.of, run.cost) == (State.DONE, 3, 3, sum(record.cost for record in records))
    assert run.rows == (6 if form.startswith("focus") else 3)
    assert (run.size, run.sha256) == (len(written), hashlib.sha256(written).hexdigest())
    assert runs.folder().stat().st_mode & 0o077 == 0
    assert not exporting.make(run_id=run.pk, clock=timezone.now), "it is done, and is not made again"


def test_of_many_workers_one_makes_it(finance: User, price: Price) -> None:
    run = begun(finance)
    now = timezone.now()

    def claim(_: int) -> str:
        return "had" if runs.claim(run_id=run.pk, owner=uuid.uuid4(), now=now) else "not"

    assert sorted(at_once(claim, 6)) == ["had", *["not"] * 5]


def test_one_is_made_at_a_time(finance: User, price: Price) -> None:
    first, second = begun(finance), begun(finance)
    now = timezone.now()
    assert runs.claim(run_id=first.pk, owner=uuid.uuid4(), now=now)
    assert runs.claim(run_id=second.pk, owner=uuid.uuid4(), now=now) is None
    assert runs.left_lying(now=now) == [second.pk]
    with pytest.raises(IntegrityError), transaction.atomic():
        ExportRun.objects.filter(pk=second.pk).update(
            state=State.RUNNING, lease_owner=uuid.uuid4(), lease_expires_at=now
        )


def test_what_a_crash_left_begins_anew_once_its_lease_is_over(alice: User, finance: User, price: Price) -> None:
    spend(user=alice, price=price)
    run, now = begun(finance), timezone.now()
    crashed = runs.claim(run_id=run.pk, owner=uuid.uuid4(), now=now)
    assert crashed is not None
    (runs.folder() / f"{crashed.lease_owner}.csv").write_text("half")
    assert runs.left_lying(now=now + runs.LEASE) == []
    later = now + runs.LEASE + timedelta(seconds=1)
    assert runs.left_lying(now=later) == [run.pk]
    assert exporting.make(run_id=run.pk, clock=lambda: later)
    with pytest.raises(runs.Lost):
        runs.hold_on(crashed, now=later, done=1)
    run.refresh_from_db()
    assert (run.state, run.attempts) == (State.DONE, 2)
    os.utime(runs.folder() / f"{crashed.lease_owner}.csv", (0, 0))
    assert runs.tidy(now=later) == 1
    assert files() == [run.file_name]


def test_a_run_that_stops_every_worker_is_given_up(finance: User, price: Price) -> None:
    run, now = begun(finance), timezone.now()
    for _ in range(runs.MOST_ATTEMPTS):
        assert runs.claim(run_id=run.pk, owner=uuid.uuid4(), now=now)
        now += runs.LEASE + timedelta(seconds=1)
    exporting.make(run_id=run.pk, clock=lambda: now)
    run.refresh_from_db()
    assert (run.state, run.file_name, files()) == (State.FAILED, "", [])
    assert "fewer days" in run.error


def test_a_cancelled_run_stops_at_its_next_look(
    alice: User, finance: User, price: Price, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun(finance)
    looks: list[int] = []

    def endless(*, selection: Selection, out: Any, watch: Callable[[int], None]) -> exports.Written:
        while True:
            out.write(b"x")
            looks.append(len(looks))
            watch(len(looks))
            if len(looks) == 5:
                runs.cancel(run_id=run.pk, now=timezone.now())
            assert len(looks) < 2000
            time.sleep(0.01)

    monkeypatch.setattr(csv_export, "write", endless)
    exporting.make(run_id=run.pk, clock=timezone.now)
    run.refresh_from_db()
    assert (run.state, run.file_name, files()) == (State.CANCELLED, "", [])
    assert runs.cancel(run_id=run.pk, now=timezone.now()).ended_at == run.ended_at


def test_progress_moves_while_it_is_made(finance: User, price: Price, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "BEAT_SECONDS", 0.02)
    run = begun(finance)
    seen: list[int] = []

    def slow(*, selection: Selection, out: Any, watch: Callable[[int], None]) -> exports.Written:
        for done in (10, 20, 30):
            watch(done)
            until(lambda expected=done: ExportRun.objects.get(pk=run.pk).done == expected)
            seen.append(ExportRun.objects.get(pk=run.pk).done)
        return exports.Written()

    monkeypatch.setattr(csv_export, "write", slow)
    exporting.make(run_id=run.pk, clock=timezone.now)
    assert seen == [10, 20, 30]


def test_a_fault_ends_it_with_a_sentence_and_no_file(
    finance: User, price: Price, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(**_: Any) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(csv_export, "write", breaks)
    run = begun(finance)
    exporting.make(run_id=run.pk, clock=timezone.now)
    run.refresh_from_db()
    assert (run.state, files()) == (State.FAILED, [])
    assert "a bug" not in run.error


@pytest.mark.parametrize("committed", [True, False])
def test_a_file_is_there_whose_end_was_written_though_its_answer_was_lost(
    alice: User, finance: User, price: Price, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    spend(user=alice, price=price)
    finish = runs.finish

    def lost(run: ExportRun, **given: Any) -> None:
        if committed:
            finish(run, **given)
        raise OperationalError("server closed the connection unexpectedly")

    run = begun(finance)
    with monkeypatch.context() as patch:
        patch.setattr(runs, "finish", lost)
        with pytest.raises(OperationalError):
            exporting.make(run_id=run.pk, clock=timezone.now)
    later = timezone.now() + 2 * runs.LEASE
    if not committed:
        assert exporting.make(run_id=run.pk, clock=lambda: later), "it begins anew"
    runs.tidy(now=later)
    run.refresh_from_db()
    with runs.open_file(run, now=later) as file:
        assert hashlib.sha256(file.read()).hexdigest() == run.sha256
    assert files() == [run.file_name], "and nothing else is left"


@pytest.mark.parametrize("form", list(exports.FORMATS))
def test_a_disk_that_is_full_is_said_at_once(
    alice: User, finance: User, price: Price, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    for _ in range(3):
        spend(user=alice, price=price)
    for module in (csv_export, copying, xlsx, parquet, documents):
        monkeypatch.setattr(module, "LOOK_EVERY", 1)

    def full(pulse: exporting.Pulse, done: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(exporting.Pulse, "watch", full)
    run = begun(finance, form)
    assert exporting.make(run_id=run.pk, clock=timezone.now)
    assert not connection.in_atomic_block, "the snapshot is over, and what follows is written for good"
    run.refresh_from_db()
    assert (run.state, run.error, run.attempts, files()) == (State.FAILED, exporting.FAILED, 1, [])


def test_files_go_after_a_week_and_the_row_stays(alice: User, finance: User, price: Price) -> None:
    spend(user=alice, price=price)
    run = begun(finance)
    exporting.make(run_id=run.pk, clock=timezone.now)
    run.refresh_from_db()
    assert runs.tidy(now=timezone.now()) == 0
    later = timezone.now() + runs.KEPT
    with pytest.raises(NotFound):
        runs.open_file(run, now=later)
    with runs.open_file(run, now=timezone.now()) as being_sent:
        assert runs.tidy(now=later) == 1
        assert being_sent.read(), "whoever is getting it gets all of it"
    with pytest.raises(NotFound):
        runs.open_file(run, now=timezone.now())
    run.refresh_from_db()
    assert (files(), run.file_name, run.state, run.rows) == ([], "", State.DONE, 1)


def test_nobody_asks_for_endless_exports(finance: User, price: Price) -> None:
    for _ in range(runs.MOST_WAITING):
        begun(finance)
    with pytest.raises(InvalidRequest):
        begun(finance)
    with pytest.raises(InvalidRequest):
        begun(finance, "doc")
    assert ExportRun.objects.count() == runs.MOST_WAITING


def test_the_filters_of_a_run_hold(alice: User, bob: User, finance: User, price: Price) -> None:
    spend(user=alice, price=price)
    spend(user=bob, price=price)
    run = begun(finance, selection=Selection(first=NOON.date(), last=NOON.date(), user=bob.pk))
    exporting.make(run_id=run.pk, clock=timezone.now)
    run.refresh_from_db()
    assert (run.rows, run.cost) == (1, 2_000_000)


def test_a_worker_takes_up_everything_that_waits(alice: User, finance: User, price: Price) -> None:
    spend(user=alice, price=price)
    waiting = [begun(finance), begun(finance, "focus"), begun(finance, "parquet")]
    tasks.make_exports()
    until(lambda: ExportRun.objects.filter(state=State.DONE).count() == len(waiting))
    until(lambda: not any(thread.name == exporting.THREAD for thread in threading.enumerate()))
    assert len(files()) == 3


def test_the_rest_form_of_it(alice: User, finance: User, price: Price) -> None:
    spend(user=alice, price=price)
    headers = {"Authorization": f"Bearer {Token.issue(user=finance)[1]}"}
    client = Client(headers=headers)
    made = client.post(
        "/api/reports/runs/", {"format": "focus", "focus_version": "1.3", "from": "2026-03-01", "to": "2026-03-31"},
        content_type="application/json",
    )  # fmt: skip
    assert made.status_code == 202
    address = made["Location"]
    assert client.get(address).json()["state"] in ("waiting", "running", "done")
    exporting.make(run_id=uuid.UUID(made.json()["id"]), clock=timezone.now)
    done = until(lambda: (found := client.get(address).json())["state"] == "done" and found)
    assert (done["label"], done["rows"], done["total_usd"], done["requested_by"]) == (
        "FOCUS 1.3", 2, "0.002", "finance@example.com",
    )  # fmt: skip
    assert done["file"] == f"{address}file/"
    assert client.get(done["file"]).status_code == 200
    assert client.post(f"{address}cancel/").json()["state"] == "done"
    assert [run["id"] for run in client.get("/api/reports/runs/").json()["results"]] == [done["id"]]
    assert client.get("/api/reports/runs/?before=x").status_code == 400
    for body in ('{"format": "doc"}', '{"from": []}', "[]", '{"from": "2026-03-02", "to": "2026-03-01"}'):
        assert client.post("/api/reports/runs/", body, content_type="application/json").status_code == 400
    assert client.get(f"/api/reports/runs/{uuid.uuid4()}/").status_code == 404


def test_the_connection_of_the_thread_is_given_back(alice: User, finance: User, price: Price) -> None:
    spend(user=alice, price=price)
    run = begun(finance)
    worker = threading.Thread(target=lambda: (exporting.make(run_id=run.pk, clock=timezone.now), connection.close()))
    worker.start()
    worker.join()
    run.refresh_from_db()
    assert run.state == State.DONE
