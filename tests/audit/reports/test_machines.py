"""JSON, CSV and Markdown: everything a report shows, for programs and pull requests."""

import csv
import json
from collections.abc import Callable
from dataclasses import fields, replace
from io import StringIO
from typing import Any

import pytest
from support import report_samples
from support.docs import DOCS, script
from support.report_samples import SAMPLES, compared, explained, judged, nothing, overview
from support.run_samples import several_runs, slow_run

from groqscope.audit import AUDIT_VERSION
from groqscope.audit.reports import CsvRenderer, JsonRenderer, MarkdownRenderer, Section
from groqscope.timeline import RequestRecord

Snapshot = Callable[[str, str], None]


@pytest.fixture(params=SAMPLES, scope="module")
def record(request: pytest.FixtureRequest) -> RequestRecord:
    return SAMPLES[request.param]()


SCHEMA = script("generate_schema").schema()


def parsed(report: Any, section: Section = "all") -> Any:
    return json.loads(JsonRenderer().render(report, section), parse_constant=pytest.fail)


def rows(report: Any, section: Section = "all") -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(CsvRenderer().render(report, section))))


def misfits(value: Any, schema: Any, root: Any, at: str = "$") -> list[str]:
    """Hold JSON against the parts of JSON Schema that ours uses."""
    if "$ref" in schema:
        return misfits(value, root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root, at)
    if choices := schema.get("anyOf"):
        tried = [misfits(value, choice, root, at) for choice in choices]
        return [] if [] in tried else min(tried, key=len)
    if "const" in schema or "enum" in schema:
        return [] if value in schema.get("enum", [schema.get("const")]) else [f"{at}: {value!r}"]
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if kind_of(value) not in kinds and not (kind_of(value) == "integer" and "number" in kinds):
        return [f"{at}: {value!r} is no {kinds}"]
    found: list[str] = []
    if isinstance(value, dict):
        described = schema.get("properties") or dict.fromkeys(value, schema["additionalProperties"])
        found += [f"{at}: {name}" for name in value.keys() ^ described.keys()]
        for name, of in described.items():
            found += misfits(value.get(name), of, root, f"{at}.{name}")
    elif isinstance(value, list):
        items = schema.get("prefixItems", [schema.get("items")] * len(value))
        for index, (item, of) in enumerate(zip(value, items, strict=True)):
            found += misfits(item, of, root, f"{at}[{index}]")
    return found


def kind_of(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
    return names.get(type(value), "null")


@pytest.mark.parametrize(
    ("report", "section"),
    [
        (explained, "all"),
        (explained, "why"),
        (explained, "tools"),
        (explained, "budgets"),
        (nothing, "all"),
        (compared, "all"),
        (several_runs, "all"),
        (slow_run, "all"),
        *((lambda make=make: judged(make()), "all") for make in SAMPLES.values()),
        *((make, "all") for make in SAMPLES.values()),
    ],
)
def test_json_fits_its_schema(report: Callable[[], Any], section: Section) -> None:
    """What is written is what the schema describes, nothing more and nothing less."""
    data, root = parsed(report(), section), SCHEMA
    (described,) = [kind for kind in root["oneOf"] if kind["properties"]["kind"]["const"] == data["kind"]]

    assert misfits(data, described, root) == []


def test_schema_is_in_the_documentation() -> None:
    """The file in docs is what the dataclasses say."""
    assert (DOCS / "audit.schema.json").read_text("utf-8") == json.dumps(SCHEMA, indent=2, ensure_ascii=False) + "\n"


def test_json_has_every_field(record: RequestRecord) -> None:
    """A record is there field by field, with its derived figures and the rows of its waterfall."""
    data = parsed(judged(record))
    found = data["record"]

    assert (data["schema_version"], data["kind"]) == (AUDIT_VERSION, "request")
    assert {field.name for field in fields(RequestRecord)} <= found.keys()
    assert found["duration_ns"] == record.duration_ns
    assert found["tpot"] == record.tpot
    assert found["waterfall"]["total_ns"] == record.duration_ns


@pytest.mark.parametrize(
    ("report", "kind"),
    [
        (explained, "overview"),
        (nothing, "overview"),
        (compared, "comparison"),
        (report_samples.streamed, "record"),
        (several_runs, "runs"),
        (slow_run, "run"),
    ],
)
def test_json_kinds(report: Callable[[], Any], kind: str) -> None:
    """Each kind of report says which it is."""
    assert parsed(report())["kind"] == kind


def test_json_section() -> None:
    """A section is the same data as in the whole."""
    whole, part = parsed(explained()), parsed(explained(), "why")

    assert part["kind"] == "why"
    assert part["why"] == whole["why"]
    assert "models" not in part


def test_json_of_what_is_no_number() -> None:
    """Infinity is not JSON: it is not known."""
    record = replace(report_samples.streamed(), cost=float("inf"))

    assert parsed(record)["cost"] is None


def test_csv_has_a_line_a_request() -> None:
    """Requests in the order of the report, with their verdict."""
    audit = explained()
    found = rows(audit)

    assert [row["request_id"] for row in found] == [entry.record.request_id for entry in audit.entries]
    assert [row["verdict"] for row in found] == [entry.verdict.sentence for entry in audit.entries]


def test_csv_columns_do_not_depend_on_the_data(record: RequestRecord) -> None:
    """The header is always the same; what is not known is empty."""
    (found,) = rows(judged(record))

    assert found.keys() == rows(judged(report_samples.empty()))[0].keys()
    assert found["ttfc_ns"] == ("" if record.ttfc_ns is None else str(record.ttfc_ns))
    assert found["attempts"] == str(len(record.attempts))
    assert found["phases.network"] == ("" if record.phases.network is None else str(record.phases.network))


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1", "-1", "@x"])
def test_csv_is_no_formula(name: str) -> None:
    """A spreadsheet does not calculate what a model is called."""
    (found,) = rows(replace(report_samples.streamed(), model=name))

    assert found["model"] == f"'{name}"


def test_csv_sections() -> None:
    """Tools, causes, budgets and comparisons have columns of their own."""
    assert [row["name"] for row in rows(explained(), "tools")] == ["get_weather", "search_catalogue"]
    assert [row["code"] for row in rows(explained(), "why")] == ["retries", "queue"]
    assert [row["verdict"] for row in rows(explained(), "budgets")] == ["ok", "inconclusive", "over", "measured"]
    assert [row["measure"] for row in rows(compared())] == ["duration", "tpot", "phase.consume", "duration"]
    assert rows(replace(explained(), why=None), "why") == []


def test_markdown(snapshot: Snapshot) -> None:
    """An overview, a request and a comparison for a pull request."""
    renderer = MarkdownRenderer()

    snapshot("overview.md", renderer.render(explained()))
    snapshot("request.md", renderer.render(judged(report_samples.queued())))
    snapshot("comparison.md", renderer.render(compared()))


@pytest.mark.parametrize("section", ["why", "tools", "budgets"])
def test_markdown_section(section: Section) -> None:
    """A section stands alone, unfolded."""
    text = MarkdownRenderer().render(explained(), section)

    assert "<details>" not in text
    assert text.count("\n| --- ") == 1


def test_markdown_of_every_record(record: RequestRecord) -> None:
    """The waterfall stands in a block that no name can end."""
    text = MarkdownRenderer().render(record)

    assert text.count("```") == 2


def test_markdown_escapes() -> None:
    """Names from data neither format, nor mention anybody, nor break a table."""
    tricky = "a|b `c` *d* @octocat <img src=x> [e](f)"
    record = replace(report_samples.streamed(), model=tricky)
    text = MarkdownRenderer().render(overview([record]))

    assert r"a\|b \`c\` \*d\* &#64;octocat &lt;img src=x&gt; \[e\](f)" in text
    assert "<img" not in text


def test_markdown_fence_grows() -> None:
    """Text with a fence in it stands in a longer one."""
    record = replace(report_samples.streamed(), service="```", model="m")
    text = MarkdownRenderer().render(record)

    assert text.count("````") == 2
