"""Partitions a run's wall clock time: each nanosecond is one span's own time, or a phase of one request.

For spans that overlap, the critical path decides. It is found from the end backwards: a parent waited for the child
that ended last, so the time back to that child's start is the child's; then follows, of the children open at that
moment, the one that ended last. Time in which no child is open is the parent's own. (The critical path of a trace as in
Zhang et al., "CRISP: Critical Path Analysis of Large-Scale Microservice Architectures", USENIX ATC 2022; there, time
before an overlapped start is the parent's, here it stays with the sibling that was open.)

A child that outlives its parent, or starts before it, counts only within the parent's time.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from groqscope.runs.spans import PartKind, SpanTree, TraceSpan
from groqscope.timeline import RequestRecord

_BETWEEN_CHUNKS: Final = "between chunks"


class Segment(NamedTuple):
    """A segment of the run that belongs to one part; times are Unix nanoseconds."""

    start_ns: int
    end_ns: int
    kind: PartKind
    name: str
    span_id: str | None
    """The span whose own time it is; `None` when no span was open."""

    @property
    def length_ns(self) -> int:
        """Its length in nanoseconds."""
        return self.end_ns - self.start_ns


@dataclass(frozen=True, slots=True)
class Overlap:
    """Spans of one parent that were open at the same time."""

    names: tuple[str, ...]
    """Their names, in order of start."""
    start_ns: int
    end_ns: int
    saved_ns: int
    """How much longer they would have taken sequentially: the sum of their lengths minus the length of their union."""


def partition(tree: SpanTree, tops: Iterable[TraceSpan], start: int, end: int) -> list[Segment]:
    """Divide [start, end) among the spans below `tops`; the segments are in order, and cover it without gaps."""
    segments: list[Segment] = []

    # From the end backwards, without recursion: a trace may be thousands of spans deep.
    waiting: list[tuple[TraceSpan | None, int, int, bool]] = []

    def divide(owner: TraceSpan | None, children: Iterable[TraceSpan], low: int, high: int) -> None:
        waiting.extend(reversed(list(_path(owner, children, low, high))))

    divide(None, tops, start, end)
    while waiting:
        span, low, high, itself = waiting.pop()
        if span is None:
            segments.append(Segment(low, high, "idle", "idle", None))
        elif itself:
            segments.append(Segment(low, high, *tree.part(span), span.span_id))
        elif span.record is not None:
            segments.extend(reversed(list(_request(span, span.record, low, high))))
        else:
            divide(span, tree.children(span), low, high)
    segments.reverse()
    return segments


def overlaps(children: Iterable[TraceSpan], end: int, name_of: Callable[[TraceSpan], str]) -> Iterator[Overlap]:
    """Yield the groups of overlapping siblings."""
    group: list[tuple[int, int, str]] = []
    reach = 0
    for child in sorted(children, key=lambda s: (s.start_unix_ns, s.span_id)):
        low, high = child.start_unix_ns, min(end, _end(child, end))
        if low >= high:
            continue
        if group and low >= reach:
            yield from _overlap(group)
            group = []
        group.append((low, high, name_of(child)))
        reach = max(reach, high) if len(group) > 1 else high
    yield from _overlap(group)


def _overlap(group: list[tuple[int, int, str]]) -> Iterator[Overlap]:
    if len(group) > 1:
        start, end = group[0][0], max(high for _, high, _ in group)
        saved = sum(high - low for low, high, _ in group) - (end - start)
        yield Overlap(tuple(name for _, _, name in group), start, end, saved)


def _end(span: TraceSpan, end: int) -> int:
    return end if span.end_unix_ns is None else span.end_unix_ns


def _path(
    owner: TraceSpan | None, children: Iterable[TraceSpan], low: int, high: int
) -> Iterator[tuple[TraceSpan | None, int, int, bool]]:
    """Yield the owners of [low, high), latest first: a child and its segment, or the owner itself."""
    ending = sorted(
        (min(high, _end(child, high)), -child.start_unix_ns, child.span_id, child)
        for child in children
        if child.start_unix_ns < high and _end(child, high) > low
    )
    open_now: list[tuple[int, int, str, TraceSpan]] = []
    at = high
    while at > low:
        while ending and ending[-1][0] >= at:
            last, start, span_id, child = ending.pop()
            heapq.heappush(open_now, (-last, -start, span_id, child))
        while open_now and open_now[0][3].start_unix_ns >= at:
            heapq.heappop(open_now)
        if open_now:
            child = open_now[0][3]
            begin = max(low, child.start_unix_ns)
            yield child, begin, at, False
        else:
            begin = max(low, ending[-1][0]) if ending else low
            yield owner, begin, at, True
        at = begin


def _request(span: TraceSpan, record: RequestRecord, low: int, high: int) -> Iterator[Segment]:
    """Yield a request's phases within [low, high), one after the other, in the order in which they start.

    For a whole request, as nearly all are, each phase is exact. If a request is cut off, all of `consume` is taken to
    be after `receive`, although the two alternated.
    """
    at = span.start_unix_ns
    for name, length in record.phases.items():
        begin, end = max(low, at), min(high, at + length)
        if begin < end:
            kind: PartKind = "own" if name == "consume" else "model"
            yield Segment(begin, end, kind, _BETWEEN_CHUNKS if name == "consume" else name, span.span_id)
        at += length
    if at < high:
        # A record of another library has no phases; a span that outlasts its record has the rest.
        yield Segment(max(low, at), high, "model", "request", span.span_id)
