"""The page as text: one file, nothing from outside, nothing from data that is not escaped."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from support import report_samples
from support.report_samples import SAMPLES, compared, explained, judged, many, nothing, overview

from groqscope.audit.reports import HtmlRenderer
from groqscope.audit.reports.html import Markup, embedded, join, tag
from groqscope.timeline import RequestRecord

HOSTILE = "</script><script>alert(1)</script>\x00\x1b[31m\u2028<!--"


class Reader(HTMLParser):
    """Notes elements, their attributes and the text of scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self.open: list[str] = []
        self._script: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "input", "br"):
            self.open.append(tag)
        if tag == "script":
            self._script = dict(attrs).get("id") or "code"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self._script = None

    def handle_data(self, data: str) -> None:
        if self._script:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data


def read(page: str) -> Reader:
    reader = Reader(page)
    assert reader.open == []
    return reader


@pytest.fixture(params=SAMPLES, scope="module")
def record(request: pytest.FixtureRequest) -> RequestRecord:
    return SAMPLES[request.param]()


@pytest.mark.parametrize("report", [explained, nothing, compared])
def test_page_is_well_formed(report: Callable[[], Any]) -> None:
    """Every element is closed; the three scripts are data, details and code."""
    assert read(HtmlRenderer().render(report())).scripts.keys() >= {"data", "code"}


def test_page_of_one_request(record: RequestRecord) -> None:
    """A request has a page, its waterfall as data: the client's rows add up."""
    page = read(HtmlRenderer().render(judged(record)))
    data, detail = json.loads(page.scripts["data"]), json.loads(page.scripts["details"])

    assert data["kind"] == "request"
    assert detail["total"] == record.duration_ns
    assert sum(row[3] for row in detail["rows"] if row[0] == "client") == record.duration_ns


def test_record_alone_has_a_page() -> None:
    """A record without a verdict says how it ended."""
    assert "Failed: capacity_exceeded" in HtmlRenderer().render(report_samples.broken())


def test_page_loads_nothing() -> None:
    """No address is asked for anything: neither by an element nor by the style."""
    page = HtmlRenderer().render(explained())
    for _, attributes in read(page).elements:
        assert "src" not in attributes
        assert (attributes.get("href") or "data:").startswith("data:")

    assert not re.search(r"url\((?!#)|@import", page)
    assert "default-src 'none'" in page


def test_every_request_has_its_line() -> None:
    """There is one line of details for each row of the list."""
    page = read(HtmlRenderer().render(overview(many(40), listed=None)))
    rows = json.loads(page.scripts["data"])["requests"]

    assert [json.loads(line)["head"][0] for line in page.scripts["details"].split("\n")] == [row["id"] for row in rows]


def test_hostile_names_stay_text() -> None:
    """A name that ends scripts, comments and lines does none of it."""
    record = replace(report_samples.tool_calls(), model=HOSTILE, request_id=HOSTILE, service=HOSTILE)
    calls = tuple(replace(call, name=HOSTILE) for call in record.tool_calls)
    audit = overview([replace(record, tool_calls=calls)])
    plain = HtmlRenderer().render(overview([report_samples.tool_calls()]))
    page = HtmlRenderer().render(replace(audit, sentence=HOSTILE))

    assert [name for name, _ in read(page).elements].count("script") == 3
    assert page.count("</script") == plain.count("</script")
    assert not set(map(ord, page)) & {0, 0x1B, 0x2028}


def test_embedded_json_is_json() -> None:
    """JSON escaped for the page reads back unchanged."""
    data = {"a": "</script>&\u2028", "b": [1, None]}

    assert json.loads(embedded(data)) == data
    assert "<" not in embedded(data)


def test_markup_escapes_text_and_attributes() -> None:
    """Text is escaped; only markup stays markup."""
    made = tag("a", "<b>", tag("i", "&"), class_='"x"', aria_label=None, data_n=3)

    assert made == '<a class="&quot;x&quot;" data-n="3">&lt;b&gt;<i>&amp;</i></a>'
    assert join("\x07", Markup("<br>")) == "\\x07<br>"


def test_same_figures_as_the_terminal() -> None:
    """The page's table and waterfall have the terminal's numbers."""
    record = report_samples.streamed()
    detail = json.loads(read(HtmlRenderer().render(judged(record))).scripts["details"])
    texts = {row[1]: row[6] for row in detail["rows"] if row[0] == "client"}

    assert texts["wait"] == "143.5"
    assert texts["stream"] == "614.4"


def test_thousands_of_models():
    """A page shows the models that took the most time, and says how many more there are."""
    records = [replace(record, model=f"model-{number:04}") for number, record in enumerate(many(1500))]
    page = HtmlRenderer().fragment(overview(records, listed=0))

    assert "1,400 more models, which took less time; JSON has all" in page
    assert len(page) < 1_000_000
    assert "more model" not in HtmlRenderer().fragment(overview(many(50), listed=0))
