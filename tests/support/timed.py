"""Requests on a clock that only moves when told: every length is exact, however busy the machine is.

Line           a transport whose attempts take as long as they say
SimulatedLine  the same, answering as the simulator would, with the delays of its script
"""

import json
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx

from groqscope.simulator import Failure
from groqscope.simulator.app import make_plan
from groqscope.simulator.ratelimits import RateLimits
from groqscope.simulator.received import Received
from groqscope.simulator.script import Reply
from groqscope.testing import ManualClock
from support.both import Mode
from support.scope import Exported
from support.sdks import GROQ, SDK


@dataclass
class Attempt:
    """How long each step of an attempt takes, in milliseconds; `None` is a step that does not happen."""

    pool: float = 1
    connect: float | None = None
    tls: float | None = None
    send: float = 2
    headers: float = 10
    status: int = 200
    pieces: Sequence[tuple[float, bytes | BaseException]] = ()
    end: float = 0
    """Last piece to the end of the body."""
    fails: str | None = None
    """The step at whose end the connection breaks."""
    traced: bool = True
    response_headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def steps(self, clock: ManualClock, library: Any = httpx) -> Iterator[str]:
        """Yield the transport's events while the clock runs; raise where it breaks."""
        names = (
            ("pool", "", ""),
            ("connect", "connection.connect_tcp.started", "connection.connect_tcp.complete"),
            ("tls", "connection.start_tls.started", "connection.start_tls.complete"),
            ("send", "http11.send_request_headers.started", "http11.send_request_body.complete"),
            ("headers", "", "http11.receive_response_headers.complete"),
        )
        for name, first, last in names:
            taken = getattr(self, name)
            if taken is None:
                continue
            if first:
                yield first
            clock.advance(taken)
            if self.fails == name:
                raise library.ConnectError("broken")
            if last:
                yield last


class Body:
    """A body that comes while the clock runs."""

    def __init__(self, attempt: Attempt, clock: ManualClock, trace: Any) -> None:
        self._attempt, self._clock, self._trace = attempt, clock, trace

    def _pieces(self) -> Iterator[bytes]:
        for taken, piece in self._attempt.pieces:
            self._clock.advance(taken)
            if isinstance(piece, BaseException):
                raise piece
            yield piece
        self._clock.advance(self._attempt.end)

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces()
        if self._trace is not None:
            self._trace("http11.receive_response_body.complete", {})

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces():
            yield piece
        if self._trace is not None:
            await self._trace("http11.receive_response_body.complete", {})

    def close(self) -> None:
        """Takes a millisecond."""
        self._clock.advance(1)

    async def aclose(self) -> None:
        """Takes a millisecond."""
        self._clock.advance(1)


@cache
def _body(library: Any) -> type[Body]:
    """Return `Body` as the bodies of an HTTP library."""
    return type("Body", (Body, library.SyncByteStream, library.AsyncByteStream), {})


def _trace(attempt: Attempt, request: Any) -> Any:
    """Return what is told of the steps of an attempt; `None` where nothing is."""
    return request.extensions.get("trace") if attempt.traced else None


def _library(request: Any) -> Any:
    """Return the HTTP library that a request is of."""
    return sys.modules[type(request).__module__.partition(".")[0]]


class Line(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport, for each HTTP library, that takes its time by the clock and tells its steps as httpcore does."""

    def __init__(self, clock: ManualClock, attempts: Sequence[Attempt] = ()) -> None:
        self._clock, self._attempts = clock, list(attempts)

    def _response(self, attempt: Attempt, request: httpx.Request) -> httpx.Response:
        streamed, library = bool(json.loads(request.content).get("stream")), _library(request)
        headers = {"content-type": "text/event-stream" if streamed else "application/json", **attempt.response_headers}
        body = _body(library)(attempt, self._clock, _trace(attempt, request))
        return library.Response(attempt.status, headers=headers, stream=body)

    def attempt(self, request: httpx.Request) -> Attempt:
        """Return how this request is answered."""
        return self._attempts.pop(0)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        attempt = self.attempt(request)
        trace = _trace(attempt, request)
        for event in attempt.steps(self._clock, _library(request)):
            if trace is not None:
                trace(event, {})
        return self._response(attempt, request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        attempt = self.attempt(request)
        trace = _trace(attempt, request)
        for event in attempt.steps(self._clock, _library(request)):
            if trace is not None:
                await trace(event, {})
        return self._response(attempt, request)


class SimulatedLine(Line):
    """Answers in turn as the simulator would, and repeats the last reply; a delay that a script leaves out is 1 ms."""

    def __init__(self, clock: ManualClock, *replies: Reply) -> None:
        super().__init__(clock)
        self._replies = list(replies)
        self._limits = RateLimits()
        self._asked = 0

    def attempt(self, request: httpx.Request) -> Attempt:
        """Return the next reply, planned as the simulator plans it, over a connection of its own."""
        reply = self._replies[min(self._asked, len(self._replies) - 1)]
        received = Received(self._asked, request.method, request.url.path, dict(request.headers), request.content, {})
        plan = make_plan(reply, received, self._limits.headers(received, counted=not isinstance(reply, Failure)))
        assert plan.status is not None
        assert plan.ends == "complete"
        self._asked += 1
        return Attempt(
            connect=1,
            headers=plan.before_headers * 1000 or 1,
            status=plan.status,
            pieces=[(write.delay * 1000 or 1, write.data) for write in plan.writes],
            end=plan.before_end * 1000,
            response_headers=plan.headers,
        )


def timed_client(
    mode: Mode, exported: Exported, clock: ManualClock, line: Line, sdk: SDK = GROQ, **options: Any
) -> Any:
    """Return an instrumented client whose building of a request takes 1 ms, and its back-off 50, by the clock."""

    class Building(httpx.Client if mode == "sync" else httpx.AsyncClient):  # type: ignore[misc] - of either kind
        def build_request(self, *args: Any, **kwargs: Any) -> httpx.Request:
            clock.advance(1)
            return super().build_request(*args, **kwargs)

    client = sdk.observed(exported, mode, "http://groq.test", clock, http_client=Building(transport=line), **options)

    def back_off(*_: Any, **__: Any) -> float:
        clock.advance(50)
        return 0

    client._calculate_retry_timeout = back_off
    return client


def simulated_client(mode: Mode, exported: Exported, *replies: Reply, **options: Any) -> Any:
    """Return an instrumented client that a simulated Groq answers on a clock of its own."""
    clock = ManualClock()
    return timed_client(mode, exported, clock, SimulatedLine(clock, *replies), **options)
