"""A person's browser: Debian's chromium with the page's own measures of itself."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.test import Client
from playwright.sync_api import BrowserContext, Page, sync_playwright

from accounts.models import User
from deploy.cluster.product import Web
from deploy.local import debian

SIZE = {"width": 1280, "height": 800}
OPTIONS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
# Kept from the page's first moment on: what the layout shifted, tasks over 50 ms, the largest paint.
OBSERVE = """
const seen = window.seen = { shift: 0, task: 0, paint: 0 };
const on = (type, act) => {
  new PerformanceObserver((list) => list.getEntries().forEach(act)).observe({ type, buffered: true });
};
on("layout-shift", ({ value }) => { seen.shift += value; });
on("longtask", ({ duration }) => { seen.task = Math.max(seen.task, duration); });
on("largest-contentful-paint", ({ startTime }) => { seen.paint = startTime; });
"""
ENDED = "article[data-role=assistant][data-status=complete]"
STOPWATCH = """ended => {
  const before = document.querySelectorAll(ended).length, start = performance.now();
  window.took = new Promise((resolve) => new MutationObserver((_, observer) => {
    if (document.querySelectorAll(ended).length === before) return;
    observer.disconnect();
    requestAnimationFrame(() => resolve(performance.now() - start));
  }).observe(document.getElementById("thread"), { subtree: true, childList: true, attributeFilter: ["data-status"] }));
}"""


@contextmanager
def browsing(web: Web, user: User) -> Iterator[BrowserContext]:
    """A browser in which someone is signed in."""
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # Playwright's loop runs beside the ORM
    client = Client()
    client.force_login(user, backend=settings.AUTHENTICATION_BACKENDS[0])
    name = settings.SESSION_COOKIE_NAME
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=debian.chromium(), args=OPTIONS)
        try:
            context = chromium.new_context(viewport=SIZE)  # type: ignore[arg-type]
            context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": web.url}])
            context.add_init_script(OBSERVE)
            yield context
        finally:
            chromium.close()


def opened(context: BrowserContext, address: str, *, slower: int = 1) -> Page:
    """A tab at an address, its processor so many times slower."""
    page = context.new_page()
    page.goto(address)
    page.wait_for_load_state("load")
    if slower > 1:
        context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": slower})
    return page


def answered(page: Page, text: str, *, seconds: float = 120) -> float:
    """Send, and wait for the answer's end; how many milliseconds that took, as the page itself counts."""
    page.get_by_label("Message", exact=True).fill(text)
    page.evaluate(STOPWATCH, ENDED)
    page.get_by_role("button", name="Send").click()
    page.locator(ENDED).last.wait_for(timeout=seconds * 1000)
    took: float = page.evaluate("window.took")
    return took


def longest_task(trace: bytes) -> tuple[float, float]:
    """Milliseconds of the page's longest task by its thread's processor time, and by the clock, from Send on.

    What came before is the tracer's and the test's: they put their own scripts into the page.
    """
    events = json.loads(trace)["traceEvents"]
    main = {
        (event["pid"], event["tid"])
        for event in events
        if event.get("name") == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    own = [event for event in events if (event.get("pid"), event.get("tid")) in main and "dur" in event]
    sent = min(event["ts"] for event in own if event["name"] == "EventDispatch" and _kind(event) == "submit")
    tasks = [event for event in own if event["name"] == "RunTask" and event["ts"] + event["dur"] > sent]
    return max(task.get("tdur", 0) for task in tasks) / 1000, max(task.get("dur", 0) for task in tasks) / 1000


def _kind(event: dict[str, Any]) -> str:
    return str(event.get("args", {}).get("data", {}).get("type"))


def seen(page: Page) -> dict[str, Any]:
    """What the page has measured of itself."""
    page.wait_for_timeout(300)  # observers are told late
    found: dict[str, Any] = page.evaluate("window.seen")
    return found
