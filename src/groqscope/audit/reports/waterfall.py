"""The waterfall of a record: its rows, and their lengths as text.

The rows of `client` add up to the request's duration, to the nanosecond. Server-reported times have a length and no
position. The terminal, the page, Markdown and JSON all draw these rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from groqscope.audit.formatting import DurationUnit, count
from groqscope.timeline import Attempt, Phases, RequestRecord, ToolCall

Group = Literal["client", "attempt", "server", "tool", "executed"]

GROUPS: Final[dict[Group, tuple[str, str]]] = {
    "client": ("client", ""),
    "attempt": ("attempts", "each with the pause after it"),
    "tool": ("tool calls", "from the chunk before a call to the complete call"),
    "executed": ("Groq's tools", "run on Groq's side"),
    "server": ("server", "as Groq reports it; it does not say when, so nothing is drawn"),
}
"""The heading of each group, and what its rows are."""

_BEFORE_WAIT = ("prepare", "retry", "pool_wait", "connect", "tls", "send")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A named length inside a row."""

    name: str
    ns: int
    when: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One bar."""

    group: Group
    name: str
    length_ns: int | None
    start_ns: int | None = None
    """Since issue; `None`: a length without a position."""
    parts: tuple[Part, ...] = ()
    """What it is made of, when that is more than one thing."""
    tail_ns: int = 0
    """What follows the bar and belongs to it: the back-off after an attempt."""
    failed: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waterfall:
    """All rows of one request."""

    total_ns: int
    rows: tuple[Row, ...]
    residual_ns: int | None
    """Derived: the request's duration less what the server reports; `None` when it reports nothing."""

    def group(self, name: Group) -> tuple[Row, ...]:
        """Return the rows of one group."""
        return tuple(row for row in self.rows if row.group == name)


def phase_label(name: str) -> str:
    """Return the name of a phase as reports write it."""
    return {"consume": "your code", "pool_wait": "pool"}.get(name, name)


def waterfall(record: RequestRecord) -> Waterfall:
    """Lay out a record."""
    server = _server_rows(record)
    reported = sum(row.length_ns or 0 for row in server)
    rows = (*_client_rows(record), *_attempt_rows(record), *server, *_tool_rows(record))
    return Waterfall(
        total_ns=record.duration_ns,
        rows=rows,
        residual_ns=record.duration_ns - reported if server and reported <= record.duration_ns else None,
    )


def made_of(row: Row, phases: Phases) -> tuple[Part, ...]:
    """Return the phases that a row of the client consists of, one at least, for a drawing in their colours."""
    if row.parts:
        return row.parts
    names = {"wait": ("queue", "prefill", "generate", "network"), "stream": ("receive",)}.get(row.name)
    name = row.name if names is None else next((n for n in names if getattr(phases, n) is not None), "your code")
    return (Part(name=name, ns=row.length_ns or 0),)


def _client_rows(record: RequestRecord) -> list[Row]:
    phases = record.phases
    rows: list[Row] = []
    at = 0
    for name in _BEFORE_WAIT:
        length: int | None = getattr(phases, name)
        if length is not None:
            rows.append(Row(group="client", name=name, start_ns=at, length_ns=length, note=_note(record, name)))
            at += length
    early, late = _caller(record, at)
    for name, parts in (("wait", _wait_parts(phases, early)), ("stream", _stream_parts(phases, late))):
        if parts:
            length = sum(part.ns for part in parts)
            shown = parts if len(parts) > 1 else ()
            rows.append(
                Row(group="client", name=name, start_ns=at, length_ns=length, parts=shown, note=_note(record, name))
            )
            at += length
    if phases.finish is not None:
        rows.append(Row(group="client", name="finish", start_ns=at, length_ns=phases.finish))
        at += phases.finish
    if at < record.duration_ns:
        # Another library's span: it tells how long, not what happened.
        rows.append(Row(group="client", name="unaccounted", start_ns=at, length_ns=record.duration_ns - at))
    return rows


def _caller(record: RequestRecord, wait_start: int) -> tuple[int, int]:
    """Split the caller's own time into what lay before the first token and what came after it."""
    consume, wait = record.phases.consume or 0, record.phases.wait or 0
    begin = record.stream_start_ns
    if begin is None:
        return (0, consume) if record.phases.receive is not None else (consume, 0)
    early = max(0, min(consume, begin - wait_start - wait))
    return early, consume - early


def _wait_parts(phases: Phases, early: int) -> tuple[Part, ...]:
    parts = [
        Part(name=n, ns=v) for n in ("queue", "prefill", "generate", "network") if (v := getattr(phases, n)) is not None
    ]
    if early:
        parts.append(Part(name="your code", ns=early, when="after the first chunk"))
    return tuple(parts)


def _stream_parts(phases: Phases, late: int) -> tuple[Part, ...]:
    parts: list[Part] = []
    if phases.receive is not None:
        parts.append(Part(name="receive", ns=phases.receive))
    if late:
        parts.append(Part(name="your code", ns=late))
    return tuple(parts)


def _note(record: RequestRecord, name: str) -> str:
    if name == "send" and record.connection_reused:
        return "connection reused"
    if name == "connect":
        return "new connection"
    if name == "retry" and record.retries:
        return count(record.retries, "failed attempt")
    if name == "wait" and record.phases_unseen:
        return "connecting and sending not seen by this transport"
    return ""


def _attempt_rows(record: RequestRecord) -> list[Row]:
    total = len(record.attempts) + record.attempts_dropped
    if total < 2:  # one attempt is the request
        return []
    rows: list[Row] = []
    for number, attempt in enumerate(record.attempts, start=1):
        last = number == len(record.attempts)
        rows.append(
            Row(
                group="attempt",
                name=f"attempt {total if last else number}",
                start_ns=attempt.start_ns,
                length_ns=attempt.duration_ns or 0,
                tail_ns=attempt.backoff_ns or 0,
                failed=attempt.error_type is not None,
                note=_attempt_note(attempt),
            )
        )
    return rows


def _attempt_note(attempt: Attempt) -> str:
    status = str(attempt.status) if attempt.status is not None else ""
    error = attempt.error_type or ""
    words = [" ".join(word for word in (status, error if error != status else "") if word) or "no answer"]
    if attempt.moved_on:
        words.append("sent again with credentials" if attempt.status in (401, 407) else "redirected")
    if attempt.retry_after is not None:
        words.append(f"retry-after {attempt.retry_after:g} s")
    return ", ".join(words)


def _server_rows(record: RequestRecord) -> list[Row]:
    usage = record.usage
    rows: list[Row] = []
    for name, value in (
        ("queue", usage.queue_time),
        ("prompt", usage.prompt_time),
        ("completion", usage.completion_time),
    ):
        if value is not None and 0 <= value < 1e9:  # a nonsense value has no length
            rows.append(
                Row(group="server", name=name, length_ns=round(value * 1e9), note=_server_note(record, name, value))
            )
    return rows


def rest_row(length_ns: int) -> Row:
    """Return the row of what the server's report leaves of the request."""
    return Row(group="server", name="the rest", length_ns=length_ns, note="of the request, which Groq does not report")


def _server_note(record: RequestRecord, name: str, value: float) -> str:
    if name == "completion":
        # One speed in one report: what the facts below say, if Groq's own figure is where it is from.
        speed = record.output_token_throughput if record.tpot_source == "reported" else None
    else:
        fits = name == "prompt" and 0 < value <= record.duration_ns / 1e9
        speed = (record.usage.input_tokens or 0) / value if fits else None
    return f"{speed:,.0f} tokens/s" if speed else ""


def _tool_rows(record: RequestRecord) -> list[Row]:
    rows: list[Row] = []
    for call in record.tool_calls:
        end = None if call.first_delta_ns is None or call.delta_ns is None else call.first_delta_ns + call.delta_ns
        start = None if end is None or call.assembly_ns is None else end - call.assembly_ns
        rows.append(
            Row(
                group="tool",
                name=call.name or "(no name)",
                start_ns=start,
                length_ns=call.assembly_ns,
                failed=call.arguments_valid is False,
                note=tool_note(call),
            )
        )
    for tool in record.executed_tools:
        note = "run by Groq" + (
            "" if tool.duration_ns is not None else ", its output never came" if tool.start_ns is not None else ""
        )
        rows.append(
            Row(group="executed", name=tool.type, start_ns=tool.start_ns, length_ns=tool.duration_ns, note=note)
        )
    return rows


def tool_note(call: ToolCall) -> str:
    """Return how the arguments of a call arrived."""
    words = ["whole" if call.deltas == 1 else f"{call.deltas:,} deltas", f"{call.arguments_size:,} B"]
    if call.arguments_valid is False:
        words.append("not valid JSON")
    elif call.arguments_valid is None:
        words.append("too long to check")
    return ", ".join(words)


def density(times_us: tuple[int, ...], stride: int, total_ns: int, bins: int) -> list[int]:
    """Count chunks in `bins` equal parts of the request; a kept time stands for `stride` chunks."""
    counts = [0] * bins
    width = total_ns / bins / 1000 or 1
    for time in times_us:
        counts[max(0, min(bins - 1, int(time / width)))] += stride
    return counts


_ROBUST: Final = 10
"""How many times the rounding a length has to be for the change not to show."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A row's length and those of its parts."""

    text: str
    parts: tuple[str, ...] = ()

    def seen(self, row: Row) -> list[tuple[Part, str]]:
        """Return the parts with their lengths; those too short for the unit change no sum, and are left out."""
        return [(part, text) for part, text in zip(row.parts, self.parts, strict=False) if not text.startswith("<")]


def figures(fall: Waterfall, unit: DurationUnit) -> tuple[Figure, ...]:
    """Return the lengths of all rows as text: the client's add up to the total as written, parts to their row."""
    client = [row.length_ns or 0 for row in fall.group("client")]
    steps = iter(fitted([unit.steps(length) for length in client], unit.steps(fall.total_ns)))
    written: list[Figure] = []
    for row in fall.rows:
        if row.group != "client" or row.length_ns is None:
            written.append(Figure(unit.text(row.length_ns)))
            continue
        mine = next(steps)
        # `network` is a rest already, so it takes the rounding; what Groq reports is then written the same everywhere.
        rest = next((i for i, part in enumerate(row.parts) if part.name == "network"), None)
        parts = fitted([unit.steps(part.ns) for part in row.parts], mine, rest)
        texts = (unit.stepped(step, part.ns) for step, part in zip(parts, row.parts, strict=True))
        written.append(Figure(unit.stepped(mine, row.length_ns), tuple(texts)))
    return tuple(written)


def fitted(steps: Sequence[int], total: int, rest: int | None = None) -> list[int]:
    """Make rounded lengths sum to their rounded total: `rest`, else the largest, takes what rounding left over.

    Lengths that are off by more than rounding explains are left as they are.
    """
    found = list(steps)
    left = total - sum(found)
    if not found or abs(left) > len(found):
        return found
    if rest is None or found[rest] < _ROBUST * abs(left):
        rest = max(range(len(found)), key=found.__getitem__)
    found[rest] += left
    return found
