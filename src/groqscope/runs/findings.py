"""Rules that explain why a run took so long.

A rule reports only time that a person would notice (`NOTICEABLE_NS`) and that is a considerable share of the run (each
rule has its own threshold below). Findings are data; the audit turns them into sentences.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from groqscope import semconv
from groqscope.runs.partition import Segment
from groqscope.runs.run import Run
from groqscope.runs.spans import TraceSpan
from groqscope.semconv import INFERENCES
from groqscope.timeline import RequestRecord

FindingKind = Literal[
    "tool", "sequential_requests", "repeated_tool", "growing_context", "own_code", "late_end", "retry", "queue", "idle"
]

NOTICEABLE_NS: Final = 100_000_000
"""Shortest time that is a finding, whatever its share: below 100 ms a reaction seems instant."""
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
"""The least share of the run for each kind of finding."""
_LEAST_IN_A_ROW: Final = 3
"""Least number of sequential requests that did not depend on each other."""
_GROWN: Final = 2.0
_GROWN_TOKENS: Final = 2_000
"""A context has grown if the last request's input is twice the first's, and larger by this many tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One reason for a run's duration."""

    kind: FindingKind
    lost_ns: int
    """The time that it took, or that avoiding it would have saved."""
    name: str | None = None
    """The name of the tool, or of the span with the program's own code."""
    count: int | None = None
    """Number of executions, requests or segments."""
    before: int | None = None
    after: int | None = None
    """`growing_context`: tokens of the first and the last request. `late_end`: when the last answer was complete, and
    when the run ended, in nanoseconds since its start."""
    span_ids: tuple[str, ...] = ()
    """The ids of the spans to look at."""


def findings_of(run: Run) -> tuple[Finding, ...]:
    """Return the findings that explain a run's duration, the largest first; none if nothing stands out."""
    found = [
        finding
        for rule in _RULES
        for finding in rule(run)
        if finding.lost_ns >= NOTICEABLE_NS and finding.lost_ns >= _SHARES[finding.kind] * run.duration_ns
    ]
    return tuple(sorted(found, key=lambda f: (-f.lost_ns, f.kind, f.name or "")))


def _tools(run: Run) -> Iterator[Finding]:
    """Report the time spent in a tool, including the Groq requests of the tool itself."""
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
    """Report sequential requests of one parent whose messages did not grow, so that none used the answer of another."""
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
    """Report a tool that was executed again with the same arguments, which are compared by hash and not recorded."""
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
    """Report a growing context: each request repeats all previous messages, at the cost of a longer prefill."""
    sized = [r for r in run.requests if r.usage.input_tokens is not None and r.phases.prefill is not None]
    if len(sized) < _LEAST_IN_A_ROW:
        return
    first, last = sized[0], sized[-1]
    before, after = first.usage.input_tokens or 0, last.usage.input_tokens or 0
    if after >= _GROWN * before and after - before >= _GROWN_TOKENS:
        more = sum(max(0, (r.phases.prefill or 0) - (first.phases.prefill or 0)) for r in sized)
        yield Finding(kind="growing_context", lost_ns=more, count=len(sized), before=before, after=after)


def _own(run: Run) -> Iterator[Finding]:
    """Report the program's own code between two steps, before the last answer was complete."""
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
    """Report what the run did after the last answer was complete."""
    answered = _answered(run)
    yield Finding(kind="late_end", lost_ns=run.duration_ns - answered, before=answered, after=run.duration_ns)


def _phases(run: Run) -> Iterator[Finding]:
    phases: tuple[FindingKind, ...] = ("retry", "queue")
    for phase in phases:
        stretches = [s for s in run.segments if s.kind == "model" and s.name == phase]
        ids = tuple(dict.fromkeys(s.span_id for s in stretches if s.span_id is not None))
        yield Finding(kind=phase, lost_ns=sum(s.length_ns for s in stretches), count=len(stretches), span_ids=ids)


def _idle(run: Run) -> Iterator[Finding]:
    """Report time in which no span of the trace was open."""
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
    """Return when the last request was complete, since the run's start."""
    return min(run.duration_ns, max(r.start_unix_ns + r.duration_ns for r in run.requests) - run.start_unix_ns)


def _innermost(run: Run, name_of: Callable[[TraceSpan], str | None]) -> dict[str, str]:
    """Return a name for each span: its own, or that of the innermost enclosing span with one. Parents come first."""
    found: dict[str, str] = {}
    for span in run.spans:
        name = name_of(span) or found.get(span.parent_id or "")
        if name is not None:
            found[span.span_id] = name
    return found


def _siblings(run: Run) -> Iterable[list[RequestRecord]]:
    """Return the requests grouped by the span that made them, ignoring other libraries' inference spans."""
    by_id = {span.span_id: span for span in run.spans}
    groups: defaultdict[str | None, list[RequestRecord]] = defaultdict(list)
    for span in run.spans:
        if span.record is not None:
            parent = by_id.get(span.parent_id or "")
            while parent is not None and parent.operation in INFERENCES:
                parent = by_id.get(parent.parent_id or "")
            groups[None if parent is None else parent.span_id].append(span.record)
    for group in groups.values():
        group.sort(key=lambda record: record.start_unix_ns)
    return groups.values()
