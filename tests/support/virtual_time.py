"""A clock for a whole program: delays are exact, and take no time.

The event loop's time, the start and end of spans and the phases of requests are read from one `ManualClock`. It stands
still while anything runs and, when every task waits, is put forward to the moment for which the first one waits.
"""

import asyncio
import json
import selectors
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final

import httpx
import opentelemetry.sdk.trace
import pytest

from groqscope.testing import ManualClock
from support.scope import COMPLETION

NOON: Final = 1_790_000_000_000_000_000
"""Unix time at 0 of the clock."""


class _Selector(selectors.SelectSelector):
    """Does not wait for a time, but puts the clock forward to it."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        if not (ready := super().select(0)):
            self._clock.advance(timeout * 1000)
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: ManualClock) -> None:
        super().__init__(_Selector(clock))
        self._clock = clock

    def time(self) -> float:
        return self._clock() / 1e9


def run(clock: ManualClock, program: Coroutine[Any, Any, None]) -> None:
    """Run a program in an event loop on the clock. A thread of its own may be waited for by nothing but itself."""
    with asyncio.Runner(loop_factory=lambda: _Loop(clock)) as runner:
        runner.run(program)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """The clock, from which the time of day is told too: spans take it from there and nowhere else."""
    made = ManualClock()
    for module in (time, opentelemetry.sdk.trace):
        monkeypatch.setattr(module, "time_ns", lambda: NOON + made())
    return made


MODEL_MS: Final = 300
"""How long each request takes that is answered at once."""


def answered(*calls: str) -> tuple[float, list[tuple[float, bytes]]]:
    """Return an answer of 300 ms, with calls of these tools or with a text."""
    message: dict[str, Any] = {"role": "assistant", "content": None if calls else "done"}
    if calls:
        message["tool_calls"] = [
            {"id": f"call_{name}", "type": "function", "function": {"name": name, "arguments": "{}"}} for name in calls
        ]
    choice = {"index": 0, "finish_reason": "tool_calls" if calls else "stop", "message": message}
    return 200, [(100, json.dumps({**COMPLETION, "choices": [choice]}).encode())]


class Wire(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """Answers each request with the next body, after its headers and its pieces took what they say, in milliseconds."""

    def __init__(self, clock: ManualClock, *answers: tuple[float, list[tuple[float, bytes]]]) -> None:
        self._clock = clock
        self._answers = list(answers)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        headers, pieces = self._answers.pop(0)
        await asyncio.sleep(headers / 1000)

        async def body() -> AsyncIterator[bytes]:
            for taken, piece in pieces:
                await asyncio.sleep(taken / 1000)
                yield piece

        kind = "text/event-stream" if b'"stream":true' in request.content else "application/json"
        return httpx.Response(200, headers={"content-type": kind}, content=body())

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        headers, pieces = self._answers.pop(0)
        self._clock.advance(headers)

        def body():
            for taken, piece in pieces:
                self._clock.advance(taken)
                yield piece

        kind = "text/event-stream" if b'"stream":true' in request.content else "application/json"
        return httpx.Response(200, headers={"content-type": kind}, content=body())
