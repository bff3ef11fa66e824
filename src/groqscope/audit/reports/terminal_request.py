"""One request in the terminal: verdict, ruler, bars, and what else is known about it."""

from collections.abc import Iterator
from typing import Final

from rich.cells import cell_len

from groqscope.audit.formatting import count, share
from groqscope.audit.model import Verdict
from groqscope.audit.reports.bars import bar, ruler, split, strip, tail
from groqscope.audit.reports.details import UNFINISHED, ending, facts, footnotes, headline, record_id
from groqscope.audit.reports.page import BAD, FAINT, STRONG, Page, Piece, pad, weight
from groqscope.audit.reports.palette import PHASES, phase_of
from groqscope.audit.reports.rendering import unit_of
from groqscope.audit.reports.waterfall import (
    GROUPS,
    Figure,
    Row,
    Waterfall,
    density,
    figures,
    made_of,
    rest_row,
    waterfall,
)
from groqscope.timeline import FAILED, RequestRecord

_ROOMY: Final = 136
"""Columns from which notes get a column of their own."""
_MAX_LABEL: Final = 24
_MAX_TOOLS: Final = 12


def draw_request(page: Page, record: RequestRecord, verdict: Verdict | None = None) -> None:
    """Draw one request, below its verdict or, without one, below how it ended."""
    if verdict is not None:
        _verdict(page, verdict, record)
    elif sentence := ending(record):
        page.prose(sentence, style=STRONG)
    _Drawing(page, record, verdict).draw()


def _verdict(page: Page, verdict: Verdict, record: RequestRecord) -> None:
    if record.outcome is None:
        page.prose(UNFINISHED, style=STRONG)
    first, _, rest = verdict.sentence.partition(" ")
    bad = verdict.slow or record.outcome in FAILED
    page.flow([(first, BAD if bad else STRONG), *((word, STRONG) for word in rest.split())], gap=" ")
    for cause in verdict.causes:
        if cause.sentence.lower() not in verdict.sentence.lower():
            page.prose(cause.sentence)
        page.prose(cause.advice, style=FAINT)
    page.blank()


class _Drawing:
    """A record being drawn on a page; the widths of its columns are computed once."""

    def __init__(self, page: Page, record: RequestRecord, verdict: Verdict | None) -> None:
        self.page = page
        self.look = page.look
        self.record = record
        self.fall: Waterfall = waterfall(record)
        lengths = [record.duration_ns, *(row.length_ns for row in self.fall.group("server"))]
        self.unit = unit_of(record, self.look.unit)
        self.facts = facts(record, self.unit, verdict)
        self.figures = dict(zip(map(id, self.fall.rows), figures(self.fall, self.unit), strict=True))
        names = [row.name for row in self.fall.rows] + [fact.label for fact in self.facts] + ["client, ms"]
        cap = min(_MAX_LABEL, max(12, self.look.width // 5))
        self.label = min(cap, max(cell_len(self.page.clean(name)) for name in names))
        self.figure = max(
            len(self.unit.label), *(len(self.unit.text(length)) for length in [*lengths, self._longest()])
        )
        self.side = self._side_notes()
        self.width = max(
            8, self.look.width - self.label - 2 - 3 - self.figure - 8 - (self.side + 3 if self.side else 0)
        )

    def _longest(self) -> int:
        return max((row.length_ns or 0 for row in self.fall.rows), default=0)

    def _side_notes(self) -> int:
        if self.look.width < _ROOMY:
            return 0
        longest = max((cell_len(self._note(row)) for row in self.fall.rows), default=0)
        return min(longest, self.look.width * 2 // 5)

    # -- what it consists of

    def draw(self) -> None:
        self._headline()
        self._client()
        self._attempts()
        self._tools()
        self._server()
        if self.facts:
            self.page.blank()
        for fact in self.facts:
            self.page.flow(fact.items, label=fact.label, indent=self.label + 2, gap="   ")
        self._footnotes()

    def _headline(self) -> None:
        loud = {record_id(self.record): STRONG, self.unit.full(self.record.duration_ns): STRONG}
        if self.record.outcome in FAILED:
            loud[self.record.outcome] = BAD
        self.page.flow((text, loud.get(text, "")) for text in headline(self.record, self.unit))
        self.page.blank()

    def _client(self) -> None:
        if not self.fall.group("client"):
            return
        title = f"client, {self.unit.label}"
        self.page.add(
            (pad(title, self.label + 2), FAINT),
            (ruler(self.record.duration_ns, self.width, self.unit), FAINT),
            (" | ", FAINT),
            *self._figures(self.unit.label, "share"),
        )
        for row in self.fall.group("client"):
            self._bar(row, with_share=True)
        self._strip()

    def _attempts(self) -> None:
        rows = self.fall.group("attempt")
        if rows:
            self._heading(
                "attempts",
                f"{self.record.retries} of {len(self.record.attempts) + self.record.attempts_dropped} failed"
                if self.record.retries
                else "",
            )
        for row in rows:
            self._bar(row)
        if self.record.attempts_dropped:
            self.page.add((f"  and {count(self.record.attempts_dropped, 'attempt')} in between, not kept", FAINT))

    def _server(self) -> None:
        rows = self.fall.group("server")
        if not rows:
            return
        self._heading(*GROUPS["server"])
        for row in rows:
            self._bar(row)
        if self.fall.residual_ns is not None:
            self._bar(rest_row(self.fall.residual_ns))

    def _tools(self) -> None:
        rows = self.fall.group("tool")
        if rows:
            self._heading(*GROUPS["tool"])
        for row in rows[:_MAX_TOOLS]:
            self._bar(row)
        missing = len(rows) - _MAX_TOOLS
        if missing > 0 or self.record.tool_calls_dropped:
            self.page.add((f"  and {count(max(0, missing) + self.record.tool_calls_dropped, 'call')} more", FAINT))
        executed = self.fall.group("executed")
        if executed:
            self._heading(*GROUPS["executed"])
        for row in executed:
            self._bar(row)

    # -- lines

    def _heading(self, name: str, brief: str) -> None:
        self.page.blank()
        self.page.flow([(brief, FAINT)] if brief else [], label=name, indent=self.label + 2)

    def _figures(self, figure: str, part: str, style: str = FAINT) -> tuple[Piece, ...]:
        return (
            (pad(figure, self.figure, right=True), style),
            ((pad(part, 8, right=True)), FAINT if style == FAINT else style),
        )

    def _bar(self, row: Row, *, with_share: bool = False) -> None:
        total = self.fall.total_ns
        length = row.length_ns
        part = length / total if total and length is not None else 0.0
        style = weight(part) if with_share else (BAD if row.failed else FAINT if row.group == "server" else "")
        cells = self._cells(row) if total and length is not None else (0, "")
        note = self.page.clean(self._note(row))
        aside = note if cell_len(note) <= self.side else ""
        picture, below = (
            (self._picture(cells, row), note[len(aside) :]) if self.side else self._annotated(cells, note, row)
        )
        part_text = share(length, total) if with_share and length is not None else ""
        self.page.add(
            (pad(self.page.clean(row.name, self.label), self.label + 2), "" if style == FAINT else style),
            *picture,
            (" | ", FAINT),
            *self._figures(self._texts(row).text, part_text, style),
            ("   " + aside, FAINT),
        )
        if below:
            self.page.prose(below, indent=self.label + 2, style=FAINT)

    def _cells(self, row: Row) -> tuple[int, str]:
        total, unicode = self.fall.total_ns, self.look.unicode
        if row.start_ns is None:
            return 0, ""
        begin, end = row.start_ns / total, (row.start_ns + (row.length_ns or 0)) / total
        first, text = bar(begin, end, self.width, unicode=unicode)
        if row.tail_ns:
            light = tail(end, end + row.tail_ns / total, self.width, unicode=unicode)
            text += light[: max(0, self.width - first - len(text))]
        return first, text

    def _picture(self, cells: tuple[int, str], row: Row) -> tuple[Piece, ...]:
        first, text = cells
        return (" " * first, *self._filled(text, row), " " * (self.width - first - len(text)))

    def _filled(self, text: str, row: Row) -> Iterator[Piece]:
        """Return the bar in the colours of the phases that it consists of."""
        if row.group != "client":
            yield text, BAD if row.failed else FAINT if row.group == "server" else ""
            return
        parts = made_of(row, self.record.phases)
        whole = sum(part.ns for part in parts)
        shares = [part.ns / whole if whole else 1 / len(parts) for part in parts]
        for part, cells in zip(parts, split(shares, len(text)), strict=True):
            phase = phase_of(part.name)
            yield text[:cells], "" if phase is None else self.page.filled(PHASES[phase])
            text = text[cells:]

    def _annotated(self, cells: tuple[int, str], note: str, row: Row) -> tuple[tuple[Piece, ...], str]:
        """Return the bar with the note in the free room beside it, and the note again if it does not fit."""
        first, text = cells
        if not note:
            return self._picture(cells, row), ""
        after, size_ = self.width - first - len(text), cell_len(note)
        if size_ + 2 <= after:
            gap = " " if text else ""
            return (" " * first, *self._filled(text, row), (pad(gap + note, after), FAINT)), ""
        if size_ + 2 <= first:
            return ((pad(note + " ", first, right=True), FAINT), *self._filled(text, row), " " * after), ""
        return self._picture(cells, row), note

    def _texts(self, row: Row) -> Figure:
        return self.figures.get(id(row)) or Figure(self.unit.text(row.length_ns))

    def _note(self, row: Row) -> str:
        seen = self._texts(row).seen(row)
        if len(seen) == 1:
            words = [f"all {seen[0][0].name}"]
        else:
            named = (" ".join(word for word in (part.name, part.when, text) if word) for part, text in seen)
            words = [f"= {' + '.join(named)}"] if seen else []
        if row.note:
            words.append(row.note)
        if row.tail_ns:
            words.append(f"then slept {self.unit.text(row.tail_ns)}")
        return ", ".join(words)

    def _strip(self) -> None:
        record = self.record
        if not record.timeline_us or not record.duration_ns:
            return
        counts = density(record.timeline_us, record.timeline_stride, record.duration_ns, self.width)
        name = pad("chunks", self.label + 2)
        self.page.add(
            name,
            (strip(counts, unicode=self.look.unicode), FAINT),
            (" | ", FAINT),
            (pad(f"{record.chunks or len(record.timeline_us):,}", self.figure, right=True), FAINT),
        )

    def _footnotes(self) -> None:
        notes = list(footnotes(self.record, self.fall, self.unit))
        if notes:
            self.page.blank()
        for note in notes:
            self.page.prose(note, style=FAINT)
