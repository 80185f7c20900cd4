"""A person of finance in front of a real browser, with a worker beside the web process."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from accounts.models import User
from billing import runs
from billing.models import ExportRun, Price
from tests.calls import make_price, spend
from tests.services import Web, Worker
from tests.test_export import many

pytestmark = pytest.mark.once("scaled")

State = ExportRun.State
PATIENCE = 60.0  # seconds


@pytest.fixture
def price(transactional_db: None) -> Price:
    return make_price()


def until(true: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)
    return found


@pytest.fixture
def start_worker(process_environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[[], Worker]]:
    started: list[Worker] = []

    def start() -> Worker:
        worker = Worker(process_environment)
        worker.__enter__()
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.__exit__(None, None, None)


@pytest.fixture
def reports_page(live_web: Web, page: Page, finance: User, session_cookie: Any) -> Page:
    name, value = session_cookie(finance)
    page.context.add_cookies([{"name": name, "value": value, "url": live_web.url}])
    page.set_default_timeout(30_000)
    page.goto(f"{live_web.url}/reports/?from=2025-01-01&to=2025-01-31")
    return page


def large_export_asked_for(page: Page, user: User, price: Price) -> Page:
    """The reports page with so many records that a worker must write the workbook, which is asked for."""
    many(user=user, price=price, day=date(2025, 1, 1), count=runs.SMALL + 1)
    page.reload()
    page.get_by_role("button", name="XLSX").click()
    return page


@pytest.mark.timeout(300)
def test_a_large_export_shows_its_progress_and_can_be_downloaded(
    live_web: Web, start_worker: Callable[[], Worker], reports_page: Page, alice: User, price: Price
) -> None:
    page = large_export_asked_for(reports_page, alice, price)
    item = page.locator("#list > li").first
    expect(item).to_contain_text("Waits for a worker")
    start_worker()
    expect(item.locator("[data-part=words]")).to_contain_text(f"of {runs.SMALL + 1:,} records", timeout=60_000)
    values = {float(item.locator("progress").get_attribute("value") or 0)}
    while len(values) < 3 and item.locator("progress").count():
        values.add(float(item.locator("progress").get_attribute("value") or 0))
        page.wait_for_timeout(200)
    assert len(values) >= 3, "the bar did not move"
    link = item.get_by_role("link")
    expect(link).to_be_visible(timeout=120_000)
    with page.expect_download() as download:
        link.click()
    run = ExportRun.objects.get()
    content = Path(download.value.path()).read_bytes()
    assert (run.state, run.rows, run.sha256) == (State.DONE, runs.SMALL + 1, hashlib.sha256(content).hexdigest())
    expect(item).to_contain_text(f"{run.rows:,} rows")
    expect(page.locator("#status")).to_contain_text("is ready")


@pytest.mark.timeout(300)
def test_a_run_is_cancelled_from_the_page_and_survives_a_killed_worker(
    live_web: Web, start_worker: Callable[[], Worker], reports_page: Page, alice: User, price: Price
) -> None:
    page = large_export_asked_for(reports_page, alice, price)
    worker = start_worker()
    run = until(lambda: ExportRun.objects.filter(state=State.RUNNING, done__gt=0).first())
    os.kill(worker.pid, signal.SIGKILL)
    ExportRun.objects.filter(pk=run.pk).update(lease_expires_at=datetime(2026, 1, 1, tzinfo=UTC))
    start_worker()
    until(lambda: ExportRun.objects.filter(pk=run.pk, attempts=2, state=State.RUNNING).exists())
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#list > li").first).to_contain_text("Cancelled after")
    expect(page.get_by_role("button", name="Run again")).to_be_visible()
    run.refresh_from_db()
    assert (run.state, run.file_name) == (State.CANCELLED, "")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_the_page_never_goes_sideways(
    live_web: Web,
    browser: Browser,
    finance: User,
    alice: User,
    price: Price,
    session_cookie: Any,
    scheme: Any,
    width: int,
) -> None:
    spend(user=alice, price=price)
    name, value = session_cookie(finance)
    with browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800}) as context:
        context.add_cookies([{"name": name, "value": value, "url": live_web.url}])
        page = context.new_page()
        errors: list[str] = []
        page.on(
            "console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None
        )
        for group_by in ("user", "day"):
            page.goto(f"{live_web.url}/reports/?from=2026-03-01&to=2026-03-31&group_by={group_by}")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            expect(page.locator("section[aria-labelledby=totals] table")).to_have_count(1)
            expect(page.get_by_role("img", name="Cost by day")).to_be_visible()
        assert errors == []
