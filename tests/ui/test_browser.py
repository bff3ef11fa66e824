"""The live page in a real browser, on a desktop and on a telephone, by mouse and by keyboard."""

import http.server
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from support.files import write_store
from support.report_samples import broken, many, retried, streamed, stretched
from support.run_samples import slow_answer
from support.runs import TRACE, write_traces
from support.spans import span_of
from support.ui import MINUTE, numbered
from support.waiting import wait_for

from groqscope.ui import Server

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    # The driver's own loop: closed when the session ends.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text("utf-8")
VIEWS = {
    "live": ("/live?window=15m", ".tile"),
    "requests": ("/requests?by=model", "tr[data-place]"),
    "request": ("/requests/{retried}", ".fall"),
    "overview": ("/overview?by=model", ".stack"),
    "why": ("/why", ".cause"),
    "runs": ("/runs", ".empty"),
    "compare": ("/compare?a.service=calm&b.service=slow", ".report section"),
    "where": ("/requests?where=ttfc+%3E+1s+and+retrie+%3E+0", ".wrong p"),
}
OF_RUNS = {"runs with data": ("/runs", "td a[href^='/runs/']"), "run": (f"/runs/{TRACE}", ".run-row summary")}
Visit = Callable[..., Any]
RETRIED = "req_00000000000000000000009000"


def records() -> list[Any]:
    half = [replace(record, service="calm") for record in many(60)]
    other = [replace(stretched(record, 1.5), service="slow") for record in many(60)]
    return [*numbered([*half, *other]), *numbered([retried()], start=9000, ago_ns=0)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve the requests of the last minutes, for tests that add none."""
    directory = tmp_path_factory.mktemp("store")
    write_store(directory, records())
    with Server(directory, port=0) as running:
        wait_for(lambda: not running.collection.loading)
        yield running


@pytest.fixture(scope="module")
def of_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve runs, for tests that add none."""
    directory = tmp_path_factory.mktemp("runs")
    write_traces(directory, [slow_answer()])
    with Server(directory, port=0) as running:
        wait_for(lambda: not running.collection.loading)
        yield running


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "store", port=0) as running:
        yield running


@pytest.fixture
def visit(chromium: Any) -> Iterator[Visit]:
    """Open a view; an error of the page, a message in its console or a request to another host fails the test."""
    contexts: list[Any] = []
    wrong: list[str] = []

    def visit(server: Server, path: str = "/", *, width: int = 1280, wait: str = "", **options: Any) -> Any:
        context = chromium.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text))
        page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
        page.on(
            "request",
            lambda request: None if request.url.startswith((server.url, "data:,")) else wrong.append(request.url),
        )
        page.goto(server.url + path.replace("{retried}", RETRIED))
        if wait:
            page.locator(wait).first.wait_for()
        return page

    yield visit
    for context in contexts:
        context.close()

    assert wrong == []


def send(server: Server, *sent: Any) -> None:
    body = encode_spans([span_of(record) for record in sent]).SerializeToString()
    headers = {"content-type": "application/x-protobuf"}
    httpx.post(f"{server.url}/v1/traces", content=body, headers=headers).raise_for_status()


def ids(page: Any) -> list[str]:
    return page.locator("tr[data-place] td.id a").evaluate_all("all => all.map(one => one.href.split('/').pop())")


def test_first_request(visit: Visit, empty: Server) -> None:
    """An empty store says what to type next; a request that is then received appears by itself, with its figures."""
    page = visit(empty, "/", wait=".empty:visible")

    assert "groqscope demo" in page.locator(".empty").inner_text()
    assert f"OTEL_EXPORTER_OTLP_ENDPOINT={empty.url}" in page.locator(".empty").inner_text()

    send(empty, *numbered([streamed()], ago_ns=10**9))
    page.locator("tr[data-id]").first.wait_for()

    assert page.locator(".tile:has-text('requests/s') .sub").inner_text() == "1 request"
    assert page.locator(".empty").is_hidden()

    send(empty, *numbered([broken()], start=2, ago_ns=10**8))
    page.locator("tr[data-id] >> nth=1").wait_for()

    assert "✕ capacity_exceeded" in page.locator("tr[data-id] >> nth=0").inner_text()
    assert page.locator("#state").inner_text() == "2 requests"


def test_list_follows(visit: Visit, empty: Server) -> None:
    """The list of requests is updated, unless something in it was chosen; then it says how many are new."""
    send(empty, *numbered(many(3)))
    page = visit(empty, "/requests", wait="tr[data-place]")
    send(empty, *numbered([streamed()], start=100, ago_ns=0))
    page.locator("tr[data-place] >> nth=3").wait_for()
    page.keyboard.press("ArrowDown")
    send(empty, *numbered([streamed()], start=200, ago_ns=0))
    page.locator(".fresh:visible").wait_for()

    assert page.locator(".fresh").inner_text() == "1 new"
    assert len(ids(page)) == 4

    page.click(".fresh")
    page.locator("tr[data-place] >> nth=4").wait_for()


def test_search_sort_and_filter(visit: Visit, served: Server) -> None:
    """Words, columns and conditions narrow and order the list, and the address says so."""
    page = visit(served, "/requests", wait="tr[data-place]")
    page.keyboard.press("/")
    page.keyboard.type("GET_weather")
    page.locator("h2:has-text('requests on'):not(:has-text('121'))").wait_for()

    assert {text for text in page.locator("td.model").all_text_contents() if text} == {"openai/gpt-oss-120b"}
    assert page.url.endswith("?q=GET_weather")

    page.keyboard.press("Escape")
    page.locator("h2:has-text('121 requests')").wait_for()
    page.click("th:has-text('total') button")
    page.locator("th[aria-sort=descending]:has-text('total')").wait_for()
    page.locator("tr[data-place='0'] td.total").wait_for()
    totals = [float(text.replace(",", "")) for text in page.locator("td.total").all_text_contents()]

    assert totals == sorted(totals, reverse=True)

    page.click("button:has-text('failed')")
    page.locator("tr[data-place='0'] td.bad").wait_for()

    assert page.locator("tr[data-place] td.outcome:not(.bad)").count() == 0
    assert "where=failed" in page.url

    page.go_back()
    page.locator("h2:has-text('121 requests')").wait_for()


def test_condition(visit: Visit, served: Server) -> None:
    """Names are completed as one types; a mistake is explained below its place; a valid condition is applied."""
    page = visit(served, "/requests", wait="tr[data-place]")
    page.keyboard.press("w")
    page.keyboard.type("retr")
    page.locator("[role=option]").first.wait_for()

    assert page.locator("[role=option] b").first.inner_text() == "retries"

    page.keyboard.press("Tab")

    assert page.locator("#where").input_value() == "retries "

    page.keyboard.type("> nothing")
    page.keyboard.press("Enter")
    page.locator(".wrong p").wait_for()

    assert page.locator("#where").get_attribute("aria-invalid") == "true"
    assert page.locator(".wrong pre").inner_text().splitlines()[1].index("^") == len("retries > ")

    page.locator("#where").fill("retries > 1")
    page.locator("#where").press("Enter")
    page.locator("#requests-title:has-text('requests')").wait_for()
    page.wait_for_url(re.compile("where=retries"))

    assert page.locator(".wrong").inner_text() == ""
    assert "groqscope audit --where 'retries > 1'" in page.locator(".command").inner_text()


def test_request(visit: Visit, served: Server) -> None:
    """A row opens the request, whose address opens it again; Esc and Back return to the same place."""
    page = visit(served, "/requests?where=retries+%3E+1", wait="tr[data-place]")
    listed = page.url
    page.locator("tr[data-place='0']").click()
    page.locator(".fall").wait_for()
    address = page.url

    assert address.endswith(f"/requests/{RETRIED}")
    assert "79% in failed attempts and back-off" in page.locator("#detail-title").inner_text()
    assert page.locator(".fall [role=listitem][aria-label^='retry, 1,979.1 ms, 81.4%']").count() == 1
    assert page.locator(".fall svg.bar rect.phase-retry").count() == 1
    page.locator("summary:has-text('All attributes')").click()
    assert "gen_ai.request.model" in page.locator("details").inner_text()
    assert page.locator("summary:has-text('Content')").count() == 0

    page.keyboard.press("j")
    page.wait_for_url(lambda url: url != address)
    page.keyboard.press("Escape")
    page.locator("tr[data-place='1'][aria-selected=true]").wait_for()

    assert page.url == listed

    page.goto(address)
    page.locator(".fall").wait_for()


def test_keyboard(visit: Visit, served: Server) -> None:
    """Every view, the list and a request can be reached without a mouse."""
    page = visit(served, "/", wait=".tile")
    page.keyboard.press("2")
    page.locator("tr[data-place='0'] td.id").wait_for()
    for _ in range(3):
        page.keyboard.press("j")
    page.keyboard.press("k")

    assert page.locator("tr[aria-selected=true]").get_attribute("data-place") == "1"

    wanted = ids(page)[1]
    page.keyboard.press("Enter")
    page.locator(".fall").wait_for()

    assert page.url.endswith(wanted)

    for key, path in ((3, "/overview"), (4, "/why"), (5, "/runs"), (6, "/compare"), (1, "/live")):
        page.keyboard.press(str(key))

        assert page.url == served.url + path

    page.keyboard.press("?")

    assert page.locator("dialog[open]").is_visible()

    page.keyboard.press("Escape")

    assert page.locator("dialog[open]").count() == 0


def test_why_leads_to_its_requests(visit: Visit, served: Server) -> None:
    """A cause leads to the requests in which it was named, and to the worst of them."""
    page = visit(served, "/why", wait=".cause")
    cause = page.locator(".cause[data-cause=retries]")
    worst = cause.locator("a.id").first.inner_text()
    cause.locator("a:has-text('these requests')").click()
    page.locator("tr[data-place='0'] td.id").wait_for()

    assert worst in ids(page)
    assert page.locator("td.retries").first.inner_text() == "2"

    page.click(".chip")
    page.locator("h2:has-text('121 requests')").wait_for()


def test_compare(visit: Visit, served: Server) -> None:
    """Two services are chosen and compared, and the address keeps them."""
    page = visit(served, "/compare", wait=".empty")
    for side, service in (("a", "calm"), ("b", "slow")):
        page.locator(f"select[name='{side}.service'] option[value={service}]").wait_for(state="attached")
        page.select_option(f"select[name='{side}.service']", service)
    page.locator(".report td.bad:has-text('slower')").first.wait_for()

    assert "a.service=calm&b.service=slow" in page.url
    assert "slower" in page.locator("h1:visible >> nth=1").inner_text() or page.locator("h1:has-text('slower')").count()


def test_compare_times(visit: Visit, empty: Server) -> None:
    """Two times are compared by one click, or from moment to moment; the address, its export and "back" keep them."""
    calm = [replace(record, model="one") for record in many(60)]
    slow = [replace(stretched(record, 1.5), model="one") for record in many(60)]
    write_store(
        empty.collection.path, [*numbered(calm, ago_ns=85 * MINUTE), *numbered(slow, start=100, ago_ns=25 * MINUTE)]
    )
    wait_for(lambda: empty.collection.total == 120)
    page = visit(empty, "/compare", wait=".empty:has-text('What changed from A to B?')")
    page.click("text=this hour with the one before")
    page.locator("h1:has-text('one is slower')").wait_for()
    said, shown = page.locator("h1:visible").last.inner_text(), page.url

    assert shown.endswith("/compare?a.since=2h&a.until=1h&b.since=1h")

    links = page.locator(".exports a").evaluate_all("all => all.map(one => one.href)")
    exported = [page.request.get(link) for link in links]

    assert [answer.status for answer in exported] == [200, 200, 200]
    assert said in exported[0].text()
    assert exported[1].json()["sentence"] == said
    assert [exported[1].json()[side]["requests"] for side in "ab"] == [60, 60]
    assert "slower" in exported[2].text()

    page.go_back()
    page.locator(".empty").wait_for()
    page.go_forward()
    page.locator(f"h1:has-text('{said}')").wait_for()

    assert visit(empty, shown.removeprefix(empty.url), wait=".exports").locator(f"h1:has-text('{said}')").count() == 1

    for side, (start, end) in (("A", (115, 65)), ("B", (55, 5))):
        row = page.get_by_role("group", name=side, exact=True)
        row.get_by_label("Time").select_option("custom")
        for label, minutes in (("from", start), ("to", end)):
            moment = datetime.fromtimestamp(time.time() - 60 * minutes, UTC)
            row.get_by_label(label, exact=True).fill(moment.strftime("%Y-%m-%dT%H:%M:%S"))
        row.get_by_role("button", name="apply").click()
        page.wait_for_url(re.compile(f"{side.lower()}.until=20"))
    page.locator(f"h1:has-text('{said}')").wait_for()

    assert page.url.count("%3A") == 8


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(visit: Visit, served: Server, scheme: str) -> None:
    """The page follows the system's setting; button and key switch it, and the choice is remembered."""
    page = visit(served, "/", wait=".tile", color_scheme=scheme)

    def dark() -> bool:
        return (
            int(page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor.match(/\\d+/)[0]")) < 99
        )

    assert dark() is (scheme == "dark")

    page.click("#theme")

    assert dark() is (scheme == "light")

    page.reload()

    assert dark() is (scheme == "light")

    page.keyboard.press("t")

    assert dark() is (scheme == "dark")


CLIPPED = """() => {
  const found = [];
  if (document.documentElement.scrollWidth > innerWidth) found.push("the page is wider than the screen");
  for (const box of document.querySelectorAll("main *:not(svg *):not(.plot *):not(.scroller):not(select)")) {
    const style = getComputedStyle(box);
    if (style.overflowX === "visible" || style.overflowX === "auto" || !box.clientWidth) continue;
    if (box.closest(".visually-hidden, .command")) continue;
    if (box.scrollWidth > box.clientWidth + 1) found.push(box.className + ": " + box.textContent.slice(0, 60));
  }
  return found;
}"""


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("view", VIEWS)
def test_nothing_is_clipped(visit: Visit, served: Server, view: str, width: int) -> None:
    """On a desktop and on a telephone every figure, name and ID is shown whole."""
    path, wait = VIEWS[view]
    page = visit(served, path, wait=wait, width=width, bypass_csp=True)

    assert page.evaluate(CLIPPED) == []


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("view", OF_RUNS)
def test_nothing_of_a_run_is_clipped(visit: Visit, of_runs: Server, view: str, width: int) -> None:
    """The same holds for the page of a run."""
    path, wait = OF_RUNS[view]
    page = visit(of_runs, path, wait=wait, width=width, bypass_csp=True)

    assert [text for text in page.evaluate(CLIPPED) if not text.startswith("name:")] == []


def test_run(visit: Visit, of_runs: Server) -> None:
    """A name opens its run; each moment has one colour; a request unfolds its phases and links to its page."""
    page = visit(of_runs, "/runs", wait="td a[href^='/runs/']")
    page.locator("td a[href^='/runs/']").last.click()
    page.locator(".run-row summary").first.wait_for()
    widths = "all => all.map(one => Number.parseFloat(one.getAttribute('width')))"
    coloured = page.locator(".run-row .lane rect:not(.beside)").evaluate_all(widths)

    assert 99 < sum(coloured) < 102
    assert page.locator(".run-row rect.phase-queue").count() >= 2
    assert page.locator("table.parts tr.group th").all_inner_texts()[0] in ("model", "tool")

    page.locator(".run-row summary").first.click()
    page.locator(".run-row a:visible").first.click()
    page.locator(".fall").wait_for()
    page.go_back()
    page.locator(".run-row summary").first.wait_for()
    page.keyboard.press("Escape")
    page.locator("td a[href^='/runs/']").first.wait_for()


def test_time_range(visit: Visit, served: Server) -> None:
    """A time range is chosen by fields or by dragging over the strip, and the address keeps it."""
    page = visit(served, "/requests", wait="tr[data-place]")
    page.select_option("select[name=since]", "custom")
    page.get_by_label("from", exact=True).fill("2000-01-01T00:00:00")
    page.get_by_label("to", exact=True).fill("2000-01-02T12:30:15")
    page.click("button:has-text('apply')")
    page.locator(".empty:has-text('None of 121 requests matches')").wait_for()

    assert page.url.endswith("?since=2000-01-01T00%3A00%3A00Z&until=2000-01-02T12%3A30%3A15Z")
    assert page.locator("select[name=since]").input_value() == "custom"

    page.reload()
    page.locator(".empty:has-text('None of 121 requests matches')").wait_for()

    assert page.get_by_label("to", exact=True).input_value() == "2000-01-02T12:30:15"

    page.goto(served.url + "/requests")
    page.locator(".density svg").wait_for()
    box = page.locator(".density svg").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 5, steps=4)
    page.mouse.up()
    page.wait_for_url(re.compile("since=.*&until="))
    page.locator("h2:has-text('requests on'):not(:has-text('121 '))").wait_for()

    assert 15 < int(page.locator("#requests-title").inner_text().split()[0]) < 50


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", [*VIEWS, *OF_RUNS])
def test_accessible(visit: Visit, served: Server, of_runs: Server, view: str, scheme: str) -> None:
    """Axe finds nothing wrong: names, roles, contrast, order of headings."""
    path, wait = {**VIEWS, **OF_RUNS}[view]
    page = visit(of_runs if view in OF_RUNS else served, path, wait=wait, color_scheme=scheme, bypass_csp=True)
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")

    assert [(one["id"], [node["html"][:150] for node in one["nodes"][:3]]) for one in found["violations"]] == []


@pytest.mark.parametrize(
    "name",
    [
        "<img src=x onerror=alert(1)><script>alert(2)</script>",
        "left\u202e\u2066 \x1b[31mred\x07 \u200b=HYPERLINK(1) مرحبا",
        "word " * 2_000,
        "x" * 10_000,
    ],
    ids=["tags", "controls", "many words", "one long word"],
)
def test_hostile_names_do_nothing(visit: Visit, empty: Server, name: str) -> None:
    """Names of models, tools, services and errors are text in every view and export, and break none, however long."""
    bad = [replace(r, model=name, service=name, error_type=name, agent=name) for r in (*many(30), broken())]
    send(empty, *numbered(bad))
    for path, wait in (
        ("/live", "tr[data-id]"),
        ("/requests?by=model", "tr[data-place]"),
        ("/overview?by=service", ".stack"),
        ("/why", "h1"),
        ("/compare?a.where=not+failed&b.where=failed", ".report h1"),
    ):
        page = visit(empty, path, wait=wait)

        assert page.locator("main img, main script").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    for kind, more in (("overview", "?by=model"), ("requests", ""), ("request", f"?id=req_{31:026d}")):
        for form in ("html", "json", "csv"):
            answer = page.request.get(f"{empty.url}/export/{kind}.{form}{more}")

            assert answer.status == 200
            assert "<script>alert" not in answer.text() or form != "html"

    page.goto(f"{empty.url}/requests/req_{31:026d}")
    page.locator(".fall").wait_for()

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert name[:4] in page.locator("main").inner_text()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


TRIES = """async (url) => {
  const text = async (answer) => (await answer.text()) || "opaque";
  const read = (path, options) => fetch(url + path, options).then(text).catch(() => "refused");
  const events = new Promise((done) => {
    const source = new EventSource(url + "/api/events");
    source.onmessage = () => done("read");
    source.onerror = () => done("refused");
  });
  const script = new Promise((done) => {
    const tag = document.createElement("script");
    tag.src = url + "/api/requests";
    tag.onload = () => done("loaded");
    tag.onerror = () => done("refused");
    document.body.append(tag);
  });
  return {
    data: await read("/api/requests"),
    blind: await read("/api/requests", { mode: "no-cors" }),
    events: await events,
    script: await script,
    sent: await read("/v1/traces", { method: "POST", mode: "no-cors", body: "{}" }),
  };
}"""


def test_another_origin_cannot_read(chromium: Any, served: Server, tmp_path: Path) -> None:
    """A page of another origin reads neither data nor events, frames nothing, and sends nothing to the receiver."""
    (tmp_path / "evil.html").write_text("<!doctype html><title>another page</title><body></body>")
    handler = partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        page = chromium.new_page()
        page.goto(f"http://localhost:{other.server_address[1]}/evil.html")
        before = served.collection.total
        tried = page.evaluate(TRIES, served.url)
        page.close()
        other.shutdown()

    assert tried.pop("blind") in ("opaque", "refused")
    assert tried.pop("sent") in ("opaque", "refused")
    assert set(tried.values()) == {"refused"}
    assert served.collection.total == before


def test_a_list_of_thousands(visit: Visit, empty: Server) -> None:
    """Only the rows in sight exist in the page, wherever one scrolls to."""
    write_store(empty.collection.path, numbered(many(5_000)))
    wait_for(lambda: empty.collection.total == 5_000)
    page = visit(empty, "/requests", wait="tr[data-place='0'] td.id")
    page.keyboard.press("End")
    page.locator("tr[data-place='4999'] td.id").wait_for()

    assert page.locator("tr[data-place]").count() < 100
    assert ids(page)[-1].endswith("0001")
