"""Reports as CSV: a line for each request, or for each measure of a comparison.

The columns are all fields of the record, always in the same order; units are in the names (`*_ns`,
phases in nanoseconds too), empty is "not known".
"""

import csv
from collections.abc import Callable, Iterable
from dataclasses import fields
from io import StringIO
from operator import attrgetter
from typing import Any, Final

from groqscope.audit.formatting import visible
from groqscope.audit.model import Audit, Change, Comparison, Group, RequestAudit, Verdict
from groqscope.audit.reports.json import DERIVED, run_data
from groqscope.audit.reports.rendering import Report, Section
from groqscope.audit.reports.runs import run_rows
from groqscope.audit.runs import RunAudit, RunEntry, RunsAudit
from groqscope.runs import PART_KINDS
from groqscope.timeline import Phases, RateLimits, RequestRecord, Usage

_NESTED: Final[dict[str, type]] = {"phases": Phases, "usage": Usage, "rate_limits": RateLimits}
_COUNTED: Final = ("usage_deltas", "usage_models", "tool_calls", "executed_tools", "attempts")
"""Tuples of objects: the CSV has how many there are."""
_LEFT_OUT: Final = ("timeline_us", "timeline_stride")
_FORMULA: Final = ("=", "+", "-", "@")
_CHANGE: Final = tuple(field.name for field in fields(Change))


class CsvRenderer:
    """CSV with a header, lines ended by a line feed."""

    def render(self, report: Report, section: Section = "all") -> str:
        """Return the requests of a report; of the tools and the budgets of an overview, theirs."""
        out = StringIO()
        writer = csv.writer(out, lineterminator="\n")
        for line in _lines(report, section):
            writer.writerow([_cell(value) for value in line])
        return out.getvalue()


def _lines(report: Report, section: Section) -> Iterable[Iterable[Any]]:  # noqa: PLR0911 - one for each report
    match report:
        case Comparison():
            return _comparison(report)
        case RunsAudit() | Audit() if section == "groups":
            return _objects(_groups(report), _GROUP, ("duration",))
        case RunsAudit():
            return _runs(report.entries)
        case RunAudit():
            return _run(report.entry)
        case Audit() if section in _SECTIONS:
            get, names, distributions = _SECTIONS[section]
            return _objects(get(report), names, distributions)
        case Audit():
            return _requests((entry.record, entry.verdict) for entry in report.entries)
        case RequestAudit():
            return _requests([(report.record, report.verdict)])
        case _:
            return _requests([(report, None)])


def _groups(report: RunsAudit | Audit) -> Iterable[object]:
    found = report.groups
    return () if found is None else (*found.groups, *((found.others,) if found.others is not None else ()))


_GROUP: Final = tuple(field.name for field in fields(Group) if field.name != "duration")


def _causes(audit: Audit) -> Iterable[object]:
    return audit.why.causes if audit.why is not None else ()


_SECTIONS: Final[dict[str, tuple[Callable[[Audit], Iterable[object]], tuple[str, ...], tuple[str, ...]]]] = {
    "tools": (
        attrgetter("tools"),
        ("name", "calls", "requests", "invalid", "unchecked"),
        ("assembly", "arguments_size"),
    ),
    "budgets": (
        attrgetter("budgets"),
        ("expression", "source", "measured", "operator", "limit", "unit", "n", "verdict", "note"),
        (),
    ),
    "why": (_causes, ("code", "title", "requests", "ns", "share", "usual_ns", "sentence", "advice"), ()),
}
"""Where a section's objects are, which of their fields are columns, and which of those are distributions."""


def _requests(pairs: Iterable[tuple[RequestRecord, Verdict | None]]) -> Iterable[Iterable[Any]]:
    yield [*COLUMNS, "slow", "verdict"]
    for record, verdict in pairs:
        judged = (verdict.slow, verdict.sentence) if verdict is not None else (None, None)
        yield [*(get(record) for get in COLUMNS.values()), *judged]


def _columns() -> dict[str, Callable[[RequestRecord], Any]]:
    columns: dict[str, Callable[[RequestRecord], Any]] = {}
    for field in fields(RequestRecord):
        name = field.name
        if name in _NESTED:
            columns.update({f"{name}.{part.name}": attrgetter(f"{name}.{part.name}") for part in fields(_NESTED[name])})
        elif name in _COUNTED:
            columns[name] = _count_of(name)
        elif name not in _LEFT_OUT:
            columns[name] = attrgetter(name)
    columns.update({name: attrgetter(name) for name in DERIVED})
    return columns


def _count_of(name: str) -> Callable[[RequestRecord], int]:
    return lambda record: len(getattr(record, name))


COLUMNS: Final = _columns()
"""Column and how to get it from a record."""

_QUANTILES: Final = ("n", "min", "p50", "p90", "p95", "p99", "max", "unit")


def _objects(
    objects: Iterable[object], names: tuple[str, ...], distributions: tuple[str, ...]
) -> Iterable[Iterable[Any]]:
    yield [*names, *(f"{name}.{part}" for name in distributions for part in _QUANTILES)]
    for one in objects:
        values = [getattr(one, name) for name in names]
        yield values + [getattr(getattr(one, name), part) for name in distributions for part in _QUANTILES]


def _comparison(comparison: Comparison) -> Iterable[Iterable[Any]]:
    yield ["model", "measure", "unit", "n_a", "n_b", *(f"{of}.{name}" for of in ("median", "p95") for name in _CHANGE)]
    for row in comparison.rows:
        changes = [getattr(change, name) for change in (row.median, row.p95) for name in _CHANGE]
        yield [row.model, row.measure, row.unit, row.n_a, row.n_b, *changes]


_RUN: Final = (
    *("id", "trace_id", "name", "service", "agent", "conversation", "user", "start_unix_ns", "duration_ns", "failed"),
    *("interrupted", "requests", "retries", "input_tokens", "output_tokens", "cost", "unpriced", "first_answer_ns"),
    *("first_audio_ns", "overlap_saved_ns", "cached_share", "cache_saved", "cache_lost", "missed_prefill_ns"),
)


def _runs(entries: Iterable[RunEntry]) -> Iterable[Iterable[Any]]:
    yield [*_RUN, "tools", *(f"{kind}_ns" for kind in PART_KINDS), "sentence"]
    for entry in entries:
        data, run = run_data(entry.run), entry.run
        yield [*(data[name] for name in _RUN), len(run.tools), *map(run.time_in, PART_KINDS), entry.sentence]


def _run(entry: RunEntry) -> Iterable[Iterable[Any]]:
    yield ["depth", "name", "kind", "start_ns", "length_ns", "waited_ns", "failed", "note", "id"]
    for row in run_rows(entry.run):
        yield [row.depth, row.name, row.kind, row.start_ns, row.length_ns, row.waited_ns, row.failed, row.note, row.id]


def _cell(value: Any) -> str | int | float:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    text = visible(";".join(map(str, value)) if isinstance(value, tuple) else str(value))
    # A spreadsheet takes text that begins like this for a formula.
    return f"'{text}" if text.startswith(_FORMULA) else text
