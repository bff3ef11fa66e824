"""An instrumented client, what it exported, and ways to give it bytes without a server."""

import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import groq
import httpx
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import groqscope
from groqscope import RequestRecord, semconv
from groqscope.codec import decode
from groqscope.instrument import flush
from support.both import Mode

MODEL = "llama-3.3-70b-versatile"
MESSAGES = [{"role": "user", "content": "Hello?"}]
ASK: dict[str, Any] = {"model": MODEL, "messages": MESSAGES}
STREAM: dict[str, Any] = {**ASK, "stream": True}
COMPLETION: dict[str, Any] = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": MODEL,
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}
"""An answer in one piece."""

_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Loading the system's takes 20 ms a client."""


def http_client(mode: Mode, **options: Any) -> Any:
    """An httpx client of either kind that looks at no environment."""
    kind = httpx.Client if mode == "sync" else httpx.AsyncClient
    return kind(**{"verify": _NO_CERTIFICATES, "trust_env": False, "timeout": 10.0, **options})


def groq_client(mode: Mode, base_url: str = "http://groq.test", **options: Any) -> Any:
    """A bare SDK client of either kind; `http` are options of its httpx client."""
    http = options.pop("http", {})
    kind = groq.Groq if mode == "sync" else groq.AsyncGroq
    options = {"api_key": "test", "http_client": options.get("http_client") or http_client(mode, **http), **options}
    return kind(base_url=base_url, **options)


@dataclass
class Exported:
    """Where a test's spans and metrics go."""

    options: dict[str, Any] = field(default_factory=dict[str, Any])
    sampler: Any = None

    def __post_init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        resource = Resource({"service.name": "tests"})
        self.tracer_provider = TracerProvider(resource=resource, sampler=self.sampler, shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider([self.reader], resource, shutdown_on_exit=False)

    @property
    def providers(self) -> dict[str, Any]:
        """Options of `instrument`."""
        return {"tracer_provider": self.tracer_provider, "meter_provider": self.meter_provider, **self.options}

    def client(self, mode: Mode, base_url: str = "http://groq.test", **options: Any) -> Any:
        """An instrumented client."""
        return groqscope.instrument(groq_client(mode, base_url, **options), **self.providers)

    @property
    def spans(self) -> list[ReadableSpan]:
        """Everything exported so far."""
        flush()
        return list(self.exporter.get_finished_spans())

    @property
    def record_spans(self) -> list[ReadableSpan]:
        """The spans that carry a record."""
        return [span for span in self.spans if semconv.RECORD in (span.attributes or {})]

    @property
    def records(self) -> list[RequestRecord]:
        """The records, read back from the spans."""
        return [record_from(span) for span in self.record_spans]

    def only(self) -> tuple[RequestRecord, ReadableSpan]:
        """The one record and its span; a failure when there is not exactly one."""
        spans = self.record_spans

        assert len(spans) == 1, [span.name for span in self.spans]
        return record_from(spans[0]), spans[0]

    def children(self, span: ReadableSpan) -> list[ReadableSpan]:
        """The spans directly below one."""
        return [s for s in self.spans if s.parent is not None and s.parent.span_id == span.context.span_id]

    def metrics(self) -> dict[str, list[Any]]:
        """Data points by metric name."""
        flush()
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        found: dict[str, list[Any]] = {}
        for resource in data.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    found.setdefault(metric.name, []).extend(metric.data.data_points)
        return found

    def shutdown(self) -> None:
        """Let go of the providers."""
        self.tracer_provider.shutdown()
        self.meter_provider.shutdown()


def record_from(span: ReadableSpan) -> RequestRecord:
    """Read a record back from its span."""
    assert span.start_time is not None
    assert span.end_time is not None
    return decode(
        span.attributes or {},
        [(event.name, event.attributes or {}, event.timestamp) for event in span.events],
        start_unix_ns=span.start_time,
        duration_ns=span.end_time - span.start_time,
        trace_id=format(span.context.trace_id, "032x"),
        span_id=format(span.context.span_id, "016x"),
        nested=span.kind.name == "INTERNAL",
        service=str(span.resource.attributes["service.name"]),
    )


class Pieces(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that comes in these pieces; an exception among them is raised in its place."""

    def __init__(self, pieces: Sequence[bytes | Exception]) -> None:
        self._pieces = pieces
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    def close(self) -> None:
        """Count it."""
        self.closed += 1

    async def aclose(self) -> None:
        """Count it."""
        self.closed += 1


Reply = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


class Wire(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport that answers requests in turn, and repeats the last answer."""

    def __init__(self, *replies: Reply) -> None:
        self._replies = list(replies)
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        self.requests.append(request)
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        if isinstance(reply, Exception):
            raise reply
        return reply(request) if callable(reply) else reply

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        await request.aread()
        return self.handle_request(request)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """Nothing to close."""


def sse(*pieces: bytes | Exception, **headers: str) -> httpx.Response:
    """A stream of server-sent events in these pieces."""
    return httpx.Response(200, headers={"content-type": "text/event-stream", **headers}, stream=Pieces(pieces))
