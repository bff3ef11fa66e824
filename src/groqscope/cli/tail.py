"""`groqscope tail`: prints a line for each request when it has finished."""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from groqscope.cli import options as opt
from groqscope.cli.output import checked_unit, look, say, say_first

if TYPE_CHECKING:
    from groqscope.audit import Query
    from groqscope.audit.formatting import DurationUnit
    from groqscope.audit.reports import Look
    from groqscope.timeline import RequestRecord

_EXAMPLES = """\b
Examples:
  groqscope tail                                   your programs' requests
  groqscope tail --where 'ttfc > 1s or failed'     slow or failed requests
  groqscope tail --tempo http://127.0.0.1:3200     requests in Tempo
"""
TEMPO_INTERVAL: Final = 3.0
_TEMPO_BACK_NS: Final = 60_000_000_000
"""How far back each query of Tempo reaches: traces arrive late and out of order."""
_BEFORE_NS: Final = 86_400_000_000_000
"""How far back the store is read for the baseline."""
_WINDOW_S: Final = 60.0
_PIPED: Final = 1000
"""Width at which no column has to be narrowed."""
_REMEMBERED: Final = 50_000
"""How many ids are remembered, so that a request that arrives twice is shown once."""
_MEMORY: Final = 2000
"""Requests per model in the baseline."""


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command("tail", epilog=_EXAMPLES)(tail)


def tail(
    path: Annotated[
        str | None, typer.Argument(metavar="FILE|DIR", help="What to follow instead of the local store.")
    ] = None,
    tempo: opt.Tempo = None,
    model: opt.Model = None,
    service: opt.Service = None,
    where: opt.Where = None,
    last: Annotated[int, typer.Option("--last", metavar="N", min=0, help="Start with the newest N.")] = 5,
    unit: opt.Unit = None,
) -> int:
    """Follow requests live, one line each, until Ctrl-C."""
    from groqscope.audit import Query, source_of
    from groqscope.store import store_directory

    drawn = look(checked_unit(unit))
    if path is not None:
        source_of([path])  # raises if it does not exist
    query = Query(models=tuple(model or ()), services=tuple(service or ()), where=where)
    stop = threading.Event()
    place = tempo or path or str(store_directory())
    polls = _tempo_polls(tempo, stop) if tempo is not None else _store_polls(place, stop)
    terminal = sys.stdout.isatty()
    screen = Screen(drawn if terminal else replace(drawn, width=_PIPED), footer=terminal, place=place)
    with suppress(KeyboardInterrupt):
        follow(polls, query, screen, last=last)
    screen.close()
    return 0


def follow(polls: "Iterator[list[RequestRecord]]", query: "Query", screen: "Screen", *, last: int) -> None:
    """Show the requests of each poll; the first poll yields the existing ones, of which the newest `last` are shown."""
    from groqscope.audit.baseline import Baseline
    from groqscope.audit.verdict import judge
    from groqscope.timeline import FAILED

    baseline = Baseline(_MEMORY)
    chosen = query.predicate()
    first = True
    for records in polls:
        # Add all of a poll to the baseline first, because the medians are recomputed after each addition.
        known = [(record, judge(record, baseline.of(record))) for record in records if chosen(record)]
        for record in records:
            baseline.add(record)
        if first:
            known = [(record, judge(record, baseline.of(record))) for record, _ in known]
        for record, verdict in known[len(known) - last if first and last < len(known) else 0 :]:
            screen.line(record, verdict.causes[0].sentence if verdict.causes else "", slow=verdict.slow)
        screen.footer(len(known), sum(r.outcome in FAILED for r, _ in known), known_before=first)
        first = False


class Screen:
    """Standard output: permanent lines, and on a terminal a footer below them."""

    def __init__(
        self,
        look: "Look",
        *,
        footer: bool,
        place: str = "",
        write: Callable[[str], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        from groqscope.audit.formatting import DurationUnit

        self._look = look
        self._unit = DurationUnit.of(look.unit or "ms")
        self._widths = next(widths for room, widths in _WIDTHS.items() if look.width >= room)
        self._footer = footer
        self._place = place
        self._write = write or _to_stdout
        self._clock = clock
        self._recent: deque[tuple[float, int, int]] = deque()
        self._total = self._errors = 0
        self._shown = ""
        self._head = False

    def line(self, record: "RequestRecord", cause: str, *, slow: bool) -> None:
        """Show a finished request."""
        from groqscope.audit.reports.page import BAD, FAINT, STRONG, Page
        from groqscope.timeline import FAILED

        failed = record.outcome in FAILED
        page = Page(self._look)
        if not self._head:
            self._head = True
            page.add((_row(_TITLES, self._widths), FAINT), (f"  durations in {self._unit.label}", FAINT))
        style = BAD if failed else STRONG if slow else ""
        why = f"  {cause}" if cause else ""
        page.add((_row(_cells(record, self._unit), self._widths), style), (f"  {_id(record)}", FAINT), (why, style))
        self._clear()
        self._write(page.text())

    def footer(self, requests: int, errors: int, *, known_before: bool = False) -> None:
        """Update the rates."""
        now = self._clock()
        if not known_before:
            self._total += requests
            self._errors += errors
            if requests:
                self._recent.append((now, requests, errors))
        while self._recent and self._recent[0][0] < now - _WINDOW_S:
            self._recent.popleft()
        if not self._footer:
            return
        minute = sum(number for _, number, _ in self._recent)
        failed = sum(number for _, _, number in self._recent)
        words = f"{self._total:,} requests, {self._errors:,} failed; last minute {minute:,}, {failed:,} failed"
        if not self._head and not self._total:  # shows the place, in case it is the wrong one
            words = f"waiting for requests in {self._place}"
        words = f"{words}; Ctrl-C ends"[: self._look.width - 1]
        if words == self._shown:
            return
        self._clear()
        self._write(f"\x1b[2m{words}\x1b[0m" if self._look.colour else words)
        self._shown = words

    def close(self) -> None:
        """Remove the footer."""
        self._clear()

    def _clear(self) -> None:
        if self._shown:
            self._write("\r\x1b[2K")
            self._shown = ""


def _to_stdout(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


_Cells = tuple[str, str, str, str, str, str, str, str, str]
_TITLES: Final = ("time UTC", "model", "outcome", "total", "1st chunk", "in", "out", "tok/s", "cost")
_WIDTHS: Final = {
    150: (13, 24, 21, 10, 9, 6, 6, 6, 9),
    62: (8, 15, 12, 9, 9, 0, 0, 0, 0),
    0: (0, 12, 12, 9, 0, 0, 0, 0, 0),
}
"""Column widths by the width of the terminal; a column of width 0 is omitted."""
_TEXTS: Final = 3


def _row(cells: _Cells, widths: tuple[int, ...]) -> str:
    from groqscope.audit.reports.page import pad, shorten

    parts: list[str] = []
    for place, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        if width:
            parts.append(pad(shorten(cell, width), width) if place < _TEXTS else pad(cell, width, right=True))
    return "  ".join(parts)


def _cells(record: "RequestRecord", unit: "DurationUnit") -> _Cells:
    from groqscope.audit.formatting import count, moment, money, rate, tokens_out, visible
    from groqscope.timeline import FAILED

    outcome = f"! {record.error_type or record.outcome}" if record.outcome in FAILED else record.outcome
    return (
        moment(record.start_unix_ns)[11:],
        visible(record.model or "-"),
        visible(outcome or "running"),
        unit.text(record.duration_ns),
        unit.text(record.ttfc_ns),
        count(record.usage.input_tokens),
        tokens_out(record),
        rate(record.output_token_throughput),
        money(record.cost),
    )


def _id(record: "RequestRecord") -> str:
    from groqscope.audit.formatting import visible
    from groqscope.audit.ids import id_of

    return visible(id_of(record), limit=40)


def _store_polls(place: str, stop: threading.Event) -> "Iterator[list[RequestRecord]]":
    """Yield the existing records, then those of each poll."""
    from groqscope.store import ReadReport, SeenIds, read_records
    from groqscope.store import follow as follow_store

    looks = follow_store(place, stop)
    first = next(looks)  # records added from here on are not missed
    since = time.time_ns() - _BEFORE_NS
    report = ReadReport()
    before = list(read_records([place], report=report, since=since, timelines=False))
    if Path(place).exists():  # the store may be created later
        say_first(report.warnings)
    seen = SeenIds(_REMEMBERED)
    for records in chain([[*before, *first]], looks):
        yield [r for r in records if seen.add(r.trace_id, r.span_id)]


def _tempo_polls(url: str, stop: threading.Event) -> "Iterator[list[RequestRecord]]":
    from groqscope.audit import SourceError
    from groqscope.audit.tempo import TempoSource
    from groqscope.store import ReadReport, SeenIds

    source = TempoSource(url)
    seen = SeenIds(_REMEMBERED)
    looked: int | None = None
    away = False
    while not stop.is_set():
        now = time.time_ns()
        since = (now if looked is None else looked) - _TEMPO_BACK_NS
        try:
            found = list(source.read(ReadReport(), since=since, until=None, timelines=False))
        except SourceError as error:
            if looked is None:
                raise
            if not away:
                say(f"{error}; retrying")
            away = True
            yield []
        else:
            fresh = [r for r in found if seen.add(r.trace_id, r.span_id)]
            yield sorted(fresh, key=lambda r: r.start_unix_ns)
            looked, away = now, False
        stop.wait(TEMPO_INTERVAL)
