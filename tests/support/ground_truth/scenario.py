"""One scenario: what is injected, by whom, and where it must be found."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from groqscope import RequestRecord
from groqscope.simulator import (
    Connection,
    Playable,
    Served,
)
from support.both import MODES, Both, Mode

TOLERANCE_S: Final = 0.005


class Caller:
    """The caller's own pauses, with how long each took."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.marks: dict[str, int] = {}

    def mark(self, name: str) -> None:
        """Remember a moment."""
        self.marks[name] = time.monotonic_ns()

    def synchronous(self, seconds: float) -> None:
        """Pause."""
        begin = time.monotonic_ns()
        time.sleep(seconds)
        self.pauses.append((time.monotonic_ns() - begin) / 1e9)

    async def asynchronous(self, seconds: float) -> None:
        """Pause."""
        begin = time.monotonic_ns()
        await asyncio.sleep(seconds)
        self.pauses.append((time.monotonic_ns() - begin) / 1e9)


@dataclass
class Truth:
    """What happened, by the clocks of those who did it."""

    served: list[Served]
    caller: Caller

    def until_event(self, index: int) -> float:
        """Seconds from the last request's arrival to one of its answer's events."""
        last = self.served[-1]
        assert last.body_received_ns is not None
        return (last.events_ns[index] - last.body_received_ns) / 1e9

    def between_events(self, first: int, last: int) -> float:
        """Seconds between two events of the last answer."""
        times = self.served[-1].events_ns
        return (times[last] - times[first]) / 1e9

    def until_end(self) -> float:
        """Seconds from the last request's arrival to the end of its answer."""
        last = self.served[-1]
        assert last.body_received_ns is not None
        assert last.ended_ns is not None
        return (last.ended_ns - last.body_received_ns) / 1e9

    def after_event(self, index: int) -> float:
        """Seconds from an event to the end of the message."""
        last = self.served[-1]
        assert last.ended_ns is not None
        return (last.ended_ns - last.events_ns[index]) / 1e9

    def before_last_attempt(self) -> float:
        """Seconds from the first attempt's arrival to the last one's."""
        return (self.served[-1].headers_received_ns - self.served[0].headers_received_ns) / 1e9

    def paused(self) -> float:
        """Seconds the caller paused."""
        return sum(self.caller.pauses)


Expected = Callable[[Truth], Mapping[str, float]]


@dataclass
class Scenario:
    """One row: what is injected, and where it must be found."""

    name: str
    act: Both
    script: Playable
    expected: Expected
    outcome: str = "completed"
    check: Callable[[RequestRecord, Truth], bool] = lambda _record, _truth: True
    client: Callable[[Any], dict[str, Any]] = lambda _library: {}
    """Options of the client, by the HTTP library it is on."""
    connections: tuple[Connection, ...] = ()
    secure: bool = False
    trusted: bool = True
    slow_build: float = 0.0
    slow_connect: float = 0.0
    slow_send: float = 0.0
    slow_close: float = 0.0
    modes: tuple[Mode, ...] = MODES
    drains: bool = False
    """It waits for the end of the message after `[DONE]`, as openai's synchronous stream does not."""
    transport: Callable[[Any, Mode], Any] | None = None
    """By the HTTP library too."""

    def __str__(self) -> str:
        return self.name.replace(" ", "_")
