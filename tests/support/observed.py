"""A timeline told in milliseconds, so that tests read like the story they tell."""

from typing import Any

from groqscope.timeline import Channel, Outcome, Phases, RequestRecord, Timeline

MS = 1_000_000
START = 5_000 * MS
"""The moment of issue on the monotonic clock: not 0, so that offsets and moments differ."""


class Observed:
    """A timeline whose observations are given in milliseconds since issue."""

    def __init__(self, **request: Any) -> None:
        facts: Any = {"operation": "chat", **request}
        self.timeline = Timeline(START, 1_795_000_000_000_000_000, facts)

    def tell(self, **observations: float) -> "Observed":
        """Tell observations without arguments, in order: `tell(prepared=1, sending=2)`."""
        for name, ms in observations.items():
            getattr(self.timeline, name)(at(ms))
        return self

    def answered(self, ms: float, status: int = 200, *, unseen: bool = False) -> "Observed":
        self.timeline.answered(at(ms), status, unseen=unseen)
        return self

    def failed(self, ms: float, status: int | None = 429, error: str | None = None) -> "Observed":
        self.timeline.attempt_failed(at(ms), status=status, error_type=error or str(status), retry_after=None)
        return self

    def chunk(self, ms: float, channel: int = Channel.CONTENT) -> "Observed":
        self.timeline.chunk(at(ms), channel)
        return self

    def tool(self, ms: float, index: int | None, arguments: str = "", **given: Any) -> "Observed":
        """A chunk that brings one fragment of a tool call."""
        self.chunk(ms, Channel.TOOL)
        self.timeline.tool_delta(at(ms), given.get("choice", 0), index, given.get("id"), given.get("name"), arguments)
        return self

    def end(self, ms: float, outcome: Outcome = "completed", error_type: str | None = None) -> RequestRecord:
        """End the request and return its record."""
        _, settled = self.timeline.end(at(ms), outcome)
        return self.timeline.record(None, settled, error_type)

    def live(self, ms: float) -> RequestRecord:
        """Return the record of a request that is still running."""
        return self.timeline.record(at(ms))


def at(ms: float) -> int:
    """A moment on the monotonic clock, in nanoseconds, `ms` after issue."""
    return START + round(ms * MS)


def in_ms(phases: Phases) -> dict[str, float]:
    """The phases that happened, in milliseconds, in order."""
    return {name: length / MS for name, length in phases.items()}
