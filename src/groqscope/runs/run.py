"""`Run`: how the time of an agent's answer or a server's request was spent, adding up to the nanosecond.

A run is computed from the spans of one trace, or of a part of it, without a clock and without I/O.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from groqscope import semconv
from groqscope.runs.partition import Overlap, Segment, overlaps, partition
from groqscope.runs.spans import PART_KINDS, PartKind, SpanTree, TraceSpan
from groqscope.timeline import LEFT, PHASE_NAMES, RequestRecord

_NAMED_OVERLAPS: Final = 64
"""How many overlaps a run keeps: those that saved most."""

_SPEECH: Final = "speech"
_AUDIO: Final = frozenset({_SPEECH, "transcription", "translation"})


class NotARun(ValueError):
    """There is no Groq request among the spans, or none below the requested span."""


@dataclass(frozen=True, slots=True)
class Part:
    """How much of a run's wall clock time one kind of work took."""

    kind: PartKind
    name: str
    """The phase of a request, the tool, or the span whose own time it is."""
    duration_ns: int
    stretches: int
    """The number of its segments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolExecution:
    """One execution of a tool by the program."""

    name: str
    span_id: str
    start_ns: int
    """Nanoseconds since the run's start."""
    duration_ns: int
    failed: bool = False


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run; every nanosecond of `duration_ns` is in exactly one of its segments."""

    trace_id: str
    span_id: str | None
    """The span of the run; `None` if the run is a whole trace without a single root."""
    name: str
    service: str | None
    agent: str | None = None
    conversation: str | None = None
    user: str | None = None
    tags: Mapping[str, str]
    start_unix_ns: int
    duration_ns: int
    failed: bool
    segments: tuple[Segment, ...]
    """The partition, in order of time."""
    spans: tuple[TraceSpan, ...]
    """Every span of the run, parents before children."""
    requests: tuple[RequestRecord, ...]
    """The Groq requests, in order of start; each once, the record inside another library's inference span."""
    tools: tuple[ToolExecution, ...]
    overlaps: tuple[Overlap, ...]
    missing: tuple[str, ...]
    """A sentence for each thing that is missing; empty for a complete trace."""

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The segments summed by kind and name: model first, by phase, then the others, longest first."""
        lengths: Counter[tuple[PartKind, str]] = Counter()
        stretches: Counter[tuple[PartKind, str]] = Counter()
        for segment in self.segments:
            lengths[segment.kind, segment.name] += segment.length_ns
            stretches[segment.kind, segment.name] += 1
        parts = [Part(kind, name, length, stretches[kind, name]) for (kind, name), length in lengths.items()]
        return tuple(sorted(parts, key=_place))

    @property
    def overlap_saved_ns(self) -> int:
        """How much time concurrency saved, compared with sequential execution."""
        return sum(overlap.saved_ns for overlap in self.overlaps)

    def time_in(self, kind: PartKind) -> int:
        """Return the sum of the segments of one kind, in nanoseconds."""
        return sum(segment.length_ns for segment in self.segments if segment.kind == kind)

    @property
    def first_answer_ns(self) -> int | None:
        """When the first answer token of the run's last request arrived, since the run's start.

        The last request, audio aside, produces the answer; the output of requests before it went to tools. `None` if
        that request was not streamed, failed, or produced no answer.
        """
        last = next((r for r in reversed(self.requests) if r.operation not in _AUDIO), None)
        if last is None or last.ttfot_ns is None or last.outcome == "error":
            return None
        return last.start_unix_ns - self.start_unix_ns + last.ttfot_ns

    @property
    def first_audio_ns(self) -> int | None:
        """When the first byte of speech arrived, since the run's start; `None` if no speech was read as it came."""
        heard = [
            r.start_unix_ns - self.start_unix_ns + r.ttfc_ns
            for r in self.requests
            if r.operation == _SPEECH and r.ttfc_ns is not None
        ]
        return min(heard, default=None)

    @property
    def interrupted(self) -> bool:
        """Whether the caller ended it early: `groqscope.run` was cancelled, or the requests that it ended with.

        An interrupted voice turn is short, but was not fast, so its duration is in no statistic.
        """
        left = [r.start_unix_ns + r.duration_ns for r in self.requests if r.outcome in LEFT]
        if left and max(left) >= max(r.start_unix_ns for r in self.requests):
            return True
        return self.span_id is not None and self.spans[0].attributes.get(semconv.RUN_INTERRUPTED) is True

    @property
    def retries(self) -> int:
        """HTTP attempts beyond the first, of all requests."""
        return sum(request.retries for request in self.requests)

    @property
    def input_tokens(self) -> int | None:
        """Sum over the requests whose usage is known; `None` if there are none."""
        return _sum(request.usage.input_tokens for request in self.requests)

    @property
    def output_tokens(self) -> int | None:
        """Sum over the requests whose usage is known; `None` if there are none."""
        return _sum(request.usage.output_tokens for request in self.requests)

    @property
    def cached_share(self) -> float | None:
        """Share of the input tokens that was cached, of requests for models that cache prompts."""
        tokens = _sum(request.cacheable_tokens for request in self.requests)
        return (_sum(request.usage.cached_tokens for request in self.requests) or 0) / tokens if tokens else None

    @property
    def cache_saved(self) -> float | None:
        """US dollars saved by cached tokens; `None` if no request has it."""
        return _dollars(request.cache_saved for request in self.requests)

    @property
    def cache_lost(self) -> float | None:
        """US dollars that cacheable tokens would have saved; `None` if no request has it."""
        return _dollars(request.cache_lost for request in self.requests)

    @property
    def cost(self) -> float | None:
        """US dollars, summed over the requests whose cost is known; `None` if there are none."""
        return _dollars(request.cost for request in self.requests)

    @property
    def unpriced(self) -> int:
        """Requests whose cost is not known."""
        return sum(request.cost is None for request in self.requests)


def run_of(spans: Iterable[TraceSpan], *, top: str | None = None) -> Run:
    """Return the run of a trace, or of the part below the span `top`.

    All spans must be of one trace; a duplicate span counts once.

    Raises:
        NotARun: it contains no Groq request.
        KeyError: `top` is not among the spans.
    """
    return _make(SpanTree(spans), top)


def runs_of(spans: Iterable[TraceSpan]) -> list[Run]:
    """Return the runs of a trace: each outermost `groqscope.run` or agent with Groq requests, else the whole trace.

    A trace that consists of a single request is not a run.
    """
    tree = SpanTree(spans)
    if not any(span.record is not None for span in tree.by_id.values()):
        return []
    marked = [span for top in tree.tops for span in _outermost(tree, top)]
    found = [_make(tree, span.span_id) for span in marked]
    if not found and (len(tree.tops) > 1 or tree.tops[0].record is None):
        found.append(_make(tree, None))
    return found


def _outermost(tree: SpanTree, top: TraceSpan) -> list[TraceSpan]:
    """Return the outermost run spans that have a request below them."""
    found: list[TraceSpan] = []
    waiting = [top]
    while waiting:
        span = waiting.pop()
        marked = semconv.RUN_NAME in span.attributes or span.operation == semconv.INVOKE_AGENT
        if marked and any(s.record is not None for s in tree.below(span)):
            found.append(span)
        else:
            waiting.extend(tree.children(span))
    return sorted(found, key=lambda s: (s.start_unix_ns, s.span_id))


def _make(tree: SpanTree, top: str | None) -> Run:
    tops = tree.tops if top is None else [tree.by_id[top]]
    spans = [span for one in tops for span in tree.below(one)]
    records = [span.record for span in spans if span.record is not None]
    records.sort(key=lambda record: (record.start_unix_ns, record.span_id or ""))
    if not records:
        raise NotARun("it contains no Groq request")
    start = min(span.start_unix_ns for span in tops)
    deciding = tops if len(tops) == 1 and _ended(tops[0]) else spans
    end = max(start, *(_last_moment(span) for span in deciding))
    groups: list[Overlap] = []
    for children in (tops, *(tree.children(span) for span in spans)):
        if len(children) > 1:
            groups.extend(overlaps(children, end, _name))
    one = tops[0] if len(tops) == 1 else None
    facts = _facts(spans if one is None else [one, *spans], records)
    return Run(
        trace_id=tops[0].trace_id,
        span_id=None if one is None else one.span_id,
        name=facts.pop("name", None) or (one.name if one is not None else "trace"),
        service=next((r.service for r in records if r.service is not None), None),
        agent=facts.get("agent"),
        conversation=facts.get("conversation"),
        user=facts.get("user"),
        tags=_tags(spans, records),
        start_unix_ns=start,
        duration_ns=end - start,
        failed=any(span.failed for span in tops),
        segments=tuple(partition(tree, tops, start, end)),
        spans=tuple(spans),
        requests=tuple(records),
        tools=tuple(
            ToolExecution(
                name=span.tool,
                span_id=span.span_id,
                start_ns=span.start_unix_ns - start,
                duration_ns=max(0, _last_moment(span, end) - span.start_unix_ns),
                failed=span.failed,
            )
            for span in sorted(spans, key=lambda s: (s.start_unix_ns, s.span_id))
            if span.tool is not None
        ),
        overlaps=tuple(sorted(groups, key=lambda o: (-o.saved_ns, o.start_ns))[:_NAMED_OVERLAPS]),
        missing=tuple(_missing(tree, spans, tops)),
    )


def _ended(span: TraceSpan) -> bool:
    return span.end_unix_ns is not None


def _last_moment(span: TraceSpan, open_until: int | None = None) -> int:
    """Return when a span ended; for an open span, `open_until` or its start."""
    if span.end_unix_ns is not None:
        return span.end_unix_ns
    return span.start_unix_ns if open_until is None else open_until


_FACTS: Final = {
    semconv.RUN_NAME: "name",
    semconv.AGENT_NAME: "agent",
    semconv.CONVERSATION_ID: "conversation",
    semconv.SESSION_ID: "conversation",
    semconv.USER_ID: "user",
}
_FACTS_OF_REQUESTS: Final = ("agent", "conversation", "user")


def _facts(spans: Iterable[TraceSpan], records: Sequence[RequestRecord]) -> dict[str, str]:
    """Return the run's attributes: each from the outermost span that has it, else from its requests if they agree.

    Requests alone have what came as baggage, or from a span that is missing.
    """
    found: dict[str, str] = {}
    for span in spans:
        for name, fact in _FACTS.items():
            if fact not in found and isinstance(value := span.attributes.get(name), str):
                found[fact] = value
    for fact in _FACTS_OF_REQUESTS:
        if fact not in found:
            values = {value for record in records if (value := getattr(record, fact)) is not None}
            if len(values) == 1:
                found[fact] = values.pop()
    return found


def _tags(spans: Iterable[TraceSpan], records: Sequence[RequestRecord]) -> dict[str, str]:
    """Return the tags of spans, of the outermost that has each, and those of requests on which they agree."""
    tags: dict[str, str] = {}
    for span in spans:
        for name, value in span.attributes.items():
            if name.startswith(semconv.TAG_PREFIX):
                tags.setdefault(name.removeprefix(semconv.TAG_PREFIX), str(value))
    asked: dict[str, set[str]] = {}
    for record in records:
        for name, value in record.tags:
            asked.setdefault(name, set()).add(value)
    for name, values in asked.items():
        if len(values) == 1:
            tags.setdefault(name, values.pop())
    return tags


def _missing(tree: SpanTree, spans: list[TraceSpan], tops: list[TraceSpan]) -> Iterable[str]:
    absent = {s.parent_id for s in tops if s.parent_id is not None and s.parent_id in tree.missing_parents}
    if absent:
        what = "a parent span is" if len(absent) == 1 else f"{len(absent)} parent spans are"
        yield f"{what} missing (not sampled, not exported, or still running)"
    left_out = [span.attributes.get(semconv.SPANS_LEFT_OUT) for span in tree.by_id.values()]
    number = sum(found for found in left_out if isinstance(found, int))
    if number:
        yield f"{number:,} {'span' if number == 1 else 'spans'} of other libraries were not stored: there were too many"
    running = sum(not _ended(span) for span in spans)
    if running:
        yield f"{running} {'span has' if running == 1 else 'spans have'} no end: still running, or cut off"


def _name(span: TraceSpan) -> str:
    if span.record is not None:
        return span.record.model or span.name
    return span.tool or span.name


def _place(part: Part) -> tuple[int, int, int, str]:
    phase = PHASE_NAMES.index(part.name) if part.kind == "model" and part.name in PHASE_NAMES else len(PHASE_NAMES)
    if part.kind == "model":
        return 0, phase, -part.duration_ns, part.name
    return PART_KINDS.index(part.kind), 0, -part.duration_ns, part.name


def _dollars(values: Iterable[float | None]) -> float | None:
    """Return the sum of the known values, independent of their order; `None` if there are none."""
    known = [value for value in values if value is not None]
    return math.fsum(known) if known else None


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
