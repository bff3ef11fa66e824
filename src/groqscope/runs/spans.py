"""The spans of one trace as plain values, from which a run is computed."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from groqscope import semconv
from groqscope.semconv import INFERENCES
from groqscope.timeline import Phases, RequestRecord

PartKind = Literal["model", "tool", "retrieval", "io", "own", "idle"]
"""What an instant of a run is spent on.

`model`: a Groq request, by its own phases, or another provider's inference. `tool`: a tool that the program ran.
`retrieval`: a vector store or a retriever. `io`: another call to outside of the process. `own`: the program's own code,
including its framework. `idle`: no span of the trace was open.
"""

PART_KINDS: Final[tuple[PartKind, ...]] = ("model", "tool", "retrieval", "io", "own", "idle")

_NO_PHASES: Final = Phases()
_IO_PREFIXES: Final = ("http.", "db.", "rpc.", "messaging.")
_IO_KINDS: Final = frozenset({"client", "producer"})
_OPENINFERENCE: Final = {
    "TOOL": semconv.EXECUTE_TOOL,
    "LLM": "chat",
    "EMBEDDING": "embeddings",
    "RETRIEVER": semconv.RETRIEVAL,
}
"""What OpenInference (LangGraph, LlamaIndex) calls an operation, by the name in OpenTelemetry's conventions."""
_NEAR: Final = 64
"""Inference spans that are looked at for each request, the nearest before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSpan:
    """One span of a trace, with its record if it is a Groq request."""

    trace_id: str
    span_id: str
    parent_id: str | None = None
    name: str = ""
    kind: str = "internal"
    """The span's kind in lower case: `internal`, `server`, `client`, `producer` or `consumer`."""
    start_unix_ns: int
    end_unix_ns: int | None
    """`None` if it is open, or if its end was never written."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    failed: bool = False
    record: RequestRecord | None = None

    @property
    def operation(self) -> str | None:
        """`gen_ai.operation.name`, if known."""
        value = self.attributes.get(semconv.OPERATION_NAME)
        if not isinstance(value, str):
            value = _OPENINFERENCE.get(str(self.attributes.get(semconv.OPENINFERENCE_KIND)))
        return value

    @property
    def ours(self) -> bool:
        """Whether it is a Groq request that groqscope observed; what another library says of one has no phases."""
        return self.record is not None and self.record.phases != _NO_PHASES

    @property
    def tool(self) -> str | None:
        """Name of the tool whose execution this span is."""
        name = self.attributes.get(semconv.TOOL_NAME, self.attributes.get(semconv.OPENINFERENCE_TOOL))
        if isinstance(name, str):
            return name if self.record is None or self.operation == semconv.EXECUTE_TOOL else None
        return self.name if self.operation == semconv.EXECUTE_TOOL else None


def _around(span: TraceSpan, others: Sequence[TraceSpan]) -> TraceSpan | None:
    """Return the shortest of the spans that last from before a span until after it; they are in order of start."""
    end = span.end_unix_ns
    if end is None:
        return None
    before = bisect_right(others, span.start_unix_ns, key=lambda other: other.start_unix_ns)
    near = others[max(0, before - _NEAR) : before]
    fitting = [other for other in near if other.end_unix_ns is not None and other.end_unix_ns >= end]
    return min(fitting, key=lambda other: (other.end_unix_ns or 0) - other.start_unix_ns, default=None)


def _is_step(span: TraceSpan) -> bool:
    attributes = span.attributes
    return attributes.get(semconv.OPENINFERENCE_KIND) == "CHAIN" or attributes.get(semconv.OPENLLMETRY_KIND) == "task"


class SpanTree:
    """The spans of one trace by parent; spans whose parent is missing are at the top."""

    __slots__ = ("_children", "by_id", "missing_parents", "tops")

    def __init__(self, spans: Iterable[TraceSpan]) -> None:
        self.by_id: dict[str, TraceSpan] = {}
        for span in spans:
            self.by_id.setdefault(span.span_id, span)
        self._nest_steps()
        self._nest_in_framework()
        self._settle_inferences()
        self._children: dict[str, list[TraceSpan]] = {}
        self.tops: list[TraceSpan] = []
        """Spans without a parent here, in order of start."""
        self.missing_parents: set[str] = set()
        """Ids of missing parents."""
        for span in self.by_id.values():
            if span.parent_id is None or span.parent_id == span.span_id:
                self.tops.append(span)
            elif span.parent_id in self.by_id:
                self._children.setdefault(span.parent_id, []).append(span)
            else:
                self.missing_parents.add(span.parent_id)
                self.tops.append(span)
        self._break_circles()
        self.tops.sort(key=lambda span: (span.start_unix_ns, span.span_id))

    def children(self, span: TraceSpan) -> list[TraceSpan]:
        """Return the direct children of a span; none for a request, which its children are part of."""
        return [] if span.record is not None else self._children.get(span.span_id, [])

    def part(self, span: TraceSpan) -> tuple[PartKind, str]:
        """Return the kind and the name of a span's own time, outside of its children."""
        if span.tool is not None:
            return "tool", span.tool
        if span.operation in INFERENCES and not self.children(span):
            return "model", "request"
        if span.operation == semconv.RETRIEVAL:
            return "retrieval", span.name
        if span.kind in _IO_KINDS and span.operation is None:
            return "io", span.name
        if span.kind == "internal" and any(key.startswith(_IO_PREFIXES) for key in span.attributes):
            return "io", span.name
        return "own", span.name

    def below(self, top: TraceSpan) -> Iterator[TraceSpan]:
        """Yield a span and its descendants, siblings in order of start."""
        waiting = [top]
        while waiting:
            span = waiting.pop()
            yield span
            if children := self.children(span):
                waiting.extend(sorted(children, key=lambda s: (-s.start_unix_ns, s.span_id)))

    def _nest_steps(self) -> None:
        """Put what a framework's step called below it, where the framework's instrumentation made it a sibling.

        Of LangGraph's node, LangChain's instrumentations make a span for the node's function, and beside it, at the
        same time, one for the chain that the function runs. A step without children is around each sibling that
        began and ended within its time.
        """
        groups: dict[str | None, list[TraceSpan]] = {}
        for span in self.by_id.values():
            groups.setdefault(span.parent_id, []).append(span)
        for group in groups.values():
            steps: list[TraceSpan] = []
            if len(group) < 2:  # no sibling
                continue
            for span in sorted(group, key=lambda s: (s.start_unix_ns, -(s.end_unix_ns or 0), s.span_id)):
                if (step := _around(span, steps)) is not None:
                    self.by_id[span.span_id] = replace(span, parent_id=step.span_id)
                if span.end_unix_ns is not None and span.span_id not in groups and _is_step(span):
                    steps.append(span)

    def _nest_in_framework(self) -> None:
        """Put what happened inside a framework's span below it, where the framework kept its spans out of the context.

        OpenInference's do so: a request that a node of LangGraph makes is a sibling of the whole graph. It goes down
        into the framework's span that is around it in time, and there into the shortest, as far as it goes.
        """
        below: dict[str | None, list[TraceSpan]] = {}
        strangers: dict[str | None, list[TraceSpan]] = {}
        for span in self.by_id.values():
            framework = semconv.OPENINFERENCE_KIND in span.attributes
            (below if framework else strangers).setdefault(span.parent_id, []).append(span)
        for spans in below.values():
            spans.sort(key=lambda s: s.start_unix_ns)
        for parent_id, spans in strangers.items():
            for span in spans if parent_id in below else ():
                above = parent_id
                while (inner := _around(span, below.get(above, ()))) is not None:
                    above = inner.span_id
                if above != parent_id:
                    self.by_id[span.span_id] = replace(span, parent_id=above)

    def _settle_inferences(self) -> None:
        """Put each request below the inference span of another library that tells of it, and let it tell it alone.

        LangChain's instrumentations keep their spans out of the context, so that both are siblings: an inference around
        the request in time, from the same part of the trace, is the one; the shortest, where several are.
        """
        requests = sorted((s for s in self.by_id.values() if s.ours), key=lambda s: (s.start_unix_ns, s.span_id))
        around = sorted(
            (s for s in self.by_id.values() if not s.ours and (s.record is not None or s.operation in INFERENCES)),
            key=lambda s: (s.start_unix_ns, s.span_id),
        )
        if not requests or not around:
            return
        starts, ids = [span.start_unix_ns for span in around], {span.span_id for span in around}
        done: set[str] = set()
        for request in requests:
            outer = [span_id for span_id in self._above(request) if span_id in ids]
            if not outer:
                before = bisect_right(starts, request.start_unix_ns)
                near = around[max(0, before - _NEAR) : before]
                chosen = _around(request, [s for s in near if s.span_id not in done and self._from_there(s, request)])
                if chosen is None:
                    continue
                self.by_id[request.span_id] = replace(request, parent_id=chosen.span_id)
                outer = [chosen.span_id]
            for span_id in outer:
                done.add(span_id)
                self.by_id[span_id] = replace(self.by_id[span_id], record=None)

    def _from_there(self, inference: TraceSpan, request: TraceSpan) -> bool:
        return request.parent_id is None or request.parent_id in self._above(inference)

    def _above(self, span: TraceSpan) -> dict[str, None]:
        """Return the ids of a span's ancestors, the nearest first."""
        found: dict[str, None] = {}
        while span.parent_id is not None and span.parent_id in self.by_id and span.parent_id not in found:
            found[span.parent_id] = None
            span = self.by_id[span.parent_id]
        return found

    def _break_circles(self) -> None:
        """Make the earliest span of each cycle of parents a top, because no top would reach the cycle."""
        reached = {span.span_id for top in self.tops for span in self._all_below(top)}
        for span in sorted(self.by_id.values(), key=lambda s: (s.start_unix_ns, s.span_id)):
            if span.span_id not in reached:
                siblings = self._children[span.parent_id or ""]
                siblings.remove(span)
                self.tops.append(span)
                reached.update(s.span_id for s in self._all_below(span))

    def _all_below(self, top: TraceSpan) -> Iterator[TraceSpan]:
        waiting = [top]
        while waiting:
            span = waiting.pop()
            yield span
            waiting.extend(self._children.get(span.span_id, ()))
