"""Seeded traffic: requests of two services over an hour, sent as the instrument sends them, only faster.

Every request is a `Timeline` told a story, and goes through `Telemetry` into spans and metrics, so names, units and
buckets are the instrument's own. Time is virtual: spans carry it anyway, and the metrics that would have been exported
every 15 seconds are stamped with it, exemplars too. An hour is sent in seconds, and dashboards have a past at once.

    python tests/stack_support/traffic.py [--endpoint http://127.0.0.1:4318] [--minutes 60] [--seed 1]
"""

import argparse
import heapq
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Span, set_span_in_context

from groqscope import semconv
from groqscope.runs import TraceSpan, run_of
from groqscope.telemetry import Telemetry, price
from groqscope.timeline import Channel, EndFacts, RateLimits, RequestFacts, RequestRecord, Timeline, Usage

STEP_S = 15
"""Between two exports of metrics, in virtual seconds."""
MS = 1_000_000


@dataclass(frozen=True)
class Model:
    """How fast a model is, in seconds and tokens a second."""

    name: str
    weight: float
    prefill: float
    tokens_per_second: float
    reasons: bool = False


MODELS = (
    Model("llama-3.1-8b-instant", 4, 0.012, 840),
    Model("llama-3.3-70b-versatile", 4, 0.045, 320),
    Model("openai/gpt-oss-120b", 3, 0.030, 480, reasons=True),
    Model("qwen/qwen3-32b", 1, 0.038, 400, reasons=True),
)


@dataclass(frozen=True)
class Service:
    """An application: how often it asks, what it asks for, how slowly it reads."""

    name: str
    environment: str
    per_minute: float
    streams: float
    tools: float
    consume: float
    """Seconds the caller keeps each chunk."""


SERVICES = (
    Service("support-chat", "production", 22, 0.92, 0.10, 0.0004),
    Service("document-agent", "production", 9, 0.55, 0.45, 0.0002),
    Service("support-chat", "staging", 3, 0.95, 0.10, 0.006),
)

ENDINGS = (
    ("completed", 89.0),
    ("retried", 3.4),
    ("closed", 1.5),
    ("abandoned", 1.5),
    ("cancelled", 0.7),
    ("truncated", 0.3),
    ("rate_limit_exceeded", 1.2),
    ("tool_use_failed", 0.9),
    ("503", 0.7),
    ("APITimeoutError", 0.15),
    ("stream_error", 0.4),
)


@dataclass
class Story:
    """One request before it happens."""

    service: Service
    model: Model
    ending: str
    stream: bool
    tool: bool
    slowdown: float
    """How many times longer Groq's queue is than usual."""
    headroom: float
    """Share of the tokens of this minute that is left."""


def tell(story: Story, start_unix_ns: int, rng: random.Random, facts: RequestFacts) -> tuple[RequestRecord, list[int]]:
    """Tell a timeline the story, and return its record and the gaps between its chunks."""
    teller = _Teller(story, start_unix_ns, rng, facts)
    return teller.record(), teller.timeline.gaps


def facts_of(story: Story, rng: random.Random) -> RequestFacts:
    """Return what the application sent."""
    facts = RequestFacts(
        operation="chat",
        model=story.model.name,
        stream=story.stream,
        server_address="api.groq.com",
        server_port=443,
        temperature=0.2,
        max_tokens=1024,
        messages=rng.randint(2, 14),
        request_size=rng.randint(900, 24_000),
    )
    if story.tool:
        facts["tools"] = 3
    if story.model.reasons:
        facts["reasoning_effort"] = rng.choice(("low", "medium"))
    return facts


class _Teller:
    """Tells one story; `t` is monotonic nanoseconds since issue."""

    def __init__(self, story: Story, start_unix_ns: int, rng: random.Random, facts: RequestFacts) -> None:
        self.story, self.rng = story, rng
        self.t = 0
        self.timeline = Timeline(0, start_unix_ns, facts)
        self.error: str | None = None
        self.outcome: Any = "completed"
        self.id = f"{rng.getrandbits(100):026x}"
        self._requests_left = 14_400 - int((start_unix_ns // 10**9) % 9000)

    def record(self) -> RequestRecord:
        line, story = self.timeline, self.story
        self._after(0.0011)
        line.prepared(self.t)
        if story.ending == "retried":
            self._failed_attempt(429 if self.rng.random() < 0.7 else 503)
        self._connection()
        self._answer()
        cost = price((story.model.name,), line.usage) if line.usage is not None else None
        end, outcome = line.end(self.t, self.outcome)
        ended: EndFacts = {"cost": cost, **self._cache()}
        return line.record(end, outcome, self.error, ended=ended)

    def _cache(self) -> EndFacts:
        """What the prompt cache did; every model here has one, so that every choice has something to show."""
        usage = self.timeline.usage
        if usage is None or usage.input_tokens is None:
            return {}
        if usage.cached_tokens is not None:
            return EndFacts(cache_saved=usage.cached_tokens * 0.05e-6)
        if self.rng.random() < 0.7:
            return {}
        missed = usage.input_tokens // 2
        reason = self.rng.choice(("system", "tools", "message[2]", "provider"))
        return EndFacts(cache_miss=reason, cache_missed_tokens=missed, cache_lost=missed * 0.05e-6)

    def _after(self, seconds: float, spread: float = 0.35) -> None:
        self.t += max(1000, int(seconds * 1e9 * self.rng.lognormvariate(0, spread)))

    def _connection(self) -> None:
        line, rng = self.timeline, self.rng
        self._after(0.00012)
        if rng.random() < 0.12:
            line.connecting(self.t)
            self._after(0.011)
            line.securing(self.t)
            self._after(0.017)
        line.sending(self.t)
        self._after(0.00035)
        line.sent(self.t)

    def _failed_attempt(self, status: int) -> None:
        line = self.timeline
        self._connection()
        self._after(0.06)
        line.headers(self.t)
        line.attempt_failed(
            self.t,
            status=status,
            error_type="rate_limit_exceeded" if status == 429 else str(status),
            retry_after=1.0 if status == 429 else None,
        )
        self._after(1.0 if status == 429 else 0.6, 0.1)
        line.backed_off(self.t)
        line.prepared(self.t)

    def _answer(self) -> None:
        line, story = self.timeline, self.story
        queue = 0.004 * story.slowdown * self.rng.lognormvariate(0, 0.8)
        prefill = story.model.prefill * self.rng.lognormvariate(0, 0.4)
        network = 0.032 * self.rng.lognormvariate(0, 0.3)
        if story.ending == "APITimeoutError":
            self.t += 20 * 10**9
            self._fail("APITimeoutError", None)
        elif story.ending in ("rate_limit_exceeded", "tool_use_failed", "503"):
            self._after(0.05 if story.ending != "tool_use_failed" else 0.4)
            status = {"rate_limit_exceeded": 429, "tool_use_failed": 400, "503": 503}[story.ending]
            line.headers(self.t)
            self._facts()
            line.answered(self.t, status, unseen=False)
            line.last_byte(self.t)
            self._fail(story.ending, status)
        elif story.stream:
            self._stream(queue, prefill, network)
        else:
            self._body(queue, prefill, network)

    def _fail(self, error: str, status: int | None) -> None:
        self.timeline.attempt_failed(
            self.t, status=status, error_type=error, retry_after=2.0 if status == 429 else None
        )
        self.error, self.outcome = error, "error"
        self._after(0.0004)

    def _facts(self) -> None:
        tokens = 12_000 if "8b" not in self.story.model.name else 30_000
        left = max(0, int(tokens * self.story.headroom))
        self.timeline.identified(
            request_id=f"req_{self.id}",
            region=self.rng.choice(("us-east-1", "us-west-1")),
            rate_limits=RateLimits(
                requests_limit=14_400,
                requests_remaining=self._requests_left,
                requests_reset=6.0,
                tokens_limit=tokens,
                tokens_remaining=left,
                tokens_reset=round((tokens - left) / tokens * 60, 3),
            ),
        )

    def _identity(self) -> None:
        line = self.timeline
        line.identified(
            response_id=f"chatcmpl-{self.id}",
            response_model=self.story.model.name,
            response_service_tier="on_demand",
            system_fingerprint=f"fp_{self.rng.getrandbits(40):010x}",
            created=line.start_unix_ns // 10**9,
        )

    def _usage(self, tokens: int, queue: float, prefill: float) -> Usage:
        prompt = self.rng.randint(180, 5200)
        completion = tokens / self.story.model.tokens_per_second
        return Usage(
            input_tokens=prompt,
            output_tokens=tokens,
            cached_tokens=prompt // 2 if self.rng.random() < 0.3 else None,
            reasoning_tokens=tokens // 3 if self.story.model.reasons else None,
            queue_time=queue,
            prompt_time=prefill,
            completion_time=completion,
            total_time=prefill + completion,
        )

    def _body(self, queue: float, prefill: float, network: float) -> None:
        line, rng = self.timeline, self.rng
        tokens = rng.randint(40, 700)
        self.t += int((queue + prefill + network + tokens / self.story.model.tokens_per_second) * 1e9)
        line.headers(self.t)
        self._facts()
        line.answered(self.t, 200, unseen=False)
        self._after(0.0008)
        line.last_byte(self.t, 600 + tokens * 5)
        self._identity()
        line.used(self.t, self._usage(tokens, queue, prefill))
        if self.story.tool:
            line.tool_delta(None, 0, 0, f"call_{rng.getrandbits(48):012x}", "lookup_order", '{"order": 1}')
        line.choice_finished(0, "tool_calls" if self.story.tool else "stop")
        self._after(0.0006)

    def _stream(self, queue: float, prefill: float, network: float) -> None:
        line, story = self.timeline, self.story
        self.t += int((queue + prefill + network) * 1e9)
        line.headers(self.t)
        self._facts()
        line.answered(self.t, 200, unseen=False)
        self._identity()
        self._turn()
        line.received(320)
        line.chunk(self.t, Channel.NONE)
        self._turn()
        tokens = self.rng.randint(30, 480)
        broken = story.ending in ("closed", "abandoned", "cancelled", "truncated", "stream_error")
        shown = max(3, tokens // 3) if broken else tokens
        self._chunks(shown)
        if broken:
            self._break()
        else:
            self._complete(tokens, queue, prefill)

    def _turn(self) -> None:
        """Let the caller have control for a moment."""
        self.timeline.returned(self.t)
        self._after(self.story.service.consume)
        self.timeline.asked(self.t)

    def _chunks(self, tokens: int) -> None:
        line, model = self.timeline, self.story.model
        reasoning = tokens // 3 if model.reasons else 0
        for index in range(tokens):
            # Groq flushes a few tokens at a time: most chunks come with the one before.
            if index % 4 == 0:
                self._after(4 / model.tokens_per_second, 0.5)
            line.received(220)
            line.chunk(self.t, Channel.REASONING if index < reasoning else Channel.CONTENT)
            if index % 4 == 3:
                self._turn()

    def _break(self) -> None:
        line, ending = self.timeline, self.story.ending
        if ending == "stream_error":
            self.timeline.identified(stream_error="over_capacity")
            self.error, self.outcome = "over_capacity", "error"
        elif ending == "closed":
            line.closing(self.t)
            self.outcome = "closed"
        else:
            self.outcome = ending
        self._after(0.0003)

    def _complete(self, tokens: int, queue: float, prefill: float) -> None:
        line, rng = self.timeline, self.rng
        if self.story.tool:
            # Groq sends a tool call whole, after the pause in which it is generated.
            self._after(28 / self.story.model.tokens_per_second, 0.3)
            line.received(480)
            line.chunk(self.t, Channel.TOOL)
            name = rng.choice(("lookup_order", "search_documents", "refund"))
            line.tool_delta(
                self.t, 0, 0, f"call_{rng.getrandbits(48):012x}", name, '{"query": "where is it", "limit": 5}'
            )
            self._turn()
        self._after(2 / self.story.model.tokens_per_second)
        line.received(600)
        line.chunk(self.t, Channel.NONE)
        line.choice_finished(0, "tool_calls" if self.story.tool else "stop")
        line.used(self.t, self._usage(tokens, queue, prefill))
        line.stream_done()
        self._turn()
        line.last_byte(self.t)
        self._after(0.0004)


class _Ids(IdGenerator):
    """Reproducible ids."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def generate_span_id(self) -> int:
        return self._rng.getrandbits(64) or 1

    def generate_trace_id(self) -> int:
        return self._rng.getrandbits(128) or 1


class _Kept(SpanExporter):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans.extend(spans)
        return SpanExportResult.SUCCESS


class Process:
    """One process of a service: its providers and what they have to send."""

    def __init__(self, service: Service, rng: random.Random) -> None:
        self.service = service.name
        self.instance = f"{service.name}-{service.environment}-{rng.getrandbits(32):08x}"
        resource = Resource(
            {
                "service.name": service.name,
                "service.instance.id": self.instance,
                "deployment.environment.name": service.environment,
            }
        )
        self._spans = _Kept()
        self._starts: dict[tuple[Any, ...], int] = {}
        self._reader = InMemoryMetricReader()
        tracers = TracerProvider(resource=resource, id_generator=_Ids(rng), shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self._meters = MeterProvider([self._reader], resource=resource, shutdown_on_exit=False)
        self.telemetry = Telemetry(tracers, self._meters)

    def end(self, record: RequestRecord, more: dict[str, str] | None = None) -> RequestRecord:
        """Make spans and metrics of a record, with `more` attributes, and return it with its ids."""
        facts = RequestFacts(operation=record.operation, model=record.model)
        begun = self.telemetry.begin(facts, record.start_unix_ns)
        begun.span.set_attributes(more or {})
        ids = {name: begun.identity.get(name) for name in ("trace_id", "span_id")}
        ended = replace(record, **ids, service=self.service, nested=False)
        self.telemetry.end(begun, ended, [])
        return ended

    def run(self, span: Span, record: RequestRecord) -> None:
        """Record the metrics of a run that asked once, and then searched for as long again."""
        start, length = record.start_unix_ns, record.duration_ns
        trace_id = record.trace_id or ""
        failed = record.outcome == "error"
        run = run_of(
            [
                TraceSpan(
                    trace_id=trace_id,
                    span_id="run",
                    name="answer",
                    start_unix_ns=start - 5 * MS,
                    end_unix_ns=start + 2 * length,
                    failed=failed,
                ),
                TraceSpan(
                    trace_id=trace_id,
                    span_id=record.span_id or "",
                    parent_id="run",
                    start_unix_ns=start,
                    end_unix_ns=start + length,
                    record=record,
                ),
                TraceSpan(
                    trace_id=trace_id,
                    span_id="tool",
                    parent_id="run",
                    start_unix_ns=start + length,
                    end_unix_ns=start + 2 * length,
                    attributes={semconv.OPERATION_NAME: semconv.EXECUTE_TOOL, semconv.TOOL_NAME: "search"},
                ),
            ]
        )
        self.telemetry.metrics.record_run(run, set_span_in_context(span))

    def metrics(self, now_unix_ns: int) -> bytes:
        """Return what was measured so far, as OTLP of that moment; a series starts in the step that shows it first."""
        data = self._reader.get_metrics_data()
        if data is None:
            return b""
        request = encode_metrics(data)
        for name, point in _points(request):
            key = name, *sorted((a.key, str(a.value)) for a in point.attributes)
            if point.start_time_unix_nano:
                point.start_time_unix_nano = self._starts.setdefault(key, now_unix_ns - (STEP_S - 1) * 10**9)
            point.time_unix_nano = now_unix_ns
            for exemplar in point.exemplars:
                exemplar.time_unix_nano = now_unix_ns
        return request.SerializeToString()

    @property
    def waiting(self) -> int:
        """How many spans ended since they were last given."""
        return len(self._spans.spans)

    def spans(self) -> bytes:
        """Return the spans ended since the last time as OTLP."""
        spans, self._spans.spans = self._spans.spans, []
        return encode_spans(spans).SerializeToString() if spans else b""


def _points(request: Any) -> Iterator[Any]:
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in getattr(metric, metric.WhichOneof("data")).data_points:
                    yield metric.name, point


@dataclass
class Sent:
    """What went out: what a test may expect to find."""

    records: list[RequestRecord] = field(default_factory=list)
    """Every request, in the order in which they began."""
    ended: list[RequestRecord] = field(default_factory=list)
    """Those that had ended when the time was over: these were sent."""
    instances: list[str] = field(default_factory=list)
    """`service.instance.id` of each process."""


Post = Callable[[str, bytes], None]
"""Sends OTLP: the signal, `traces` or `metrics`, and the body."""


def post_by(client: httpx.Client, endpoint: str) -> Post:
    """Return a function that sends to a collector, and insists on its success."""

    def post(signal: str, body: bytes) -> None:
        if body:
            headers = {"Content-Type": "application/x-protobuf"}
            client.post(f"{endpoint}/v1/{signal}", content=body, headers=headers).raise_for_status()

    return post


def stories(
    rng: random.Random, service: Service, start_s: float, end_s: float, clock: Callable[[float], tuple[float, float]]
) -> Iterator[tuple[float, Story]]:
    """Return when a service asks, and what will come of it; `clock` tells slowdown and headroom at a time."""
    at = start_s
    while (at := at + rng.expovariate(service.per_minute / 60)) < end_s:
        slowdown, headroom = clock(at)
        model = rng.choices(MODELS, [m.weight for m in MODELS])[0]
        ending = rng.choices([e for e, _ in ENDINGS], [w for _, w in ENDINGS])[0]
        stream = rng.random() < service.streams or ending in ("closed", "abandoned", "truncated", "stream_error")
        slow = slowdown if "70b" in model.name else 1.0
        yield at, Story(service, model, ending, stream, rng.random() < service.tools, slow, headroom)


def weather(start_s: float, end_s: float) -> Callable[[float], tuple[float, float]]:
    """Return slowdown and headroom by time: one queue incident after a third, tokens running low after two thirds."""
    length = end_s - start_s

    def at(time_s: float) -> tuple[float, float]:
        share = (time_s - start_s) / length
        slowdown = 140.0 if 0.33 < share < 0.45 else 1.0
        low = 0.06 if 0.66 < share < 0.72 else 0.55 + 0.3 * (1 - share)
        return slowdown, low

    return at


def send(post: Post, *, end_unix_s: float | None = None, minutes: float = 60, seed: int = 1) -> Sent:
    """Send `minutes` of traffic that ends at `end_unix_s`, by default now."""
    rng = random.Random(seed)
    end_s = end_unix_s if end_unix_s is not None else time.time()
    start_s = end_s - minutes * 60
    sent = Sent()
    processes = [(s, Process(s, rng)) for s in SERVICES]
    sent.instances = [process.instance for _, process in processes]
    clock = weather(start_s, end_s)
    upcoming: list[tuple[float, int, Callable[[], Any]]] = []

    def plan(at: float, do: Callable[[], Any]) -> None:
        heapq.heappush(upcoming, (at, len(sent.records) * 1000 + rng.getrandbits(30), do))

    def request(process: Process, at: float, story: Story) -> None:
        facts = facts_of(story, rng)
        start_unix_ns = int(at * 1e9)
        begun = process.telemetry.begin(facts, start_unix_ns)
        record, gaps = tell(story, start_unix_ns, rng, {**facts, **begun.identity})
        sent.records.append(record)

        def end() -> None:
            process.telemetry.end(begun, record, gaps, url="https://api.groq.com/openai/v1/chat/completions")
            sent.ended.append(record)
            if len(sent.ended) % 4 == 0:
                process.run(begun.span, record)

        plan(at + record.duration_ns / 1e9, end)

    for service, process in processes:
        for at, story in stories(rng, service, start_s, end_s - 1, clock):
            plan(at, lambda process=process, at=at, story=story: request(process, at, story))
    step = start_s
    while step < end_s:
        step = min(end_s, step + STEP_S)
        while upcoming and upcoming[0][0] <= step:
            heapq.heappop(upcoming)[2]()
        for _, process in processes:
            post("traces", process.spans())
            post("metrics", process.metrics(int(step * 1e9)))
    return sent


def send_record(post: Post, record: RequestRecord, service: str, more: dict[str, str] | None = None) -> RequestRecord:
    """Send the span of one record, with `more` attributes, and return the record as it was sent."""
    process = Process(Service(service, "test", 0, 0, 0, 0), random.Random())
    as_sent = process.end(record, more)
    process.metrics(record.start_unix_ns)
    post("traces", process.spans())
    return as_sent


def main() -> None:
    """Send traffic from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", default="http://127.0.0.1:4318")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with httpx.Client(trust_env=False, timeout=30) as client:
        sent = send(post_by(client, options.endpoint), minutes=options.minutes, seed=options.seed)
    print(f"{len(sent.ended)} requests sent")


if __name__ == "__main__":
    main()
