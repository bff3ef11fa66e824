"""What the page's script draws: texts and lengths, every number written out already.

The list is one object; each request's waterfall is a line of JSON of its own, so that the page reads only those opened.
"""

from collections.abc import Sequence
from typing import Any, Final

from groqscope.audit.formatting import UNKNOWN, DurationUnit, count, share, visible
from groqscope.audit.model import Entry, Verdict
from groqscope.audit.reports import tables
from groqscope.audit.reports.details import UNFINISHED, facts, footnotes, headline, record_id
from groqscope.audit.reports.palette import phase_of
from groqscope.audit.reports.waterfall import (
    Figure,
    Row,
    density,
    figures,
    made_of,
    phase_label,
    rest_row,
    waterfall,
)
from groqscope.timeline import FAILED, LEFT, RequestRecord

DENSITY_BINS: Final = 120
_LEVELS: Final = 9
_MIN_PERCENT: Final = 0.5

LEGEND: Final = (
    "Dashed: how long it took in all, but not when; wait and stream show what they consist of, in no order. "
    "Hatched, after an attempt: the pause before the next."
)
_ROOM: Final = {"model": 30, "outcome": 26}
"""Characters of the texts that may be long."""
_PICTURE_AT: Final = 4
"""Where the picture of the phases stands among the columns."""
_FILTERS: Final = (
    ("failed", "failed"),
    ("left", "left early"),
    ("retried", "retried"),
    ("slow", "slow"),
    ("tools", "tools"),
)


def list_data(entries: Sequence[Entry], unit: DurationUnit, *, dated: bool | None = None) -> dict[str, Any]:
    """Return the list; times have their date if `dated`, by default where the days differ."""
    dated = len(tables.days(entries)) > 1 if dated is None else dated
    time = slice(0 if dated else 11, -1)
    ids = tables.short_ids([record_id(entry.record) for entry in entries])
    table = tables.requests(entries, unit, time=time, ids=ids)
    requests = [_request(entry, table, row) for entry, row in zip(entries, table.rows, strict=True)]
    tags = {tag for request in requests for tag in request["tags"]}
    columns = [_column(column) for column in table.columns]
    columns.insert(_PICTURE_AT, {"key": "phases", "title": "phases"})
    return {
        "columns": columns,
        "requests": requests,
        "filters": [("all", "all"), *((name, title) for name, title in _FILTERS if name in tags)] if tags else [],
        "count": count(len(requests), "request"),
    }


def _column(column: tables.Column) -> dict[str, Any]:
    data: dict[str, Any] = {"key": column.title.partition(",")[0].replace(" ", "-"), "title": column.title}
    if column.right:
        data["right"] = True
    if room := _ROOM.get(column.title):
        data["room"] = room
    return data


def _request(entry: Entry, table: tables.Table, row: tables.Row) -> dict[str, Any]:
    record = entry.record
    pairs = zip(table.columns, row.cells, strict=True)
    cells: list[Any] = [
        [cell.value, cell.text] if column.right or cell.value is not None else cell.text for column, cell in pairs
    ]
    cells.insert(_PICTURE_AT, "")
    return {
        "id": record_id(record),
        "cells": cells,
        "tags": _tags(entry),
        "more": " ".join(_words(record)),
        "phases": _mini(record),
    }


def _tags(entry: Entry) -> list[str]:
    record = entry.record
    having = {
        "failed": record.outcome in FAILED,
        "left": record.outcome in LEFT,
        "retried": record.retries > 0,
        "slow": entry.verdict.slow,
        "tools": bool(record.tool_calls) or record.tool_calls_dropped > 0,
    }
    return [name for name, has in having.items() if has]


def _words(record: RequestRecord) -> list[str]:
    """Return what a search should find besides the columns."""
    words = [record.trace_id, record.span_id, record.response_id, record.service, record.region]
    words += [call.name for call in record.tool_calls]
    words += [tool.type for tool in record.executed_tools]
    return [visible(word, limit=80) for word in words if word]


def _mini(record: RequestRecord) -> list[tuple[str, float, str, str]]:
    total = record.phases.total()
    shares = [(name, length / total, length) for name, length in record.phases.items() if total]
    return [
        (phase_label(name), round(part * 100, 2), share(length, total), f"phase-{name}")
        for name, part, length in shares
        if part * 100 >= _MIN_PERCENT
    ]


def detail_data(record: RequestRecord, verdict: Verdict, unit: DurationUnit) -> dict[str, Any]:
    """Return everything that opens with a request."""
    fall, total = waterfall(record), record.duration_ns
    rows = list(zip(fall.rows, figures(fall, unit), strict=True))
    if fall.residual_ns is not None:
        rows.append((rest_row(fall.residual_ns), Figure(unit.text(fall.residual_ns))))
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
        "rows": [_row(record, row, figure, unit) for row, figure in rows],
        "density": _density(record),
        "chunks": count(record.chunks),
        "facts": [(fact.label, fact.items) for fact in facts(record, unit, verdict)],
        "notes": list(footnotes(record, fall, unit)),
    }


def _row(record: RequestRecord, row: Row, figure: Figure, unit: DurationUnit) -> list[Any]:
    total = record.duration_ns
    part = row.length_ns / total if total and row.length_ns is not None else None
    seen = figure.seen(row)
    words = [f"all {seen[0][0].name}"] if len(seen) == 1 else []
    words += [visible(row.note)] if row.note else []
    words += [f"then slept {unit.text(row.tail_ns)}"] if row.tail_ns else []
    return [
        row.group,
        visible(row.name, limit=80),
        row.start_ns,
        row.length_ns,
        row.tail_ns,
        int(row.failed),
        figure.text,
        share(row.length_ns or 0, total) if part is not None and row.group == "client" else "",
        ", ".join(words),
        [(p.name, p.ns, text, share(p.ns, total), p.when, _phase(p.name)) for p, text in seen] if len(seen) > 1 else [],
        [(p.ns, _phase(p.name)) for p in made_of(row, record.phases)] if row.group == "client" else [],
        unit.text(row.start_ns) if row.start_ns is not None else UNKNOWN,
    ]


def _phase(part: str) -> str:
    """Return the class of the style sheet that has the colour of a part."""
    phase = phase_of(part)
    return f"phase-{phase}" if phase else ""


def _density(record: RequestRecord) -> str:
    """Return the strip as digits: 0 is no chunk, 9 the densest part."""
    if not record.timeline_us or not record.duration_ns:
        return ""
    counts = density(record.timeline_us, record.timeline_stride, record.duration_ns, DENSITY_BINS)
    top = max(counts)
    return "".join(str(max(1, round(number / top * _LEVELS))) if number else "0" for number in counts)
