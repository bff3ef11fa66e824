"""The page in a real browser: sorting, searching, opening, moving, light and dark, ten thousand requests."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support import report_samples
from support.report_samples import compared, explained, judged, many, overview

from groqscope.audit import Audit
from groqscope.audit.reports import HtmlRenderer, Report

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    # The driver's own loop: closed when the session ends.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

Open = Callable[..., Any]


@pytest.fixture
def visit(chromium: Any, tmp_path: Path) -> Iterator[Open]:
    """Open a report; an error of the page or anything it wants to load fails the test."""
    pages: list[Any] = []
    wrong: list[str] = []

    def visit(report: Report, address: str = "", **options: Any) -> Any:
        path = tmp_path / "report.html"
        path.write_text(HtmlRenderer().render(report), encoding="utf-8")
        page = chromium.new_page(viewport={"width": 1300, "height": 900}, **options)
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text))
        page.on(
            "request", lambda request: wrong.append(request.url) if request.url[:5] not in ("file:", "data:") else None
        )
        page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
        page.goto(path.as_uri() + address)
        pages.append(page)
        return page

    yield visit
    for page in pages:
        page.close()

    assert wrong == []


def mixed() -> Audit:
    records = [
        report_samples.retried(),
        report_samples.streamed(),
        report_samples.tool_calls(),
        report_samples.broken(),
    ]
    return overview([replace(r, start_unix_ns=r.start_unix_ns + i * 10**9) for i, r in enumerate(records)], listed=None)


def column(page: Any, key: str) -> list[str]:
    return page.locator(f"#rows td.{key}").all_text_contents()


def test_list(visit: Open) -> None:
    """The list shows each request, newest first."""
    page = visit(mixed())

    assert column(page, "model") == [
        "llama-3.3-70b-versatile",
        "openai/gpt-oss-120b",
        "llama-3.3-70b-versatile",
        "llama-3.3-70b-versatile",
    ]
    assert column(page, "outcome") == ["capacity_exceeded", "completed", "completed", "completed"]
    assert page.locator("#matches").text_content() == "4 requests"


def test_sort(visit: Open) -> None:
    """A head sorts by its column, again the other way round; what is not known stays last."""
    page = visit(mixed())
    page.click("#heads th:has-text('cost') button")

    assert column(page, "cost") == ["$0.00067", "$0.00028", "$0.00026", "-"]
    assert page.get_attribute("#heads th:has-text('cost')", "aria-sort") == "descending"

    page.click("#heads th:has-text('cost') button")

    assert column(page, "cost") == ["$0.00026", "$0.00028", "$0.00067", "-"]


def test_sort_is_remembered(visit: Open) -> None:
    """The order chosen is there again after the page was loaded again."""
    page = visit(mixed())
    page.click("#heads th:has-text('total') button")
    page.reload()

    assert page.get_attribute("#heads th:has-text('total')", "aria-sort") == "descending"
    assert column(page, "total")[0] == "2,428.8"


def test_search(visit: Open) -> None:
    """Words narrow the list down, by what is seen and by tools and ids; Escape empties the field."""
    page = visit(mixed())
    page.keyboard.press("/")
    page.keyboard.type("GET_weather oss")

    assert column(page, "model") == ["openai/gpt-oss-120b"]
    assert page.locator("#matches").text_content() == "1 of 4 requests"

    page.keyboard.type(" nothing")

    assert page.locator("#rows").text_content() == "No request matches."

    page.keyboard.press("Escape")

    assert len(column(page, "model")) == 4


def test_filter(visit: Open) -> None:
    """A button shows only the requests of its kind; kinds that do not occur have none."""
    page = visit(mixed())
    page.click("#filters button:has-text('retried')")

    assert column(page, "total") == ["2,428.8"]
    assert page.get_attribute("#filters button:has-text('retried')", "aria-pressed") == "true"
    assert page.locator("#filters button:has-text('left early')").count() == 0


def test_open_by_click(visit: Open) -> None:
    """A click opens the waterfall: phases, attempts, chunks, each with a label; Escape closes it."""
    page = visit(mixed())
    page.click("#rows tr:has-text('2,428.8')")
    labels = [item.get_attribute("aria-label") for item in page.locator(".fall [role=listitem]").all()]

    assert page.locator(".fall").get_attribute("role") == "list"
    assert "retry, 1,979.1 ms, 81.4%, from 1.9 ms, 2 failed attempts" in labels
    assert "queue, 4.2 ms, 0.1%" in labels
    assert any(label.startswith("attempt 2, 49.6 ms") and "then slept 1,207.0" in label for label in labels)
    assert page.locator(".fall .tick").count() > 10
    assert page.url.endswith("#req_01k9zq7m0002fzv8a2t6p4x1c3d")

    page.keyboard.press("Escape")

    assert page.locator("#detail").is_hidden()
    assert "#" not in page.url


def test_bars_stand_where_the_time_was(visit: Open) -> None:
    """In the drawing every phase begins where the one before it ends, and the last ends at the right edge."""
    page = visit(judged(report_samples.cold()))
    bars = page.locator(".fall .row > svg.bar")
    boxes = [bar.bounding_box() for bar in bars.all()]
    edge = page.locator(".fall .grid").last.bounding_box()["x"]

    assert len(boxes) == 7
    for before, after in pairwise(boxes):
        # A phase of next to nothing is drawn a little longer than it is.
        assert after["x"] == pytest.approx(before["x"] + before["width"], abs=2.5)
    assert boxes[-1]["x"] + boxes[-1]["width"] == pytest.approx(edge, abs=2.5)


def test_tool_call_is_drawn(visit: Open) -> None:
    """Tool calls are rows of their own, one that is not JSON marked."""
    page = visit(judged(report_samples.tool_calls()))

    assert page.locator(".fall .row[aria-label^='search_catalogue, 42.6 ms'] .bar-failed").count() == 1
    assert page.locator(".fall .row[aria-label^='get_weather, 29.8 ms'] .plain").count() == 1


def test_keyboard(visit: Open) -> None:
    """Arrows move, Enter opens, arrows then go from request to request."""
    page = visit(mixed())
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")

    assert page.locator("#rows tr[aria-selected=true]").get_attribute("data-place") == "1"

    page.keyboard.press("Enter")

    assert "openai/gpt-oss-120b" in page.locator("#detail .head").text_content()

    page.keyboard.press("j")

    assert "761.4 ms" in page.locator("#detail .head").text_content()

    page.keyboard.press("Home")

    assert "capacity_exceeded" in page.locator("#detail").text_content()

    page.keyboard.press("Escape")
    page.keyboard.press("End")

    assert page.locator("#rows tr[aria-selected=true]").get_attribute("data-place") == "3"
    assert page.evaluate("document.activeElement.dataset.place") == "3"


def test_buttons_of_an_open_request(visit: Open) -> None:
    """The panel has buttons for the neighbours and to close."""
    page = visit(mixed())
    page.click("#rows tr[data-place] >> nth=1")
    page.click("#detail button[aria-label='Next request']")

    assert "761.4 ms" in page.locator("#detail .head").text_content()

    page.click("#detail button[aria-label='Close']")

    assert page.locator("#detail").is_hidden()


def test_address_opens_a_request(visit: Open) -> None:
    """A link to the page and an id shows that request."""
    page = visit(mixed(), "#req_01k9zq7m0004fzv8a2t6p4x1c3d")

    assert "openai/gpt-oss-120b" in page.locator("#detail .head").text_content()


@pytest.mark.wall_clock  # a browser on a busy machine keeps what it remembers a little later
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(visit: Open, scheme: str) -> None:
    """The page follows the system, and the button turns it over, for the next time too."""
    page = visit(explained(), color_scheme=scheme)

    def shows(dark: bool) -> None:
        brightness = "getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]"
        page.wait_for_function(f"({brightness} < 128) === {str(dark).lower()}")

    shows(scheme == "dark")

    page.click("#theme")

    shows(scheme == "light")

    page.reload()

    shows(scheme == "light")


def test_hostile_names_do_nothing(visit: Open) -> None:
    """Tool names with tags and controls are text, in the list, the tables and the waterfall."""
    page = visit(overview([report_samples.huge()]))
    page.click("#rows tr[data-place]")

    assert page.locator("#detail").text_content().count("<script>alert(0)</script>\\x1b[31m[bold]") >= 1
    assert page.locator("script").count() == 3


def test_comparison(visit: Open) -> None:
    """A comparison is a page as well."""
    page = visit(compared())

    assert page.locator("h1").text_content() == "llama-3.3-70b-versatile is slower: median +60%."
    assert page.locator("td.bad").first.text_content() == "slower"
    assert page.locator("#requests").is_hidden()


CLIPPED = """() => {
  const found = [];
  if (document.documentElement.scrollWidth > innerWidth) found.push("the page");
  for (const box of document.querySelectorAll("body *:not(svg *)")) {
    const hides = getComputedStyle(box).overflowX !== "visible";
    const cut = hides && box.clientWidth && box.scrollWidth > box.clientWidth + 1;
    if (cut) found.push(box.className + ": " + box.textContent);
  }
  for (const fall of document.querySelectorAll("svg.fall")) {
    const edge = fall.getBoundingClientRect();
    const texts = [...fall.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
    texts.forEach(([text, box], index) => {
      if (box.left < edge.left - 1 || box.right > edge.right + 1) found.push("outside: " + text);
      for (const [other, its] of texts.slice(index + 1)) {
        const wide = Math.min(box.right, its.right) - Math.max(box.left, its.left);
        const high = Math.min(box.bottom, its.bottom) - Math.max(box.top, its.top);
        if (wide > 1 && high > 4) found.push(text + " over " + other);
      }
    });
  }
  return found;
}"""
"""What a reader cannot read: cut off by its box, out of the picture, or below another text."""
PAGES: dict[str, Callable[[], Report]] = {
    "overview": lambda: overview(many(150), listed=None, budgets=("ttfc.p95 < 400ms", "errors < 1%")),
    "long names": lambda: overview(
        [replace(report_samples.retried(), model="meta-llama/llama-4-maverick-17b-128e-instruct")], listed=None
    ),
    "tool calls": lambda: judged(report_samples.tool_calls()),
    "retried": lambda: judged(report_samples.retried()),
    "slow consumer": lambda: judged(report_samples.slow_consumer()),
    "compound": lambda: judged(report_samples.compound()),
    "comparison": compared,
}


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_clipped(visit: Open, name: str, width: int) -> None:
    """On a desk and on a telephone every cost, id and label is whole, in the page and in a request opened from it."""
    page = visit(PAGES[name]())
    page.set_viewport_size({"width": width, "height": 800})
    page.reload()

    assert page.evaluate(CLIPPED) == []

    if page.locator("#rows tr[data-place]").count():
        page.click("#rows tr[data-place] >> nth=0")

        assert page.evaluate(CLIPPED) == []


def test_list_on_a_telephone(visit: Open) -> None:
    """A request is three lines: model, total, outcome, cost, time and id; the keys still go from one to the next."""
    page = visit(mixed())
    page.set_viewport_size({"width": 390, "height": 800})
    page.reload()
    row = page.locator("#rows tr[data-place] >> nth=1")

    assert [
        key for key in ("model", "total", "outcome", "cost", "time", "id") if row.locator(f"td.{key}").is_visible()
    ] == [*("model", "total", "outcome", "cost", "time", "id")]
    assert row.bounding_box()["height"] == 66
    page.keyboard.press("End")
    assert page.locator("#rows tr[aria-selected=true]").get_attribute("data-place") == "3"


@pytest.mark.wall_clock
def test_ten_thousand_requests(visit: Open) -> None:
    """Loading takes seconds at most; sorting, searching, scrolling and opening a fraction of one; few rows exist."""
    begin = time.perf_counter()
    page = visit(overview(many(10_000), listed=None, why=False))
    page.locator("#rows tr[data-place] >> nth=5").wait_for()
    loaded = time.perf_counter() - begin
    took = page.evaluate(
        """async () => {
          const next = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
          const time = async (act) => {
            const begin = performance.now();
            act();
            await next();
            return performance.now() - begin;
          };
          const search = document.getElementById("search"), scroller = document.getElementById("scroller");
          const type = (text) => { search.value = text; search.dispatchEvent(new Event("input")); };
          return {
            sort: await time(() => document.querySelectorAll("#heads button")[3].click()),
            search: await time(() => type("llama 99")),
            all: await time(() => type("")),
            scroll: await time(() => { scroller.scrollTop = 150000; }),
            open: await time(() => document.querySelector("#rows tr[data-place]").click()),
          };
        }"""
    )

    assert page.locator("#matches").text_content() == "10,000 requests"
    assert page.locator("#rows tr").count() < 100
    assert page.locator("#detail .fall").count() == 1
    assert loaded < 20
    assert max(took.values()) < 1_000
    figures = ", ".join(f"{name} {ms:.0f} ms" for name, ms in took.items())
    print(f"10,000 requests: {loaded:.1f} s to write, load and draw; {figures}")
