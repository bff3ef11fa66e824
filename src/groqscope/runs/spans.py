"""The spans of one trace as plain values, from which a run is computed."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from groqscope import semconv
from groqscope.timeline import RequestRecord

PartKind = Literal["model", "tool", "retrieval", "io", "own", "idle"]
"""What an instant of a run is spent on.

`model`: a Groq request, by its own phases, or another provider's inference. `tool`: a tool that the program ran.
`retrieval`: a vector store or a retriever. `io`: another call to outside of the process. `own`: the program's own code,
including its framework. `idle`: no span of the trace was open.
"""

PART_KINDS: Final[tuple[PartKind, ...]] = ("model", "tool", "retrieval", "io", "own", "idle")

_IO_PREFIXES: Final = ("http.", "db.", "rpc.", "messaging.")
_IO_KINDS: Final = frozenset({"client", "producer"})
_INFERENCES: Final = frozenset({"chat", "text_completion", "generate_content", "embeddings"})


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
        return value if isinstance(value, str) else None

    @property
    def tool(self) -> str | None:
        """Name of the tool whose execution this span is."""
        name = self.attributes.get(semconv.TOOL_NAME)
        if self.operation == semconv.EXECUTE_TOOL or (self.record is None and isinstance(name, str)):
            return name if isinstance(name, str) else self.name
        return None


class SpanTree:
    """The spans of one trace by parent; spans whose parent is missing are at the top."""

    __slots__ = ("_children", "by_id", "missing_parents", "tops")

    def __init__(self, spans: Iterable[TraceSpan]) -> None:
        self.by_id: dict[str, TraceSpan] = {}
        for span in spans:
            self.by_id.setdefault(span.span_id, span)
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
        if span.operation in _INFERENCES and not self.children(span):
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
            waiting.extend(sorted(self.children(span), key=lambda s: (-s.start_unix_ns, s.span_id)))

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
