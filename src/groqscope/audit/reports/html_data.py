"""What the page's script draws: texts and lengths, every number written out already.

The list is one object; each request's waterfall is a line of JSON of its own, so that the page reads only those opened.
"""

from collections.abc import Sequence
from typing import Any, Final

from groqscope.audit.fields import FAILED, LEFT
from groqscope.audit.formatting import UNKNOWN, Unit, count, moment, money, rate, share, visible
from groqscope.audit.model import Entry, Verdict
from groqscope.audit.reports.facts import UNFINISHED, facts, footnotes, headline, model_of, record_id
from groqscope.audit.reports.figures import Figure, figures
from groqscope.audit.reports.waterfall import Row, density, phase_label, waterfall
from groqscope.timeline import RequestRecord

DENSITY_BINS: Final = 120
_LEVELS: Final = 9
_MIN_PERCENT: Final = 0.5

GROUPS: Final = {
    "client": ("client", ""),
    "attempt": ("attempts", "with the back-off the SDK slept"),
    "tool": ("tool calls", "from the last thing you saw to the complete call"),
    "executed": ("Groq's tools", "run on Groq's side"),
    "server": ("server", "reported by Groq: lengths without a position"),
}
LEGEND: Final = "Hatched: a length without a position, or time in which nothing was asked."
COLUMNS: Final = (
    {"key": "time", "title": "time, UTC"},
    {"key": "model", "title": "model", "style": "cut"},
    {"key": "outcome", "title": "outcome", "style": "cut"},
    {"key": "total", "title": "total", "right": True},
    {"key": "phases", "title": "phases"},
    {"key": "first", "title": "first chunk", "right": True},
    {"key": "in", "title": "in", "right": True},
    {"key": "out", "title": "out", "right": True},
    {"key": "rate", "title": "tokens/s", "right": True},
    {"key": "tools", "title": "tools", "right": True},
    {"key": "retries", "title": "retries", "right": True},
    {"key": "cost", "title": "cost", "right": True},
    {"key": "id", "title": "id", "style": "mono"},
)
_FILTERS: Final = (
    ("failed", "failed"),
    ("dropped", "dropped"),
    ("retried", "retried"),
    ("slow", "slow"),
    ("tools", "tools"),
)


def tone(part: float) -> str:
    """Name the colour of a share of the whole."""
    return "hot" if part > 0.6 else "warm" if part > 0.2 else "mild" if part > 0.05 else "cool"  # noqa: PLR2004 - the thresholds


def list_data(entries: Sequence[Entry], unit: Unit) -> dict[str, Any]:
    """Give the list."""
    days = {moment(entry.record.start_unix_ns)[:10] for entry in entries}
    requests = [_request(entry, unit, dated=len(days) > 1) for entry in entries]
    tags = {tag for request in requests for tag in request["tags"]}
    return {
        "columns": COLUMNS,
        "requests": requests,
        "filters": [("all", "all"), *((name, title) for name, title in _FILTERS if name in tags)] if tags else [],
        "count": count(len(requests), "request"),
    }


def _request(entry: Entry, unit: Unit, *, dated: bool) -> dict[str, Any]:
    record = entry.record
    calls = len(record.tool_calls) + record.tool_calls_dropped
    name = record_id(record)
    return {
        "id": name,
        "cells": [
            [record.start_unix_ns // 1_000_000, moment(record.start_unix_ns)[0 if dated else 11 : -1]],
            model_of(record),
            outcome_text(record),
            [record.duration_ns, unit.text(record.duration_ns)],
            "",
            [record.ttfc_ns, unit.text(record.ttfc_ns)],
            [record.usage.input_tokens, count(record.usage.input_tokens)],
            [record.usage.output_tokens, count(record.usage.output_tokens)],
            [record.output_token_throughput, rate(record.output_token_throughput)],
            [calls, f"{calls:,}" if calls else ""],
            [record.retries, f"{record.retries:,}" if record.retries else ""],
            [record.cost, money(record.cost)],
            name,
        ],
        "tags": _tags(entry, calls),
        "more": " ".join(_words(record)),
        "phases": _mini(record),
    }


def _tags(entry: Entry, calls: int) -> list[str]:
    record = entry.record
    having = {
        "failed": record.outcome in FAILED,
        "dropped": record.outcome in LEFT,
        "retried": record.retries > 0,
        "slow": entry.verdict.slow,
        "tools": calls > 0,
    }
    return [name for name, has in having.items() if has]


def _words(record: RequestRecord) -> list[str]:
    """Give what a search should find beside the columns."""
    words = [record.trace_id, record.span_id, record.response_id, record.service, record.region]
    words += [call.name for call in record.tool_calls]
    words += [tool.type for tool in record.executed_tools]
    return [visible(word, limit=80) for word in words if word]


def _mini(record: RequestRecord) -> list[tuple[str, float, str, str]]:
    total = record.phases.total()
    shares = [(name, length / total, length) for name, length in record.phases.items() if total]
    return [
        (phase_label(name), round(part * 100, 2), share(length, total), tone(part))
        for name, part, length in shares
        if part * 100 >= _MIN_PERCENT
    ]


def outcome_text(record: RequestRecord) -> str:
    """Name how a request ended; a failure by its reason."""
    if record.outcome in FAILED:
        return visible(record.error_type or record.outcome, limit=60)
    return record.outcome or "unfinished"


def detail_data(record: RequestRecord, verdict: Verdict, unit: Unit) -> dict[str, Any]:
    """Give everything that opens with a request."""
    fall, total = waterfall(record), record.duration_ns
    rows = list(zip(fall.rows, figures(fall, unit), strict=True))
    if fall.residual_ns is not None:
        row = Row(group="server", name="elsewhere", length_ns=fall.residual_ns, note="derived: client less server")
        rows.append((row, Figure(unit.text(fall.residual_ns))))
    # The server's block comes last, as in the terminal.
    rows.sort(key=lambda pair: pair[0].group == "server")
    unfinished = f"{UNFINISHED} " if record.outcome is None else ""
    return {
        "verdict": unfinished + visible(verdict.sentence),
        "causes": [
            ("" if c.sentence.lower() in verdict.sentence.lower() else visible(c.sentence), visible(c.advice))
            for c in verdict.causes
        ],
        "head": list(headline(record, unit)),
        "total": total,
        "ticks": ["0", *(unit.text(total * step / 4) for step in (1, 2, 3, 4))],
        "rows": [_row(row, figure, total, unit) for row, figure in rows],
        "density": _density(record),
        "chunks": count(record.chunks),
        "facts": [(fact.label, fact.items) for fact in facts(record, unit)],
        "notes": list(footnotes(record, fall, unit)),
    }


def _row(row: Row, figure: Figure, total: int, unit: Unit) -> list[Any]:
    part = row.length_ns / total if total and row.length_ns is not None else None
    slept = f", then slept {unit.text(row.tail_ns)}" if row.tail_ns else ""
    return [
        row.group,
        visible(row.name, limit=80),
        row.start_ns,
        row.length_ns,
        row.tail_ns,
        int(row.failed),
        figure.text,
        share(row.length_ns or 0, total) if part is not None and row.group == "client" else "",
        visible(row.note) + slept,
        [(p.name, p.ns, text, share(p.ns, total)) for p, text in zip(row.parts, figure.parts, strict=True)],
        tone(part) if part is not None and row.group == "client" else "",
        unit.text(row.start_ns) if row.start_ns is not None else UNKNOWN,
    ]


def _density(record: RequestRecord) -> str:
    """Give the strip as digits: 0 is no chunk, 9 the densest part."""
    if not record.timeline_us or not record.duration_ns:
        return ""
    counts = density(record.timeline_us, record.timeline_stride, record.duration_ns, DENSITY_BINS)
    top = max(counts)
    return "".join(str(max(1, round(number / top * _LEVELS))) if number else "0" for number in counts)
