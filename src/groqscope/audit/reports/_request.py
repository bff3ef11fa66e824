"""One request in the terminal: verdict, ruler, bars, and what else is known."""

from collections.abc import Callable, Iterator
from typing import Final

from rich.cells import cell_len

from groqscope.audit._model import RequestAudit, Verdict
from groqscope.audit.reports._bars import anchored, bar, share_style, strip, tail
from groqscope.audit.reports._footer import provenance_lines
from groqscope.audit.reports._look import Look
from groqscope.audit.reports._page import BAD, FAINT, STRONG, Page, Piece, pad
from groqscope.audit.reports._text import Unit, count, moment, money, plain, rate, seconds, share, size, visible
from groqscope.audit.reports._waterfall import Row, Waterfall, density, waterfall
from groqscope.timeline import RequestRecord, Usage

_ROOMY: Final = 136
"""Columns from which notes get a column of their own."""
_MAX_LABEL: Final = 24
_MAX_TOOLS: Final = 12
_MANY: Final = 8
_P99_NEEDS: Final = 100


def request_page(audit: RequestAudit, look: Look) -> Page:
    """Show one request."""
    page = Page(look)
    _verdict(page, audit.verdict)
    _Drawing(page, audit.record).draw()
    provenance_lines(page, audit.provenance)
    return page


def record_page(record: RequestRecord, look: Look) -> Page:
    """Show a record alone."""
    page = Page(look)
    _Drawing(page, record).draw()
    return page


def _verdict(page: Page, verdict: Verdict) -> None:
    label = "SLOW  " if verdict.slow else ""
    page.prose(verdict.sentence, indent=len(label), label=label, style=STRONG, label_style=BAD)
    for cause in verdict.causes:
        if cause.sentence.lower() not in verdict.sentence.lower():
            page.prose(cause.sentence, indent=len(label), label=" " * len(label))
        page.prose(cause.advice, indent=len(label), label=" " * len(label), style=FAINT)
    page.blank()


class _Drawing:
    """The drawing of one record on a page: the columns are computed once."""

    def __init__(self, page: Page, record: RequestRecord) -> None:
        self.page = page
        self.look = page.look
        self.record = record
        self.fall: Waterfall = waterfall(record)
        lengths = [record.duration_ns, *(row.length_ns for row in self.fall.group("server"))]
        self.unit = Unit.of(self.look.unit) if self.look.unit else Unit.fitting(lengths)
        self.notes: list[str] = []
        names = [row.name for row in self.fall.rows] + [label for label, _ in self._sections()] + ["client, ms"]
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
        return min(longest, self.look.width // 3)

    # -- what it consists of

    def draw(self) -> None:
        self._header()
        self._client()
        self._attempts()
        self._tools()
        self._server()
        sections = list(self._sections())
        if sections:
            self.page.blank()
        for label, items in sections:
            self.page.flow(items, label=label, indent=self.label + 2, gap="   ")
        self._footnotes()

    def _header(self) -> None:
        record = self.record
        if record.outcome is None:
            self.page.prose(
                "Unfinished: it was running when this was recorded; everything is as of that moment.", style=STRONG
            )
        if record.outcome == "error" or record.stream_error:
            self.page.prose(self._failure(), style=BAD)
        elif record.outcome not in ("completed", None):
            self.page.prose(_ENDINGS[record.outcome], style=STRONG)
        self.page.flow(self._headline())
        self.page.blank()

    def _failure(self) -> str:
        record = self.record
        reason = record.error_type or "reason not known"
        status = (
            f" (HTTP {record.status})" if record.status is not None and str(record.status) != record.error_type else ""
        )
        said = f": {record.stream_error}" if record.stream_error else ""
        return f"Failed: {reason}{status}{said}"

    def _headline(self) -> Iterator[Piece]:
        record, usage = self.record, self.record.usage
        yield (visible(record.request_id or record.response_id or record.span_id or "(no id)"), STRONG)
        yield visible(record.model or record.response_model or "(model not known)", limit=60)
        if record.operation != "chat":
            yield visible(record.operation, limit=40)
        yield "stream" if record.stream else "not streamed"
        yield (self.unit.full(record.duration_ns), STRONG)
        yield (record.outcome or "unfinished", BAD if record.outcome in ("error", "truncated") else "")
        yield moment(record.start_unix_ns)
        if record.chunks is not None:
            yield count(record.chunks, "chunk")
        if usage.output_tokens is not None or record.stream:
            yield count(usage.output_tokens, "token") if usage.output_tokens is not None else "- tokens"
        yield money(record.cost) if record.cost is not None else "cost -"
        if usage.output_tokens is None:
            estimate = record.output_tokens_estimate
            guess = (
                f", about {count(estimate, 'token')} by the chunks seen (an estimate)" if estimate is not None else ""
            )
            self.notes.append(f"tokens -: no usage came{guess}; so the cost is not known either")
        elif record.cost is None:
            self.notes.append("cost -: not known for this request")

    def _client(self) -> None:
        if not self.fall.group("client"):
            return
        title = f"client, {self.unit.label}"
        self.page.add(
            (pad(title, self.label + 2), FAINT),
            (self._ruler(), FAINT),
            (" | ", FAINT),
            *self._figures(self.unit.label, "share"),
        )
        for row in self.fall.group("client"):
            self._bar(row, with_share=True)
        self._strip()

    def _ruler(self) -> str:
        """Ticks at equal distances, the last one being the total, right at the edge."""
        total = self.record.duration_ns
        widest = max(3, len(self.unit.text(total)))
        steps = 4 if self.width >= 5 * (widest + 4) else 2 if self.width >= 3 * (widest + 2) else 1
        line = [" "] * self.width
        for step in range(steps + 1):
            text = "0" if step == 0 else self.unit.text(total * step / steps)
            at = round(self.width * step / steps)
            at = min(self.width - len(text), at if step == 0 else at - (len(text) if step == steps else len(text) // 2))
            line[max(0, at) : max(0, at) + len(text)] = text
        return "".join(line)[: self.width]

    def _attempts(self) -> None:
        rows = self.fall.group("attempt")
        if rows:
            self._heading(
                "attempts", f"{self.record.retries} of {self.record.retries + 1} failed" if self.record.retries else ""
            )
        for row in rows:
            self._bar(row)
        if self.record.attempts_dropped:
            self.page.add((f"  and {count(self.record.attempts_dropped, 'attempt')} in between, not kept", FAINT))

    def _server(self) -> None:
        rows = self.fall.group("server")
        if not rows:
            return
        self._heading("server", "reported by Groq: lengths without a position")
        for row in rows:
            self._bar(row)
        if self.fall.residual_ns is not None:
            self._bar(
                Row(
                    group="server",
                    name="elsewhere",
                    length_ns=self.fall.residual_ns,
                    note="derived: client less server",
                ),
                drawn=False,
            )
        if self.record.phases_clamped:
            self.notes.append(
                "server: the reported times did not fit into the measured wait; the phases above are cut to it"
            )

    def _tools(self) -> None:
        rows = self.fall.group("tool")
        if rows:
            self._heading("tool calls", "from the last thing you saw to the complete call")
        for row in rows[:_MAX_TOOLS]:
            self._bar(row)
        missing = len(rows) - _MAX_TOOLS
        if missing > 0 or self.record.tool_calls_dropped:
            self.page.add((f"  and {count(max(0, missing) + self.record.tool_calls_dropped, 'call')} more", FAINT))
        executed = self.fall.group("executed")
        if executed:
            self._heading("Groq's tools", "run on Groq's side")
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

    def _bar(self, row: Row, *, with_share: bool = False, drawn: bool = True) -> None:
        total = self.fall.total_ns
        length = row.length_ns
        part = length / total if total and length is not None else 0.0
        style = share_style(part) if with_share else (BAD if row.failed else FAINT if row.group == "server" else "")
        cells = self._cells(row, part) if drawn and total and length is not None else (0, "")
        note = self._note(row)
        picture, below = self._picture(cells, style), ""
        if note and not self.side:
            picture, below = self._annotated(cells, note, style)
        name = pad(self.page.clean(row.name, self.label), self.label + 2)
        figures = self._figures(
            self.unit.text(length), share(length, total) if with_share and length is not None else "", style
        )
        aside: tuple[Piece, ...] = (
            (("   " + self.page.clean(note, self.look.width // 3), FAINT),) if self.side and note else ()
        )
        self.page.add((name, "" if style in ("dim", FAINT) else style), *picture, (" | ", FAINT), *figures, *aside)
        if below:
            self.page.prose(below, indent=self.label + 2, label="", style=FAINT)

    def _cells(self, row: Row, part: float) -> tuple[int, str]:
        total, unicode = self.fall.total_ns, self.look.unicode
        if row.start_ns is None:
            if row.group != "server":
                return 0, ""
            text = anchored(part, self.width, unicode=unicode)
            return self.width - len(text), text
        begin, end = row.start_ns / total, (row.start_ns + (row.length_ns or 0)) / total
        first, text = bar(begin, end, self.width, unicode=unicode)
        if row.tail_ns:
            light = tail(end, end + row.tail_ns / total, self.width, unicode=unicode)
            text += light[: max(0, self.width - first - len(text))]
        return first, text

    def _picture(self, cells: tuple[int, str], style: str) -> tuple[Piece, ...]:
        first, text = cells
        return (" " * first, (text, style), " " * (self.width - first - len(text)))

    def _annotated(self, cells: tuple[int, str], note: str, style: str) -> tuple[tuple[Piece, ...], str]:
        """Write the note into the free room beside the bar; give it back when there is none."""
        first, text = cells
        note = self.page.clean(note)
        after, size_ = self.width - first - len(text), cell_len(note)
        if size_ + 2 <= after:
            gap = " " if text else ""
            return (" " * first, (text, style), (pad(gap + note, after), FAINT)), ""
        if size_ + 2 <= first:
            return ((pad(note + " ", first, right=True), FAINT), (text, style), " " * after), ""
        return self._picture(cells, style), note

    def _note(self, row: Row) -> str:
        # A part too short for the unit's decimals changes no sum that a reader could check.
        seen = [f"{part.name} {text}" for part in row.parts if not (text := self.unit.text(part.ns)).startswith("<")]
        words = (
            [("= " if len(seen) > 1 else "all ") + " + ".join(seen).removesuffix(f" {self.unit.text(row.length_ns)}")]
            if seen
            else []
        )
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
            strip(counts, unicode=self.look.unicode),
            (" | ", FAINT),
            (pad(f"{record.chunks or len(record.timeline_us):,}", self.figure, right=True), FAINT),
        )

    # -- what has no bar

    def _sections(self) -> Iterator[tuple[str, list[Piece]]]:
        makers: tuple[tuple[str, Callable[[], Iterator[Piece]]], ...] = (
            ("first", self._firsts),
            ("gaps", self._gaps),
            ("tokens", self._tokens),
            ("usage deltas", self._deltas),
            ("inner models", self._models),
            ("rate limits", self._limits),
            ("request", self._request),
            ("answer", self._answer),
            ("ids", self._ids),
        )
        for label, make in makers:
            items = list(make())
            if items:
                yield label, items

    def _firsts(self) -> Iterator[Piece]:
        record, text = self.record, self.unit.text
        if record.stream:
            yield f"chunk {text(record.ttfc_ns)}"
            yield f"token {text(record.ttft_ns)}"
        if record.ttfrt_ns is not None:
            yield f"reasoning {text(record.ttfrt_ns)}"
            yield f"answer {text(record.ttfot_ns)}"
        if record.last_chunk_ns is not None:
            yield f"last chunk {text(record.last_chunk_ns)}"

    def _gaps(self) -> Iterator[Piece]:
        record, text = self.record, self.unit.text
        if record.icl_p50_ns is None and not record.icl_excluded:
            return
        excluded = record.icl_excluded or 0
        n = max(0, (record.reads or 0) - 1 - excluded)
        yield f"n={n:,}"
        if n:
            yield f"p50 {text(record.icl_p50_ns)}"
            yield f"p99 {text(record.icl_p99_ns if n >= _P99_NEEDS else None)}"
            yield f"max {text(record.icl_max_ns)}"
        if n and n < _P99_NEEDS:
            self._once("gaps p99 -: fewer than 100 gaps")
        if excluded:
            yield f"{count(excluded, 'gap')} left out, mostly your own time"

    def _tokens(self) -> Iterator[Piece]:
        usage, record = self.record.usage, self.record
        if usage == Usage():
            return
        yield f"{count(usage.input_tokens)} in" + (
            f" ({count(usage.cached_tokens)} cached)" if usage.cached_tokens else ""
        )
        yield f"{count(usage.output_tokens)} out" + (
            f" ({count(usage.reasoning_tokens)} reasoning)" if usage.reasoning_tokens else ""
        )
        if record.output_token_throughput is not None and record.tpot is not None:
            yield f"{rate(record.output_token_throughput)} tokens/s"
            yield f"{self.unit.text(record.tpot * 1e9)} each"

    def _deltas(self) -> Iterator[Piece]:
        deltas = self.record.usage_deltas
        for delta in deltas[:_MANY]:
            added = [
                f"+{value:,} {name}"
                for name, value in (("in", delta.usage.input_tokens), ("out", delta.usage.output_tokens))
                if value is not None
            ]
            yield f"chunk {delta.chunk_index:,} at {self.unit.text(delta.time_ns)}: {', '.join(added) or 'times only'}"
        missing = len(deltas) - _MANY
        dropped = max(0, missing) + self.record.usage_deltas_dropped
        if dropped:
            yield f"and {dropped:,} more"

    def _models(self) -> Iterator[Piece]:
        for used in self.record.usage_models:
            yield f"{visible(used.model, limit=60)} {used.input_tokens:,} in, {used.output_tokens:,} out"

    def _limits(self) -> Iterator[Piece]:
        limits = self.record.rate_limits
        for left, of, reset, words in (
            (limits.requests_remaining, limits.requests_limit, limits.requests_reset, "requests a day"),
            (limits.tokens_remaining, limits.tokens_limit, limits.tokens_reset, "tokens a minute"),
        ):
            if left is not None or of is not None:
                known = f"{count(left)} of {count(of)} {words} left" + (
                    f" ({share(left, of)})" if left is not None and of else ""
                )
                yield known + (f", reset in {seconds(reset)}" if reset is not None else "")
        if self.record.retry_after is not None:
            yield f"retry after {seconds(self.record.retry_after)}"

    def _request(self) -> Iterator[Piece]:
        record = self.record
        for name, value in (
            ("messages", record.messages),
            ("tools offered", record.tools),
            ("max tokens", record.max_tokens),
            ("temperature", record.temperature),
            ("top p", record.top_p),
            ("frequency penalty", record.frequency_penalty),
            ("presence penalty", record.presence_penalty),
            ("stop", record.stop_sequences or None),
            ("seed", record.seed),
            ("choices", record.choice_count),
            ("output", record.output_type),
            ("reasoning effort", record.reasoning_effort),
            ("reasoning format", record.reasoning_format),
            ("tier asked", record.request_service_tier),
        ):
            if value is not None:
                yield f"{name} {plain(value)}"
        if record.request_size is not None:
            yield f"body {size(record.request_size)}"
        if record.server_address:
            yield f"to {plain(record.server_address)}" + (f":{record.server_port}" if record.server_port else "")

    def _answer(self) -> Iterator[Piece]:
        record = self.record
        if record.status is not None:
            yield f"HTTP {record.status}"
        if record.finish_reasons:
            yield f"finished: {plain(record.finish_reasons)}"
        if record.response_model and record.response_model != record.model:
            yield f"model {plain(record.response_model)}"
        for name, value in (
            ("tier", record.response_service_tier),
            ("region", record.region),
            ("fingerprint", record.system_fingerprint),
        ):
            if value is not None:
                yield f"{name} {plain(value)}"
        received = record.stream_bytes or record.response_size
        if received is not None:
            yield size(received) + (f" in {count(record.reads, 'read')}" if record.reads is not None else "")
        if record.audio_seconds is not None:
            yield f"audio {seconds(record.audio_seconds)}"

    def _ids(self) -> Iterator[Piece]:
        record = self.record
        for name, value in (
            ("response", record.response_id),
            ("trace", record.trace_id),
            ("span", record.span_id),
            ("service", record.service),
        ):
            if value:
                yield f"{name} {plain(value)}"

    def _once(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def _footnotes(self) -> None:
        if any(row.length_ns is None for row in self.fall.rows):
            self._once(
                "- is a value that is not known"
                + ("" if self.record.stream else ": without a stream nobody sees a call being assembled")
            )
        if not self.record.phases.total() and self.record.duration_ns:
            self._once("unaccounted: this span comes from another library, which measures no phases")
        if self.notes:
            self.page.blank()
        for note in self.notes:
            self.page.prose(note, style=FAINT)


_ENDINGS: Final = {
    "closed": "Closed by the caller before the answer was complete.",
    "abandoned": "Abandoned: the caller dropped the stream before the answer was complete.",
    "cancelled": "Cancelled: the caller's task was cancelled.",
    "truncated": "Truncated: the stream ended without [DONE].",
}
