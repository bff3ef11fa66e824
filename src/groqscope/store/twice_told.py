"""Recognises other libraries' spans of an inference that we observed too, so that it counts once.

Where our span is made inside theirs, theirs is marked (`groqscope.requests`), and no record is read from it. Some
libraries keep their spans out of OpenTelemetry's context, as LangChain's instrumentations do: then theirs is the one of
the same trace that is around ours in time. Ours ends, and is written, first.
"""

from typing import Final

from groqscope.timeline import RequestRecord

_ROOM: Final = 4096
"""Traces whose requests are remembered; the most is twice that."""
_LATE_NS: Final = 1_000_000
"""How much later ours may seem to end: its duration is measured by another clock than theirs."""


class Observed:
    """The requests that we observed lately, by trace."""

    def __init__(self) -> None:
        self._young: dict[str, list[RequestRecord]] = {}
        self._old: dict[str, list[RequestRecord]] = {}

    def add(self, record: RequestRecord) -> None:
        """Remember one of ours."""
        if record.trace_id is None:
            return
        if len(self._young) >= _ROOM:
            self._young, self._old = {}, self._young
        self._young.setdefault(record.trace_id, []).append(record)

    def tells(self, foreign: RequestRecord) -> bool:
        """Return whether one of ours is the request that another library's span is about."""
        trace_id = foreign.trace_id or ""
        return any(_same(ours, foreign) for kept in (self._young, self._old) for ours in kept.get(trace_id, ()))


def _same(ours: RequestRecord, foreign: RequestRecord) -> bool:
    if None not in (ours.response_id, foreign.response_id):
        return ours.response_id == foreign.response_id
    ends = ours.start_unix_ns + ours.duration_ns, foreign.start_unix_ns + foreign.duration_ns + _LATE_NS
    around = foreign.start_unix_ns <= ours.start_unix_ns and ends[0] <= ends[1]
    return around and ours.operation == foreign.operation and _named_alike(ours.model, foreign.model)


def _named_alike(ours: str | None, theirs: str | None) -> bool:
    """Return whether two names may be one model's; some libraries put a provider before it: `groq/llama-…`."""
    return ours is None or theirs is None or ours == theirs or theirs.endswith(f"/{ours}")
