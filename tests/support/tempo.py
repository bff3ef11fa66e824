"""A Tempo for tests: keeps what is sent to it, answers as Tempo 2.9's HTTP API, and refuses what Tempo would refuse.

    tempo = FakeTempo()
    tempo.keep(ExportTraceServiceRequest)       spans, as the collector exports them
    httpx.MockTransport(tempo)                  for a client in this process
    with serving(tempo) as address:             for others: HTTP on a port of the loopback
    with receiving(tempo) as address:           OTLP over gRPC, where the collector sends

Answers have the form of `tempo_answers/`. It is stricter than Tempo in one thing: a parameter that Tempo does not know
is refused here, where Tempo would ignore it, so that a misspelt one does not go unseen. No Tempo was run beside it.
"""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import grpc
import httpx
import yaml
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from support import traceql
from support.traceql import BadQueryError, Operand, SpanOfTrace

_SETTINGS: Final = yaml.safe_load((Path(__file__).parents[2] / "stack/tempo/tempo.yaml").read_text(encoding="utf-8"))
_SEARCH: Final = _SETTINGS["query_frontend"]["search"]
MAX_LIMIT: Final = int(_SEARCH["max_result_limit"])
"""The most traces that one search may ask for, as stack/tempo/tempo.yaml sets it."""
MAX_SECONDS: Final = int(_SEARCH["max_duration"].removesuffix("h")) * 3600
"""The longest time that one search may cover, from there too."""
_SEARCH_PARAMS: Final = {"q", "start", "end", "limit", "spss"}
_DEFAULT_LIMIT, _DEFAULT_SPSS = 20, 3
_INT32: Final = 2**31
_SECOND: Final = 10**9


class _Refusal(Exception):
    """What is answered with HTTP 400."""


@dataclass
class FakeTempo:
    """All traces, by ID."""

    traces: dict[str, list[ResourceSpans]] = field(default_factory=dict)
    answers: dict[str, httpx.Response] = field(default_factory=dict)
    """What is answered in place of the truth, by path."""
    searches: list[dict[str, str]] = field(default_factory=list)
    """Parameters of each search that was not refused."""
    fetched: list[str] = field(default_factory=list)
    """IDs of the traces asked for, as they were asked for."""
    refused: list[str] = field(default_factory=list)
    """Why, of each question that was."""

    _read: dict[str, tuple[int, int, list[SpanOfTrace]]] = field(default_factory=dict)
    """Of each trace its seconds and its spans, made when they are first asked for."""

    def keep(self, request: ExportTraceServiceRequest) -> None:
        """Keep spans under their traces."""
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    kept = ResourceSpans()
                    kept.resource.CopyFrom(resource.resource)
                    group = kept.scope_spans.add()
                    group.scope.CopyFrom(scope.scope)
                    group.spans.append(span)
                    self.traces.setdefault(span.trace_id.hex(), []).append(kept)
                    self._read.pop(span.trace_id.hex(), None)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        path = request.url.path
        if path in self.answers:
            return self.answers[path]
        try:
            return self._answer(request.method, path, parse_qs(request.url.query.decode(), keep_blank_values=True))
        except (_Refusal, BadQueryError) as error:
            self.refused.append(str(error))
            return httpx.Response(400, text=str(error))

    def _answer(self, method: str, path: str, given: Mapping[str, list[str]]) -> httpx.Response:
        if method != "GET":
            return httpx.Response(405)
        repeated = [name for name, values in given.items() if len(values) > 1]
        _refuse_if(repeated, f"given more than once: {repeated}")
        params = {name: values[0] for name, values in given.items()}
        if path in ("/ready", "/api/echo"):
            return httpx.Response(200, text=path.rpartition("/")[2])
        if path == "/metrics":  # none: what Tempo counts is Tempo's alone to tell
            return httpx.Response(200, headers={"content-type": "text/plain; version=0.0.4"})
        if path == "/api/search":
            return self._search(params)
        if found := re.fullmatch(r"/api/traces/([^/]+)", path):
            return self._trace(found[1], params)
        return httpx.Response(404, text="404 page not found")

    def _search(self, params: dict[str, str]) -> httpx.Response:
        _known(params, _SEARCH_PARAMS)
        start, end = _times(params)
        limit = _positive(params, "limit", _DEFAULT_LIMIT)
        spss = _positive(params, "spss", _DEFAULT_SPSS)
        _refuse_if(limit > MAX_LIMIT, f"limit {limit} is more than {MAX_LIMIT}")
        _refuse_if(end - start > MAX_SECONDS, f"{end - start} seconds are more than {MAX_SECONDS}")
        query = traceql.parse(params.get("q") or "{}")
        self.searches.append(params)
        found = []
        for trace_id, spans in self._within(start, end):
            matched = query.matching(spans)
            if matched:
                found.append(_metadata(trace_id, spans, matched, spss, query.selected))
        found.sort(key=lambda trace: -int(trace["startTimeUnixNano"]))
        metrics = {"inspectedTraces": len(self.traces), "completedJobs": 1, "totalJobs": 1}
        return httpx.Response(200, json={"traces": found[:limit], "metrics": metrics})

    def _trace(self, trace_id: str, params: dict[str, str]) -> httpx.Response:
        _known(params, {"start", "end"})
        start, end = _times(params)
        _refuse_if(not re.fullmatch(r"[0-9a-fA-F]{1,32}", trace_id), f"{trace_id!r} is no trace ID")
        self.fetched.append(trace_id)
        wanted = trace_id.lower().rjust(32, "0")
        if wanted not in self.traces or self._reaching(wanted, start, end) is None:
            return httpx.Response(404, text="trace not found")
        return httpx.Response(200, json={"batches": [MessageToDict(kept) for kept in self.traces[wanted]]})

    def _within(self, start: int, end: int) -> Iterator[tuple[str, list[SpanOfTrace]]]:
        """Yield the traces that reach into a time; all of them when it is not given."""
        for trace_id in list(self.traces):
            spans = self._reaching(trace_id, start, end)
            if spans is not None:
                yield trace_id, spans

    def _reaching(self, trace_id: str, start: int, end: int) -> list[SpanOfTrace] | None:
        read = self._read.get(trace_id)
        if read is None:
            spans = _spans(self.traces[trace_id])
            begun, ended = _extent(spans)
            read = self._read[trace_id] = (begun // _SECOND, ended // _SECOND, spans)
        begun, ended, spans = read
        return spans if not (start or end) or (begun <= end and ended >= start) else None


def _refuse_if(wrong: object, why: str) -> None:
    if wrong:
        raise _Refusal(why)


def _known(params: Mapping[str, str], names: set[str]) -> None:
    unknown = sorted(params.keys() - names)
    _refuse_if(unknown, f"unknown parameters: {unknown}")


def _whole(params: Mapping[str, str], name: str) -> int:
    """Return a number of 32 bits: milliseconds and nanoseconds do not fit into it, which is how Tempo notices them."""
    text = params.get(name, "0")
    _refuse_if(not re.fullmatch(r"[+-]?\d+", text) or abs(int(text)) >= _INT32, f"invalid {name}: {text!r}")
    return int(text)


def _times(params: Mapping[str, str]) -> tuple[int, int]:
    start, end = _whole(params, "start"), _whole(params, "end")
    _refuse_if((start or end) and end <= start, f"start {start} is not before end {end}")
    return start, end


def _positive(params: Mapping[str, str], name: str, otherwise: int) -> int:
    if name not in params:
        return otherwise
    value = _whole(params, name)
    _refuse_if(value <= 0, f"{name} {value} is not positive")
    return value


def _spans(kept: list[ResourceSpans]) -> list[SpanOfTrace]:
    found = [
        SpanOfTrace(span, traceql.plain(group.resource.attributes), traceql.plain(scope.scope.attributes))
        for group in kept
        for scope in group.scope_spans
        for span in scope.spans
    ]
    root = next((s for s in found if not s.span.parent_span_id), None)
    for each in found:
        each.root = root
    return found


def _extent(spans: list[SpanOfTrace]) -> tuple[int, int]:
    return min(s.span.start_time_unix_nano for s in spans), max(s.span.end_time_unix_nano for s in spans)


def _metadata(
    trace_id: str, spans: list[SpanOfTrace], matched: list[SpanOfTrace], spss: int, selected: list[Operand]
) -> dict[str, Any]:
    """Describe a trace that was found; its ID without leading zeros, as Tempo writes it there."""
    begun, ended = _extent(spans)
    root = spans[0].root
    shown = [
        {
            "spanID": s.span.span_id.hex(),
            "startTimeUnixNano": str(s.span.start_time_unix_nano),
            "durationNanos": str(s.span.end_time_unix_nano - s.span.start_time_unix_nano),
            "attributes": [
                {"key": a.key, "value": MessageToDict(a.value)}
                for a in s.span.attributes
                if a.key in {o.name for o in selected}
            ],
        }
        for s in matched[:spss]
    ]
    spanset = {"spans": shown, "matched": len(matched)}
    return {
        "traceID": trace_id.lstrip("0"),
        "rootServiceName": root.resource.get("service.name", "") if root else "<root span not yet received>",
        "rootTraceName": root.span.name if root else "",
        "startTimeUnixNano": str(begun),
        "durationMs": (ended - begun) // 1_000_000,
        "spanSet": spanset,
        "spanSets": [spanset],
    }


def written(name: str) -> dict[str, Any]:
    """Return an answer of `tempo_answers/`."""
    file = Path(__file__).parent / "tempo_answers" / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8"))


@contextmanager
def serving(tempo: FakeTempo, port: int = 0) -> Iterator[str]:
    """Answer HTTP on a port of the loopback, by default a free one, and yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = tempo(httpx.Request("GET", f"http://tempo{self.path}", headers=dict(self.headers)))
            self.send_response(answer.status_code)
            for name in ("content-type", "content-length"):
                if name in answer.headers:
                    self.send_header(name, answer.headers[name])
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def receiving(tempo: FakeTempo, port: int = 0) -> Iterator[str]:
    """Take OTLP over gRPC on a port of the loopback, by default a free one, and yield the address."""

    class Servicer(TraceServiceServicer):
        def Export(self, request: ExportTraceServiceRequest, context: Any) -> ExportTraceServiceResponse:  # noqa: N802
            tempo.keep(request)
            return ExportTraceServiceResponse()

    server = grpc.server(
        ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)]
    )
    add_TraceServiceServicer_to_server(Servicer(), server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield f"127.0.0.1:{bound}"
    finally:
        server.stop(None).wait()
