"""Why a run took as long as it did: few rules, each silent unless what it names took a good part of the run.

A rule speaks only of time that a person would notice (`NOTICEABLE_NS`) and that is a good part of the run (its own
share below). What it says is facts; the audit makes sentences of them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from groqscope import semconv
from groqscope.runs.partition import Segment
from groqscope.runs.run import Run
from groqscope.runs.spans import TraceSpan
from groqscope.timeline import RequestRecord

FindingKind = Literal[
    "tool", "sequential_requests", "repeated_tool", "growing_context", "own_code", "late_end", "retry", "queue", "idle"
]

NOTICEABLE_NS: Final = 100_000_000
"""What is shorter is no finding, whatever its share: below 100 ms a person sees an instant reaction."""
_SHARES: Final[Mapping[FindingKind, float]] = {
    "tool": 0.25,
    "sequential_requests": 0.2,
    "repeated_tool": 0.05,
    "growing_context": 0.1,
    "own_code": 0.2,
    "late_end": 0.15,
    "retry": 0.1,
    "queue": 0.2,
    "idle": 0.2,
}
"""The part of the run that a finding has to take."""
_LEAST_IN_A_ROW: Final = 3
"""Requests one after the other that did not need each other's answers, before it is worth saying."""
_GROWN: Final = 2.0
_GROWN_TOKENS: Final = 2_000
"""A context has grown when the last request's input is twice the first's, and so many tokens more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One reason for a run's length."""

    kind: FindingKind
    lost_ns: int
    """The time it took, or would have been saved."""
    name: str | None = None
    """The tool, or the span of the own code."""
    count: int | None = None
    """Executions, requests or stretches."""
    before: int | None = None
    after: int | None = None
    """`growing_context`: tokens of the first and the last request. `late_end`: when the last answer was whole, and when
    the run ended, nanoseconds since its start."""
    span_ids: tuple[str, ...] = ()
    """Where to look."""


def findings_of(run: Run) -> tuple[Finding, ...]:
    """Return what explains a run's length, the largest first; none where nothing stands out."""
    found = [
        finding
        for rule in _RULES
        for finding in rule(run)
        if finding.lost_ns >= NOTICEABLE_NS and finding.lost_ns >= _SHARES[finding.kind] * run.duration_ns
    ]
    return tuple(sorted(found, key=lambda f: (-f.lost_ns, f.kind, f.name or "")))


def _tools(run: Run) -> Iterator[Finding]:
    """The time that the run waited in a tool, what the tool itself did with Groq included."""
    inside = _innermost(run, lambda span: span.tool)
    lengths: defaultdict[str, int] = defaultdict(int)
    for segment in run.segments:
        name = inside.get(segment.span_id or "")
        if name is not None:
            lengths[name] += segment.length_ns
    for name, length in lengths.items():
        ids = tuple(tool.span_id for tool in run.tools if tool.name == name)
        yield Finding(kind="tool", lost_ns=length, name=name, count=len(ids), span_ids=ids)


def _sequential(run: Run) -> Iterator[Finding]:
    """Requests of one parent, one after the other, whose messages did not grow: none carried an answer on."""
    for group in _siblings(run):
        row: list[RequestRecord] = []
        for request in group:
            if row and not _independent(row[-1], request):
                yield from _row(row)
                row = []
            row.append(request)
        yield from _row(row)


def _independent(before: RequestRecord, after: RequestRecord) -> bool:
    if before.messages is None or after.messages is None or before.outcome != "completed":
        return False
    one_after_the_other = after.start_unix_ns >= before.start_unix_ns + before.duration_ns
    return one_after_the_other and after.messages <= before.messages and not before.tool_calls


def _row(row: Sequence[RequestRecord]) -> Iterator[Finding]:
    if len(row) >= _LEAST_IN_A_ROW:
        lengths = [request.duration_ns for request in row]
        ids = tuple(request.span_id for request in row if request.span_id is not None)
        yield Finding(kind="sequential_requests", lost_ns=sum(lengths) - max(lengths), count=len(row), span_ids=ids)


def _repeated(run: Run) -> Iterator[Finding]:
    """A tool executed again with arguments it had before; told by a hash, so that no argument needs to be recorded."""
    seen: defaultdict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    hashes = {
        call.id: call.arguments_hash
        for request in run.requests
        for call in request.tool_calls
        if call.id is not None and call.arguments_hash is not None
    }
    calls = {span.span_id: span.attributes.get(semconv.TOOL_CALL_ID) for span in run.spans if span.tool is not None}
    for tool in run.tools:
        hashed = hashes.get(str(calls.get(tool.span_id)))
        if hashed is not None:
            seen[tool.name, hashed].append((tool.span_id, tool.duration_ns))
    for (name, _), executions in seen.items():
        if len(executions) > 1:
            again = sum(length for _, length in executions[1:])
            ids = tuple(span_id for span_id, _ in executions)
            yield Finding(kind="repeated_tool", lost_ns=again, name=name, count=len(executions), span_ids=ids)


def _growing(run: Run) -> Iterator[Finding]:
    """Each request carries all that was said before; prefill beyond the first request's is what that costs."""
    sized = [r for r in run.requests if r.usage.input_tokens is not None and r.phases.prefill is not None]
    if len(sized) < _LEAST_IN_A_ROW:
        return
    first, last = sized[0], sized[-1]
    before, after = first.usage.input_tokens or 0, last.usage.input_tokens or 0
    if after >= _GROWN * before and after - before >= _GROWN_TOKENS:
        more = sum(max(0, (r.phases.prefill or 0) - (first.phases.prefill or 0)) for r in sized)
        yield Finding(kind="growing_context", lost_ns=more, count=len(sized), before=before, after=after)


def _own(run: Run) -> Iterator[Finding]:
    """The program's own code between two steps, before the last answer was whole."""
    answered = _answered(run)
    own = [s for s in run.segments if s.kind == "own" and s.end_ns - run.start_unix_ns <= answered]
    if own:
        longest: Segment = max(own, key=lambda s: s.length_ns)
        yield Finding(
            kind="own_code",
            lost_ns=sum(s.length_ns for s in own),
            name=longest.name,
            count=len(own),
            span_ids=() if longest.span_id is None else (longest.span_id,),
        )


def _late(run: Run) -> Iterator[Finding]:
    """What came after the last answer was whole."""
    answered = _answered(run)
    yield Finding(kind="late_end", lost_ns=run.duration_ns - answered, before=answered, after=run.duration_ns)


def _phases(run: Run) -> Iterator[Finding]:
    for kind, phase in (("retry", "retry"), ("queue", "queue")):
        named: FindingKind = "retry" if kind == "retry" else "queue"
        stretches = [s for s in run.segments if s.kind == "model" and s.name == phase]
        ids = tuple(dict.fromkeys(s.span_id for s in stretches if s.span_id is not None))
        yield Finding(kind=named, lost_ns=sum(s.length_ns for s in stretches), count=len(stretches), span_ids=ids)


def _idle(run: Run) -> Iterator[Finding]:
    """Time in which no span of the trace was open."""
    stretches = [s for s in run.segments if s.kind == "idle"]
    yield Finding(kind="idle", lost_ns=sum(s.length_ns for s in stretches), count=len(stretches))


_RULES: Final[tuple[Callable[[Run], Iterable[Finding]], ...]] = (
    _tools,
    _sequential,
    _repeated,
    _growing,
    _own,
    _late,
    _phases,
    _idle,
)


def _answered(run: Run) -> int:
    """When the last request was whole, since the run's start."""
    return min(run.duration_ns, max(r.start_unix_ns + r.duration_ns for r in run.requests) - run.start_unix_ns)


def _innermost(run: Run, name_of: Callable[[TraceSpan], str | None]) -> dict[str, str]:
    """Return, by span, the name of the innermost span around it (or itself) that has one; parents come first."""
    found: dict[str, str] = {}
    for span in run.spans:
        name = name_of(span) or found.get(span.parent_id or "")
        if name is not None:
            found[span.span_id] = name
    return found


def _siblings(run: Run) -> Iterable[list[RequestRecord]]:
    """Return the requests by what asked for them; another library's inference around one is not what asked."""
    by_id = {span.span_id: span for span in run.spans}
    groups: defaultdict[str | None, list[RequestRecord]] = defaultdict(list)
    for span in run.spans:
        if span.record is not None:
            parent = by_id.get(span.parent_id or "")
            while parent is not None and parent.operation in {"chat", "text_completion", "generate_content"}:
                parent = by_id.get(parent.parent_id or "")
            groups[None if parent is None else parent.span_id].append(span.record)
    for group in groups.values():
        group.sort(key=lambda record: record.start_unix_ns)
    return groups.values()
