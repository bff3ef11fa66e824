"""The list of requests in the terminal."""

from collections.abc import Sequence
from typing import Final

from groqscope.audit.fields import FAILED
from groqscope.audit.formatting import UNKNOWN, Unit, count, moment, money, rate, visible
from groqscope.audit.model import Audit, Entry
from groqscope.audit.reports.facts import record_id
from groqscope.audit.reports.page import BAD, FAINT, STRONG, Page, Piece
from groqscope.audit.reports.table import Column, draw_table

_ROOMY: Final = 132
"""Columns from which ids stand in full and times with their milliseconds."""
_SHORT_ID: Final = 12


def request_table(page: Page, audit: Audit, unit: Unit) -> None:
    """List requests."""
    entries = audit.entries
    listed = audit.provenance.selection.listed
    by = f" by {audit.provenance.selection.by}" if listed == "slowest" else ""
    more = f", {audit.omitted:,} more not listed" if audit.omitted else ""
    days = {moment(entry.record.start_unix_ns)[:10] for entry in entries}
    day = f" on {next(iter(days))}" if len(days) == 1 else ""
    page.prose(f"{listed} requests{by}{day}, durations in {unit.label}{more}", style=FAINT)
    columns = [
        Column(title="time, UTC", right=False, keep=7),
        Column(title="model", right=False, keep=8, shrink=14),
        Column(title="outcome", right=False, keep=9, shrink=11),
        Column(title="total", keep=10),
        Column(title="first", keep=9),
        Column(title="in", keep=5),
        Column(title="out", keep=8),
        Column(title="tok/s", keep=6),
        Column(title="tools", keep=3),
        Column(title="retries", keep=4),
        Column(title="cost", keep=5),
        Column(title="id", right=False, keep=9),
    ]
    roomy = page.look.width >= _ROOMY
    ids = [record_id(entry.record) for entry in entries]
    for entry, name in zip(entries, ids if roomy else short_ids(ids), strict=True):
        cells = _request_cells(entry, unit, dated=len(days) > 1, roomy=roomy)
        for column, cell in zip(columns, (*cells, (name, FAINT)), strict=True):
            column.cells.append(cell)
    if entries:
        draw_table(page, columns)


def _request_cells(entry: Entry, unit: Unit, *, dated: bool, roomy: bool) -> tuple[Piece, ...]:
    record = entry.record
    when = moment(record.start_unix_ns)[5 if dated else 11 : -1 if roomy else -5]
    retries = record.retries
    calls = len(record.tool_calls) + record.tool_calls_dropped
    return (
        (when, FAINT),
        visible(record.model or record.response_model or UNKNOWN),
        outcome_piece(entry),
        (unit.text(record.duration_ns), STRONG if entry.verdict.slow else ""),
        unit.text(record.ttfc_ns),
        count(record.usage.input_tokens),
        count(record.usage.output_tokens),
        rate(record.output_token_throughput),
        f"{calls:,}" if calls else "",
        f"{retries:,}" if retries else "",
        money(record.cost),
    )


def outcome_piece(entry: Entry) -> Piece:
    """Name how a request ended; a failure by its reason, with a mark that needs no colour."""
    record = entry.record
    if record.outcome in FAILED:
        return (f"! {visible(record.error_type or record.outcome, limit=40)}", BAD)
    return record.outcome or "unfinished"


def short_ids(ids: Sequence[str]) -> list[str]:
    """Cut ids to the start that tells them apart, which the command takes as well."""
    length = _SHORT_ID
    known = set(ids)
    while len({name[:length] for name in known}) < len(known):
        length += 1
    return [name[:length] for name in ids]
