"""Write what the docs repeat of the code: `python docs/generate_reference.py`; `--check` compares only.

That is docs/reference.md, from groqscope.semconv, the tables of docs/audit.md that stand between marks, and
stack/scale/clickhouse/requests.sql.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from groqscope import semconv
from groqscope.audit.clickhouse_schema import statement
from groqscope.audit.clickhouse_server import TABLE
from groqscope.audit.fields import FIELDS, Field
from groqscope.audit.formatting import percent
from groqscope.audit.rules import MIN_NS, RULES

_DOCS = Path(__file__).parent
_MARKED = re.compile(r"(<!-- table: (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_HEAD = """\
# Attributes and metrics

<!-- Written by docs/generate_reference.py; change src/groqscope/semconv.py instead. -->

Every name that groqscope writes. `gen_ai.*`, `server.*`, `http.*`, `error.*` and `operation.cost` are other people's
names; `groq.*` says what Groq reports, `groqscope.*` what groqscope measures. An attribute that is not known is
absent, never 0. The last column is the field of `groqscope.RequestRecord` that the attribute carries; what has none
follows from the rest. Fields in nanoseconds, phases among them, travel as seconds.

"""
_CLICKHOUSE = """\
-- Written by docs/generate_reference.py. Columns for the fields of groqscope's records in the table of the collector's
-- ClickHouse exporter, which `groqscope audit --clickhouse` asks. Run once, and again after an update of groqscope, on
-- each node of a cluster:
--
--   clickhouse-client --multiquery < requests.sql
--
-- Rows from now on have the columns on disk; in older ones they are computed when they are read, which takes longer.

"""


def pages() -> dict[Path, str]:
    """Return each page as it should be."""
    audit = _DOCS / "audit.md"
    tables = {"fields": _fields(), "rules": _rules()}
    renewed = _MARKED.sub(lambda match: f"{match[1]}{tables[match['name']]}\n{match[3]}", audit.read_text("utf-8"))
    columns = _DOCS.parent / "stack" / "scale" / "clickhouse" / "requests.sql"
    return {
        columns: _CLICKHOUSE + statement(f"otel.{TABLE}") + ";\n",
        _DOCS / "reference.md": _HEAD + "\n".join(_sections()).rstrip() + "\n",
        audit: renewed,
    }


def _fields() -> str:
    rows = [f"| {_words(field)} | {_kind(field)} | {field.brief} |" for field in FIELDS]
    return "\n".join(["| name | kind | what it is |", "|---|---|---|", *rows])


def _words(field: Field) -> str:
    return ", ".join(f"`{name}`" for name in (field.name, *field.aliases))


def _kind(field: Field) -> str:
    return field.kind if field.kind != "number" or field.unit == "1" else field.unit


def _rules() -> str:
    rows = [
        f"| `{rule.code}` | {rule.title} | {'-' if rule.absolute is None else percent(rule.absolute)} | {rule.advice} |"
        for rule in RULES
    ]
    head = f"named from this share on (and {MIN_NS // 1_000_000} ms)"
    return "\n".join([f"| cause | time … | {head} | what one can do |", "|---|---|---|---|", *rows])


def _sections() -> Iterator[str]:
    yield "## The record span\n"
    yield (
        f"One per request, named `{semconv.SPAN_CHAT} MODEL` (for other operations theirs), of kind CLIENT; inside"
        f" another library's inference span `{semconv.SPAN_NESTED} MODEL`, INTERNAL. Marked by `{semconv.RECORD}`,"
        f" version {semconv.RECORD_VERSION} of its form.\n"
    )
    yield from _attributes(semconv.FIELDS)
    yield "### What a compound system called\n"
    yield from _attributes(semconv.USAGE_BREAKDOWN, "usage_models.")
    yield "### What follows from the others\n"
    yield from _attributes(semconv.DERIVED)
    yield "## Events of the record span\n"
    for event in semconv.EVENTS:
        field = f", one per entry of `{event.field}`" if event.field else ""
        yield f"### `{event.name}`\n\n{event.brief}{field}.\n"
        if event.attributes:
            yield from _attributes(event.attributes)
    yield "## On an enclosing span\n"
    yield "Written on another library's inference span that encloses the record's.\n"
    yield from _attributes(semconv.SUMMARY)
    yield "## Child spans\n"
    yield "For trace viewers; readers of records do not need them.\n"
    yield f"- `{semconv.SPAN_TOOL_CALL} NAME`: a tool call coming together, with its event's attributes but the choice"
    yield (
        f"- `{semconv.SPAN_EXECUTED_TOOL} NAME`: a tool that Groq ran, with `{semconv.OPERATION_NAME}`,"
        f" `{semconv.TOOL_NAME}` and `{semconv.TOOL_TYPE}`"
    )
    yield (
        f"- `{semconv.SPAN_ATTEMPT}` (the method): an HTTP attempt, when there was more than one, with"
        f" `http.request.method`, `url.full`, `{semconv.SERVER_ADDRESS}`, `{semconv.SERVER_PORT}`,"
        f" `{semconv.HTTP_STATUS}`, `{semconv.ERROR_TYPE}`, `{semconv.RETRY_AFTER}` and, from the second on,"
        " `http.request.resend_count`"
    )
    yield f"- {', '.join(f'`{name}`' for name in semconv.SPAN_PHASES)}: phases, with `{semconv.PHASE}`\n"
    yield "## Content, when asked for\n"
    yield (
        f"On the record span, or on a log record with the event name `{semconv.LOG_CONTENT}`, as"
        " [Content and privacy](content.md#asking-for-it) says; JSON in the conventions' form.\n"
    )
    yield from _attributes(semconv.CONTENT)
    yield "## Metrics\n"
    yield from _metrics()


def _attributes(attributes: Iterable[semconv.Attribute], prefix: str = "") -> Iterator[str]:
    yield "| attribute | what it says | type, unit | field |\n| --- | --- | --- | --- |"
    for a in attributes:
        unit = f", {a.unit}" if a.unit else ""
        field = f"`{prefix}{a.field}`" if a.field else ""
        yield f"| `{a.name}` | {_cell(a.brief)} | {a.type}{unit} | {field} |"
    yield ""


def _metrics() -> Iterator[str]:
    common = semconv.METRIC_TTFC.attributes
    yield f"*The usual* attributes are {_names(common)}, each where it is known.\n"
    yield "| metric | what it measures | kind, unit | attributes |\n| --- | --- | --- | --- |"
    for m in semconv.METRICS:
        usual = set(common) <= set(m.attributes)
        own = _names(name for name in m.attributes if not usual or name not in common)
        attributes = ", ".join(part for part in ("the usual" if usual else "", own) if part)
        yield f"| `{m.name}` | {_cell(m.brief)} | {m.kind}, {m.unit} | {attributes} |"
    yield ""
    bounds = {m.buckets: [] for m in semconv.METRICS if m.buckets}
    for m in semconv.METRICS:
        if m.buckets:
            bounds[m.buckets].append(f"`{m.name}`")
    yield "Bounds of the histograms:\n"
    for buckets, names in bounds.items():
        yield f"- {', '.join(names)}: {', '.join(f'{b:.10g}' for b in buckets)}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    """Write the pages, or say which of them are not those in the repository."""
    stale = {page: text for page, text in pages().items() if page.read_text("utf-8") != text}
    if "--check" not in sys.argv[1:]:
        for page, text in stale.items():
            page.write_text(text, "utf-8")
        return 0
    for page in stale:
        print(f"{page.name} is not what the code says: run python docs/{Path(__file__).name}", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
