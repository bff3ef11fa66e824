"""Under any provider, processor, sampler, exporter or limit, our spans fare as spans of plain code do.

The oracle is OpenTelemetry itself. A tracer that only takes notes writes down what groqscope asks of the API for one
request; the same calls are then made by plain code on a provider of the same surroundings, and what comes out must be
equal: what processors saw, in which order, and what was exported.
"""

import copy
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.sdk.trace import (
    ConcurrentMultiSpanProcessor,
    ReadableSpan,
    SpanLimits,
    SpanProcessor,
    TracerProvider,
)
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from support.processes import WHOLE
from support.scope import MODEL, STREAM, Exported, Wire, groq_client, sse

import groqscope
from groqscope import record_of, semconv
from groqscope.codec import encode
from groqscope.telemetry import ContentPolicy

SECRET = "the patient is Jane 4711"
ASKED: dict[str, Any] = {**STREAM, "messages": [{"role": "user", "content": SECRET}]}
INPUT = semconv.INPUT_MESSAGES


# -- the oracle


class Noted(trace.NonRecordingSpan):
    """A span of a provider that is not OpenTelemetry's SDK; it notes the calls it gets."""

    def __init__(self, number: int, start: tuple[Any, ...]) -> None:
        super().__init__(trace.SpanContext(7, number, is_remote=False, trace_flags=trace.TraceFlags(1)))
        self.start = start
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.ended = False

    def is_recording(self) -> bool:
        return not self.ended

    def set_attributes(self, attributes: Any) -> None:
        self.calls.append(("set_attributes", (dict(attributes),)))

    def set_attribute(self, key: str, value: Any) -> None:
        self.calls.append(("set_attribute", (key, value)))

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        self.calls.append(("add_event", (name, attributes, timestamp)))

    def set_status(self, status: Any, description: str | None = None) -> None:
        self.calls.append(("set_status", (status,)))

    def end(self, end_time: int | None = None) -> None:
        self.ended = True
        self.calls.append(("end", (end_time,)))


class Notes(trace.TracerProvider, trace.Tracer):
    """A provider of such spans, which remembers them in the order in which they were started."""

    def __init__(self) -> None:
        self.spans: list[Noted] = []

    def get_tracer(self, *_: Any, **__: Any) -> trace.Tracer:
        return self

    def start_span(
        self,
        name: str,
        context: Any = None,
        kind: Any = trace.SpanKind.INTERNAL,
        attributes: Any = None,
        links: Any = None,
        start_time: int | None = None,
        **_: Any,
    ) -> trace.Span:
        parent = trace.get_current_span(context).get_span_context().span_id
        span = Noted(len(self.spans) + 1, (name, parent, kind, dict(attributes or {}), start_time))
        self.spans.append(span)
        return span

    def start_as_current_span(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError  # the interface wants the method; ours starts spans by `start_span` alone


def plain(notes: Notes, tracer: trace.Tracer) -> None:
    """Make the same calls as plain code would: start the parent, then each child, then end the parent."""
    name, _, kind, attributes, start = notes.spans[0].start
    parent: Any = trace.INVALID_SPAN
    with suppress(Exception):
        parent = tracer.start_span(name, otel_context.get_current(), kind, attributes, start_time=start)
    below = trace.set_span_in_context(parent)
    if parent.is_recording():
        for child in notes.spans[1:]:
            name, _, kind, attributes, start = child.start
            with suppress(Exception):
                _told(tracer.start_span(name, below, kind, attributes, start_time=start), child)
    with suppress(Exception):
        _told(parent, notes.spans[0])


def _told(span: trace.Span, noted: Noted) -> None:
    for call, arguments in noted.calls:
        if span.is_recording() or call == "end":
            getattr(span, call)(*arguments)


def ask(**providers: Any) -> Any:
    """One streamed request whose first attempt is refused, with content recorded."""
    client = groqscope.instrument(
        groq_client("sync", http={"transport": Wire(lambda _: _refused(), lambda _: sse(*WHOLE))}),
        content=ContentPolicy(spans=True),
        **providers,
    )
    # By the machine's clock, which attributes there are would depend on how long each step takes.
    ticks = count(7_000_000_000, 1_000)
    type(client)._groqscope_scope.now = lambda: next(ticks)
    with client:
        stream = client.chat.completions.create(**ASKED)
        list(stream)
    groqscope.flush()
    return stream


def _refused() -> Any:
    import httpx

    return httpx.Response(503, headers={"retry-after-ms": "1"}, json={"error": {"message": "busy"}})


# -- surroundings


@dataclass
class Seen(SpanProcessor):
    """A processor that notes what it is shown; there is one before all others and one after them."""

    log: list[Any] = field(default_factory=list[Any])

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.log.append(("start", span.name, _shape(span.attributes), baggage.get_baggage("tenant", parent_context)))

    def _on_ending(self, span: Any) -> None:
        self.log.append(("ending", span.name, _shape(span.attributes), [e.name for e in span.events]))

    def on_end(self, span: Any) -> None:
        self.log.append(("end", span.name, _shape(span.attributes), span.dropped_attributes))


def _shape(attributes: Any) -> list[Any]:
    """Attributes in their order; numbers, and a string made of them, differ from request to request."""
    differs = (int, float, tuple)
    found = dict(attributes or {})
    return [(k, type(v).__name__ if isinstance(v, differs) or k == semconv.TIMELINE else v) for k, v in found.items()]


class Step(SpanProcessor):
    """A processor that does one thing at one step."""

    def __init__(self, step: str, do: Callable[..., Any]) -> None:
        setattr(self, step, do)


def replace_all(span: Any) -> None:
    span._attributes = {k: "[REDACTED]" if k == INPUT else v for k, v in span.attributes.items()}
    span._events = [e for e in span.events if e.name != "groqscope.attempt"]
    span._name, span._status = "renamed", trace.Status(trace.StatusCode.OK)


def toggle_immutable(span: Any) -> None:
    if INPUT in span._attributes:
        span._attributes._immutable = False
        span._attributes[INPUT] = "[REDACTED]"
        span._attributes._immutable = True


def edit_inner_dict(span: Any) -> None:
    span._attributes._dict.pop(INPUT, None)


def assign_item(span: Any) -> None:
    if INPUT in span.attributes:
        span._attributes[INPUT] = "[REDACTED]"


def edit_events(span: Any) -> None:
    for event in span.events:
        event._attributes = {"replaced": True}


def fail(*_: Any, **__: Any) -> None:
    raise RuntimeError("a processor of the application")


def fail_for_children(span: Any, parent_context: Any = None) -> None:
    if span.parent is not None:
        raise RuntimeError("a processor of the application")


def stamp(span: Any, parent_context: Any = None) -> None:
    span.set_attribute("tenant", str(baggage.get_baggage("tenant", parent_context)))
    span.add_event("stamped", {"by": "a processor"})
    span.update_name(f"{span.name} (acme)")
    span.add_link(trace.SpanContext(5, 6, is_remote=False), {"why": "a processor"})


def add_at_ending(span: Any) -> None:
    span._attributes._immutable = False
    span.set_attribute("ignored", 1)
    span._attributes["late"] = len(span.attributes)


def assign_at_the_start(span: Any, parent_context: Any = None) -> None:
    span._attributes = {"only": "this"}


def edit_as_the_end_begins(span: Any) -> None:
    for key in [key for key in span._attributes if "messages" in key]:
        del span._attributes[key]


def drop_all_attributes(span: Any) -> None:
    span._attributes.clear()
    span._events = type(span._events)(span._events.maxlen)


def end_at_the_start(span: Any, parent_context: Any = None) -> None:
    if span.parent is not None:
        span.end()


def end_as_the_end_begins(span: Any) -> None:
    span.end(span.start_time + 1)


def change_times(span: Any) -> None:
    span._start_time, span._end_time = 1, 2


def make_it_a_root(span: Any) -> None:
    span._parent = None
    span._links = ()


def swap_context(span: Any) -> None:
    context = span.context
    state = trace.TraceState([("vendor", "value")])
    span._context = trace.SpanContext(context.trace_id, context.span_id, False, trace.TraceFlags(0), state)


def mark_as_failed(span: Any) -> None:
    span.record_exception(ValueError("found by a processor"))
    span.set_status(trace.Status(trace.StatusCode.ERROR, "policy"))


def write_after_the_end(span: Any) -> None:
    span.set_attribute("late", 1)
    span.add_event("late")
    span.update_name("late")


def keep_within(span: Any, parent_context: Any = None) -> None:
    span._limits = SpanLimits(max_span_attributes=3, max_events=1)


class OfItsOwn(SpanProcessor):
    """A processor that makes a span at each start, which it is shown as well, and attaches a context until the end."""

    def __init__(self) -> None:
        self._provider = TracerProvider(shutdown_on_exit=False)
        self._tokens: dict[int, Any] = {}

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        with self._provider.get_tracer("own").start_as_current_span("own"):
            value = otel_context.get_value("number") or 0
        self._tokens[span.context.span_id] = otel_context.attach(otel_context.set_value("number", int(str(value)) + 1))
        span.set_attribute("number", f"{value}")

    def on_end(self, span: Any) -> None:
        otel_context.detach(self._tokens.pop(span.context.span_id))
        span._attributes = {**span.attributes, "left": f"{len(self._tokens)}"}


class Passing(SpanProcessor):
    """A processor that passes copies of some spans on to another, without what must not be exported."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self._behind = SimpleSpanProcessor(self.exporter)

    def on_end(self, span: Any) -> None:
        told = {k: v for k, v in span.attributes.items() if "messages" not in k}
        copied = ReadableSpan(
            span.name, span.context, span.parent, span.resource, told, span.events, span.links, span.kind
        )
        span.to_json()
        copy.copy(span)
        if span.parent is None:
            self._behind.on_end(copied)
        span._attributes = {"copied": f"{len(self.exporter.get_finished_spans())}", "told": tuple(told)}


class Failing(InMemorySpanExporter):
    """An exporter that raises."""

    def export(self, spans: Any) -> SpanExportResult:
        fail()
        return SpanExportResult.FAILURE


class By(Sampler):
    """A sampler that decides by name and attributes."""

    def __init__(self, decide: Callable[[str, Any], Any], **attributes: Any) -> None:
        self._decide, self._attributes = decide, attributes

    def should_sample(
        self,
        parent_context: Any,
        trace_id: Any,
        name: str,
        kind: Any = None,
        attributes: Any = None,
        *_: Any,
        **__: Any,
    ) -> SamplingResult:
        state = trace.TraceState([("sampled", "by-us")])
        return SamplingResult(self._decide(name, attributes), {**(attributes or {}), **self._attributes}, state)

    def get_description(self) -> str:
        return "by name"


KEEP, DROP, ONLY = Decision.RECORD_AND_SAMPLE, Decision.DROP, Decision.RECORD_ONLY


class Counting(IdGenerator):
    """A generator of IDs that counts from 1."""

    def __init__(self) -> None:
        self._last = 0

    def generate_span_id(self) -> int:
        self._last += 1
        return self._last

    generate_trace_id = generate_span_id


class Unable(Counting):
    """A generator of IDs that raises."""

    def generate_span_id(self) -> int:
        fail()
        return 0


Settings = Callable[[], dict[str, Any]]


def _processor(step: str, do: Callable[..., Any]) -> Settings:
    return lambda: {"processors": [Step(step, do)]}


def _sampler(sampler: Sampler) -> Settings:
    return lambda: {"sampler": sampler}


def _limits(**limits: int) -> Settings:
    return lambda: {"span_limits": SpanLimits(**limits)}


SURROUNDINGS: dict[str, Settings] = {
    "nothing": dict,
    "processor: assigns _attributes, _events, _name, _status": _processor("on_end", replace_all),
    "processor: assigns them as the end begins": _processor("_on_ending", replace_all),
    "processor: sets _attributes._immutable = False": _processor("on_end", toggle_immutable),
    "processor: edits _attributes._dict": _processor("on_end", edit_inner_dict),
    "processor: assigns an item, which raises": _processor("on_end", assign_item),
    "processor: edits events": _processor("on_end", edit_events),
    "processor: stamps at the start (tenant, name, event, link)": _processor("on_start", stamp),
    "processor: adds attributes as the end begins": _processor("_on_ending", add_at_ending),
    "processor: raises at the start": _processor("on_start", fail),
    "processor: raises at the start of children": _processor("on_start", fail_for_children),
    "processor: raises as the end begins": _processor("_on_ending", fail),
    "processor: raises at the end": _processor("on_end", fail),
    "processor: assigns _attributes at the start": _processor("on_start", assign_at_the_start),
    "processor: deletes _attributes as the end begins": _processor("_on_ending", edit_as_the_end_begins),
    "processor: empties _attributes and _events as the end begins": _processor("_on_ending", drop_all_attributes),
    "processor: ends children at the start": _processor("on_start", end_at_the_start),
    "processor: ends the span as the end begins": _processor("_on_ending", end_as_the_end_begins),
    "processor: assigns _start_time and _end_time": _processor("on_end", change_times),
    "processor: assigns _parent and _links": _processor("on_end", make_it_a_root),
    "processor: assigns _context": _processor("on_end", swap_context),
    "processor: records an exception and a status as the end begins": _processor("_on_ending", mark_as_failed),
    "processor: writes after the end": _processor("on_end", write_after_the_end),
    "processor: assigns _limits at the start": _processor("on_start", keep_within),
    "processor: has a tracer and a context of its own": lambda: {"processors": [OfItsOwn()]},
    "processor: passes on copies of some spans": lambda: {"processors": [Passing()]},
    "processor: raises at the start and at the end": lambda: {
        "processors": [Step("on_start", fail), Step("on_end", fail)]
    },
    "processor: BatchSpanProcessor": lambda: {"export": BatchSpanProcessor},
    "processor: ConcurrentMultiSpanProcessor": lambda: {"active_span_processor": ConcurrentMultiSpanProcessor(2)},
    "exporter: raises": lambda: {"processors": [SimpleSpanProcessor(Failing())]},
    "sampler: always off": _sampler(ALWAYS_OFF),
    "sampler: by ratio, none": _sampler(TraceIdRatioBased(0.0)),
    "sampler: parent-based, on": _sampler(ParentBased(ALWAYS_ON)),
    "sampler: parent-based, off": _sampler(ParentBased(ALWAYS_OFF)),
    "sampler: adds attributes": _sampler(By(lambda *_: KEEP, **{"sampling.rule": "r1"})),
    "sampler: drops children": _sampler(By(lambda _, a: DROP if semconv.PHASE in (a or {}) else KEEP)),
    "sampler: drops all but children": _sampler(By(lambda _, a: KEEP if semconv.PHASE in (a or {}) else DROP)),
    "sampler: records, does not sample": _sampler(By(lambda *_: ONLY)),
    "sampler: raises": _sampler(By(fail)),
    "sampler: raises for children": _sampler(By(lambda _, a: fail() if semconv.PHASE in (a or {}) else KEEP)),
    "sampler: decides otherwise for the attempts": _sampler(By(lambda n, _: ONLY if n == "POST" else KEEP)),
    "sampler: drops the record span alone": _sampler(By(lambda n, _: DROP if n.startswith("chat") else KEEP)),
    "ids: counted": lambda: {"id_generator": Counting()},
    "ids: raises": lambda: {"id_generator": Unable()},
    **{f"limit: {n} attributes": _limits(max_span_attributes=n) for n in (0, 1, 2, 3, 4, 8, 16, 32, 64, 128)},
    "limit: one event, one attribute an event": _limits(max_events=1, max_event_attributes=1),
    "limit: no events, no links": _limits(max_events=0, max_links=0),
    "limit: no attributes of events": _limits(max_event_attributes=0),
    **{f"limit: {n} characters": _limits(max_attribute_length=n) for n in (0, 1, 5, 32)},
    "provider: shut down before": lambda: {"shut_down": True},
}


@contextmanager
def surroundings(
    *,
    processors: list[SpanProcessor] | None = None,
    export: Callable[[Any], SpanProcessor] = SimpleSpanProcessor,
    shut_down: bool = False,
    **options: Any,
) -> Iterator[tuple[TracerProvider, Callable[[], Any]]]:
    """Yield a provider, and a function that returns what came out of it so far."""
    provider = TracerProvider(shutdown_on_exit=False, **options)
    exporter, before, after = InMemorySpanExporter(), Seen(), Seen()
    for processor in (before, *(processors or []), after, export(exporter)):
        provider.add_span_processor(processor)
    if shut_down:
        provider.shutdown()

    def outcome() -> Any:
        provider.force_flush()
        spans = exporter.get_finished_spans()
        names = {s.context.span_id: s.name for s in spans}
        return {
            "before": before.log,
            "after": after.log,
            "exported": [
                {
                    "name": s.name,
                    "parent": names.get(s.parent.span_id, "not exported") if s.parent else None,
                    "kind": s.kind,
                    "status": (s.status.status_code, s.status.description),
                    "attributes": _shape(s.attributes),
                    "dropped": (s.dropped_attributes, s.dropped_events, s.dropped_links),
                    "events": [(e.name, _shape(e.attributes)) for e in s.events],
                    "links": [_shape(link.attributes) for link in s.links],
                    "flags": (s.context.trace_flags, s.context.trace_state.to_header()),
                    "types": (type(s).__name__, type(s._attributes).__name__, type(s._events).__name__),
                    "times": (s.start_time or 0) <= (s.end_time or 0),
                }
                for s in spans
            ],
        }

    token = otel_context.attach(baggage.set_baggage("tenant", "acme"))
    try:
        yield provider, outcome
    finally:
        otel_context.detach(token)
        with suppress(Exception):
            provider.shutdown()


@pytest.fixture(scope="module")
def notes() -> Notes:
    """Return the calls that groqscope makes to OpenTelemetry's API for one request."""
    found = Notes()
    ask(tracer_provider=found)
    return found


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_as_plain_spans_are(name: str, notes: Notes) -> None:
    """Processors see, and exporters get, what they do for the same spans made by plain code."""
    with surroundings(**SURROUNDINGS[name]()) as (provider, outcome):
        plain(notes, provider.get_tracer("plain"))
        expected = outcome()
    with surroundings(**SURROUNDINGS[name]()) as (provider, outcome):
        stream = ask(tracer_provider=provider)
        found = outcome()

    assert found == expected
    record = record_of(stream)
    assert record is not None
    assert record.outcome == "completed"


def test_all_spans_of_a_request_are_noted(notes: Notes) -> None:
    """What is replayed as plain code are all its spans: the record span, its phases and its two attempts."""
    names = [span.start[0] for span in notes.spans]

    assert names == [f"chat {MODEL}", "prepare", "wait", "stream", "POST", "POST"]
    assert {span.start[1] for span in notes.spans[1:]} == {1}


def test_every_span_starts_and_ends_inside_its_parent(notes: Notes) -> None:
    """Children start after their parent and end before it; nothing is written on a span that has ended."""
    with surroundings() as (provider, outcome):
        ask(tracer_provider=provider)
        log = [(step, name) for step, name, *_ in outcome()["before"]]

    names = [span.start[0] for span in notes.spans]
    below = [(step, name) for name in names[1:] for step in ("start", "ending", "end")]
    assert log == [("start", names[0]), *below, ("ending", names[0]), ("end", names[0])]
    for span in notes.spans:
        assert [call for call, _ in span.calls].index("end") == len(span.calls) - 1


@pytest.mark.parametrize("name", [name for name in SURROUNDINGS if "processor" in name and "_attributes" in name])
def test_what_was_redacted_is_not_exported(name: str) -> None:
    """A prompt that a processor removed, in whatever way, reaches no exporter behind it."""
    with surroundings(**SURROUNDINGS[name]()) as (provider, outcome):
        ask(tracer_provider=provider)
        exported = outcome()["exported"]

    assert SECRET not in str(exported)
    with surroundings() as (provider, outcome):
        ask(tracer_provider=provider)
        assert SECRET in str(outcome()["exported"])


@pytest.mark.parametrize("room", [1, 2, 4, 8, 16])
def test_what_identifies_a_request_survives_a_limit(room: int) -> None:
    """Under a limit on attributes `groqscope.record` is kept first, then those that identify the request."""
    kept = [*semconv.IDENTITY, semconv.RECORD]
    with surroundings(span_limits=SpanLimits(max_span_attributes=room)) as (provider, outcome):
        stream = ask(tracer_provider=provider)
        record_span = next(s for s in outcome()["exported"] if s["name"].startswith("chat"))
    written = [name for name in kept if name in encode(record_of(stream))[0]]  # pyright: ignore[reportArgumentType]

    assert len(record_span["attributes"]) == room
    assert [name for name, _ in record_span["attributes"]][-len(written) :] == written[-room:]


@pytest.mark.parametrize("fails", ["raises at the start", "raises as the end begins", "raises at the end"])
def test_an_exception_of_a_processor(fails: str, caplog: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is logged once, as the application's; the caller gets the answer, and metrics count the request."""
    exported = Exported()
    with caplog.at_level(logging.WARNING, "groqscope"), surroundings(**SURROUNDINGS[f"processor: {fails}"]()) as (p, _):
        for _ in range(2):
            assert record_of(ask(tracer_provider=p, meter_provider=exported.meter_provider)) is not None
        points = exported.metrics()
    exported.shutdown()

    said = [r.getMessage() for r in caplog.records if r.name == "groqscope"]
    assert [line for line in said if "processor of the application raised RuntimeError" in line] == said
    assert len(said) == 1
    assert sum(p.count for p in points["gen_ai.client.operation.duration"]) == 2
    assert "groqscope.internal_errors" not in points


# -- providers


def test_a_provider_of_another_kind(notes: Notes) -> None:
    """A provider that is not the SDK's gets the whole record on the first span, and its children."""
    provider = Notes()
    record = record_of(ask(tracer_provider=provider))
    assert record is not None
    told: dict[str, Any] = {}
    for call, arguments in provider.spans[0].calls:
        if call == "set_attributes":
            told |= arguments[0]

    assert (record.trace_id, record.span_id) == (format(7, "032x"), format(1, "016x"))
    assert encode(record)[0].items() <= told.items()
    assert [s.start[0] for s in provider.spans] == [s.start[0] for s in notes.spans]
    assert provider.spans[0].calls[-1] == ("end", (record.start_unix_ns + record.duration_ns,))
    assert all(span.ended for span in provider.spans)


def test_no_provider() -> None:
    """With OpenTelemetry's API alone, without its SDK, there is a record without ids, and no span."""
    record = record_of(ask(tracer_provider=trace.NoOpTracerProvider()))

    assert record is not None
    assert (record.trace_id, record.outcome) == (None, "completed")


def test_a_provider_that_is_set_later() -> None:
    """An application may set its provider after `instrument()`: later requests are in it."""
    client = groqscope.instrument(
        groq_client("sync", http={"transport": Wire(lambda _: sse(*WHOLE), lambda _: sse(*WHOLE))})
    )
    list(client.chat.completions.create(**ASKED))
    with surroundings() as (provider, outcome):
        trace.set_tracer_provider(provider)
        list(client.chat.completions.create(**ASKED))
        exported = outcome()["exported"]
    client.close()

    assert [s["name"] for s in exported][-1] == f"chat {MODEL}"
    assert len([s for s in exported if s["parent"] is None]) == 1


def test_a_provider_for_each_client() -> None:
    """Two clients with their own providers export nothing to each other's."""
    with surroundings() as (one, of_one), surroundings() as (other, of_other):
        ask(tracer_provider=one)
        ask(tracer_provider=other)
        ask(tracer_provider=other)
        counts = [len([s for s in of()["exported"] if s["parent"] is None]) for of in (of_one, of_other)]

    assert counts == [1, 2]


@pytest.mark.parametrize("sampled", [True, False])
def test_below_a_remote_parent(sampled: bool) -> None:
    """Under the SDK's own sampler, a parent in another process decides for all spans of the request."""
    remote = trace.SpanContext(3, 4, is_remote=True, trace_flags=trace.TraceFlags(int(sampled)))
    with surroundings() as (provider, outcome):
        with trace.use_span(trace.NonRecordingSpan(remote)):
            record = record_of(ask(tracer_provider=provider))
        exported = outcome()["exported"]

    assert record is not None
    assert record.trace_id == format(3, "032x")
    assert bool(exported) is sampled


# -- logfire


@pytest.fixture
def logfire_spans() -> Iterator[Callable[..., InMemorySpanExporter]]:
    """Return a function that configures Logfire, its spans in memory."""
    import logfire

    def configure(**options: Any) -> InMemorySpanExporter:
        exporter = InMemorySpanExporter()
        logfire.configure(
            local=False,
            send_to_logfire=False,
            console=False,
            inspect_arguments=False,
            additional_span_processors=[SimpleSpanProcessor(exporter)],
            **options,
        )
        return exporter

    yield configure
    logfire.shutdown(flush=False)


@pytest.mark.parametrize("kept", [True, False])
def test_logfire_tail_sampling(kept: bool, logfire_spans: Callable[..., InMemorySpanExporter]) -> None:
    """A trace that is kept has all spans of its requests; of one that is dropped nothing is left."""
    import logfire

    def rate(info: Any) -> float:
        return float(kept and info.event == "end" and info.span.parent is None)

    out = logfire_spans(sampling=logfire.SamplingOptions(tail=rate))
    with logfire.span("handler"):
        ask(tracer_provider=trace.get_tracer_provider())
    logfire.force_flush()
    names = {s.name for s in out.get_finished_spans()}

    assert names == ({"handler", f"chat {MODEL}", "prepare", "wait", "stream", "POST"} if kept else set())


def test_logfire_scrubbing(logfire_spans: Callable[..., InMemorySpanExporter]) -> None:
    """Logfire's scrubber sees our attributes, and its patterns decide."""
    import logfire

    out = logfire_spans(scrubbing=logfire.ScrubbingOptions(extra_patterns=["complet"]))
    ask(tracer_provider=trace.get_tracer_provider())
    logfire.force_flush()
    span = next(s for s in out.get_finished_spans() if s.name.startswith("chat"))
    attributes = dict(span.attributes or {})

    assert attributes[semconv.RECORD] == 1
    assert attributes[semconv.OUTCOME] == "[Scrubbed due to 'complet']"
    assert semconv.OUTCOME in str(attributes["logfire.scrubbed"])
