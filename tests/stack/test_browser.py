"""On GitHub: a real browser before the real Grafana. Skipped where no running stack is given.

A request is followed from a dot on a chart to its span, and back to metrics; each dashboard is shown.
GROQSCOPE_SCREENSHOTS names a folder that keeps the pictures.
"""

import base64
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from stack_support.boards import boards
from stack_support.given import ON_GITHUB, PASSWORD
from stack_support.stack import Stack

pytestmark = ON_GITHUB

PICTURES = os.environ.get("GROQSCOPE_SCREENSHOTS")
SLOW = "llama-3.3-70b-versatile"
"""The model whose queue was long for a while, see `stack_support.traffic.weather`."""
SIZE = {"width": 1600, "height": 1000}


def _panel(uid: str, title: str) -> int:
    return next(p["id"] for p in boards()[uid]["panels"] if p["title"] == title)


@pytest.fixture
def browser() -> Iterator[Any]:
    """A Chromium: the system's, or the one that playwright has installed."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=quiet)
        yield started
        started.close()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where pictures go."""
    folder = Path(PICTURES or tmp_path).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_a_request_is_followed_from_a_dot_to_its_span_and_back(stack: Stack, seeded: Any, browser: Any, pictures: Path):
    """The highest dot's link opens its trace, whose span has the record, and leads to metrics of its time."""
    panel = _panel("groq-overview", "Time to first chunk by model, p95")
    span_ms = (int((seeded.start_s + 900) * 1000), int((seeded.start_s + 2100) * 1000))
    view = f"viewPanel={panel}&var-model={SLOW}&from={span_ms[0]}&to={span_ms[1]}"
    page = browser.new_page(viewport=SIZE)
    page.set_default_timeout(60_000)

    page.goto(f"{stack.grafana}/d/groq-overview/x?{view}")
    # A label until Grafana 10.2, an ID for tests after it.
    dots = page.get_by_label("Exemplar marker").or_(page.get_by_test_id("data-testid Exemplar marker"))
    dots.first.wait_for()
    places = [(dot.bounding_box() or {"y": 1e9})["y"] for dot in dots.all()]
    dots.nth(places.index(min(places))).click()
    link = page.get_by_text("Show this request")
    link.wait_for()
    page.screenshot(path=pictures / "request-dot.png")

    page.goto(stack.grafana + str(link.evaluate("e => e.closest('a').getAttribute('href')")))
    page.get_by_text("pool_wait").first.wait_for()
    trace_id = page.url.partition("var-trace=")[2].partition("&")[0]
    record = next(r for r in seeded.sent.ended if r.trace_id == trace_id)
    page.get_by_text(f"chat {SLOW}").last.click()
    page.get_by_text("Attributes").first.click()
    page.get_by_text("groq.usage.queue_time").wait_for()
    page.get_by_text(str(record.request_id)).first.wait_for()
    page.screenshot(path=pictures / "request-span.png")

    # Explore, where the span's link leads, wants somebody who is logged in.
    login = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
    page.set_extra_http_headers({"Authorization": f"Basic {login}"})
    page.reload()
    page.get_by_test_id("SpanLinksMenu").first.click()
    back = page.get_by_text("Time to first chunk, p95")
    back.wait_for()
    href = str(back.evaluate("e => e.closest('a').getAttribute('href')"))
    page.goto(stack.grafana + href)
    page.get_by_text("Graph", exact=True).first.wait_for()
    page.screenshot(path=pictures / "request-metrics.png")
    assert "/explore?" in page.url

    assert record.ttfc_ns is not None
    assert record.ttfc_ns > 10**9
    assert f'gen_ai_request_model="{SLOW}"' in unquote(href).replace('\\"', '"')


SHOTS = {
    "groq-overview": ("d/groq-overview/x", ["Time to first chunk by model, p95", "llama-3.3-70b-versatile"]),
    "groq-latency": ("d/groq-latency/x", ["Where a request", "prefill", "Gaps between chunks"]),
    "groq-audit": ("d/groq-audit/x?var-trace={trace}", ["Slower than 2s", "support-chat chat", "Abandoned, cancelled"]),
    "groq-trace": ("d/groq-audit/x?var-trace={trace}&viewPanel=5", ["pool_wait", "attempt"]),
    "groq-pipeline": ("d/groq-pipeline/x", ["Queues on disk", "Tempo received"]),
}
"""Pages and what has to stand on them; `groq-trace` is what the dot of an exemplar opens."""


@pytest.mark.parametrize("name", SHOTS)
def test_a_dashboard_shows_in_a_browser(name: str, stack: Stack, seeded: Any, browser: Any, pictures: Path):
    """A real browser shows the dashboard with data in it."""
    record = next(r for r in seeded.sent.ended if r.retries and r.stream and r.tool_calls)
    path, texts = SHOTS[name]
    picture = pictures / f"{name}.png"
    page = browser.new_page(viewport=SIZE)
    page.set_default_timeout(60_000)
    page.goto(f"{stack.grafana}/{path.format(trace=record.trace_id)}")
    try:
        for text in texts:
            page.get_by_text(text).first.wait_for()
    finally:
        page.screenshot(path=picture)

    assert picture.stat().st_size > 50_000
