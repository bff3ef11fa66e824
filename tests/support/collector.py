"""An OTLP endpoint on loopback that answers as told and remembers what it was sent."""

import gzip
import json
import socket
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_MESSAGES: dict[str, Any] = {"/v1/traces": ExportTraceServiceRequest, "/v1/metrics": ExportMetricsServiceRequest}
_INFLATE: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.decompress, "deflate": zlib.decompress}


@dataclass
class Answer:
    """What one request gets."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    drop: bool = False
    """Close the connection without an answer, after the request was taken: an answer lost on the way."""
    hold: threading.Event | None = None
    """Answer only when this is set."""
    taken: bool | None = None
    """Whether the collector keeps what came; by default when it says 200."""


@dataclass
class Request:
    """What came."""

    path: str
    headers: dict[str, str]
    body: bytes
    taken: bool
    arrived: float
    """When it had come, by the monotonic clock."""

    @property
    def message(self) -> Any:
        """The protobuf message, or the JSON value."""
        if self.headers.get("content-type") == "application/json":
            return json.loads(self.body)
        return _MESSAGES[self.path].FromString(self.body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_port = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that went away: some tests want that."""


def _reserved_port() -> socket.socket:
    """Hold a free port without listening, so that nobody else gets it while the server is down."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "SO_REUSEPORT"):
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    reserved.bind(("127.0.0.1", 0))
    return reserved


class Collector:
    """A server in a thread; `down()` and `up()` close and open its port, which stays the same."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answers: deque[Answer] = deque()
        self.default = Answer()
        self._arrived = threading.Condition()
        self._server: ThreadingHTTPServer | None = None
        self._reserved = _reserved_port()
        self.port: int = self._reserved.getsockname()[1]
        self.up()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def up(self) -> None:
        self._server = _Server(("127.0.0.1", self.port), self._handler())
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def down(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def close(self) -> None:
        self.down()
        self._reserved.close()

    def wait_for(self, count: int, timeout: float = 60.0) -> list[Request]:
        """Wait until so many requests have come."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.requests) >= count, timeout), (
                f"{len(self.requests)} of {count} requests came"
            )
            return list(self.requests)

    def wait_until(self, true: Callable[[], bool], timeout: float = 60.0) -> None:
        """Wait until something is true of what came."""
        with self._arrived:
            assert self._arrived.wait_for(true, timeout), f"after {len(self.requests)} requests it was not so"

    def span_names(self) -> list[str]:
        """Return the names of all spans received, in order."""
        return [span.name for span in self.spans()]

    def spans(self) -> Iterator[Any]:
        """Yield all spans taken."""
        for request in list(self.requests):
            if request.path == "/v1/traces" and request.taken:
                for resource in request.message.resource_spans:
                    for scope in resource.scope_spans:
                        yield from scope.spans

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                if collector._server is not self.server:
                    # It is down, for connections that are open too.
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers["content-length"]))
                body = _INFLATE.get(self.headers.get("content-encoding", ""), bytes)(body)
                answer = collector.answers.popleft() if collector.answers else collector.default
                taken = answer.status == 200 and not answer.drop if answer.taken is None else answer.taken
                headers = {k.lower(): v for k, v in self.headers.items()}
                with collector._arrived:
                    collector.requests.append(Request(self.path, headers, body, taken, time.monotonic()))
                    collector._arrived.notify_all()
                if answer.hold is not None:
                    answer.hold.wait(30)
                if answer.drop:
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@contextmanager
def collector() -> Iterator[Collector]:
    """Run a collector on a free port."""
    running = Collector()
    try:
        yield running
    finally:
        running.close()
