"""Recognises other libraries' spans of an inference that we observed too, so that it counts once.

Where our span is made inside theirs, theirs is marked (`groqscope.requests`), and no record is read from it. Some
libraries keep their spans out of OpenTelemetry's context, as LangChain's instrumentations do: then theirs is the one of
the same trace that is around ours in time; or, where neither has a parent and each is a trace of its own, of any.
Ours ends, and is written, first.
"""

from collections import deque
from typing import Final

from groqscope.timeline import RequestRecord

_ROOM: Final = 4096
"""Traces whose requests are remembered; the most is twice that."""
_ALONE: Final = 1024
"""Requests without a parent that are remembered."""
_LATE_NS: Final = 1_000_000
"""How much later ours may seem to end: its duration is measured by another clock than theirs."""


class Observed:
    """The requests that we observed lately."""

    def __init__(self) -> None:
        self._young: dict[str, list[RequestRecord]] = {}
        self._old: dict[str, list[RequestRecord]] = {}
        self._alone: deque[RequestRecord] = deque(maxlen=_ALONE)

    def add(self, record: RequestRecord, *, alone: bool) -> None:
        """Remember one of ours; `alone`: its span has no parent."""
        if record.trace_id is None:
            return
        if alone:
            self._alone.append(record)
        if len(self._young) >= _ROOM:
            self._young, self._old = {}, self._young
        self._young.setdefault(record.trace_id, []).append(record)

    def tells(self, foreign: RequestRecord, *, alone: bool) -> bool:
        """Return whether one of ours is the request that another library's span is about."""
        trace_id = foreign.trace_id or ""
        if any(_same(ours, foreign) for kept in (self._young, self._old) for ours in kept.get(trace_id, ())):
            return True
        for ours in reversed(self._alone) if alone else ():
            if _end(ours) < foreign.start_unix_ns:  # and so did all before it
                break
            if _same(ours, foreign) and _as_many_tokens(ours, foreign):
                self._alone.remove(ours)  # several may be alike at the same time: each is told of once
                return True
        return False


def _same(ours: RequestRecord, foreign: RequestRecord) -> bool:
    if None not in (ours.response_id, foreign.response_id):
        return ours.response_id == foreign.response_id
    around = foreign.start_unix_ns <= ours.start_unix_ns and _end(ours) <= _end(foreign) + _LATE_NS
    return around and ours.operation == foreign.operation and _named_alike(ours.model, foreign.model)


def _end(record: RequestRecord) -> int:
    return record.start_unix_ns + record.duration_ns


def _named_alike(ours: str | None, theirs: str | None) -> bool:
    """Return whether two names may be one model's; some libraries put a provider before it: `groq/llama-…`."""
    return ours is None or theirs is None or ours == theirs or theirs.endswith(f"/{ours}")


def _as_many_tokens(ours: RequestRecord, foreign: RequestRecord) -> bool:
    counts = (
        (ours.usage.input_tokens, foreign.usage.input_tokens),
        (ours.usage.output_tokens, foreign.usage.output_tokens),
    )
    return all(None in pair or pair[0] == pair[1] for pair in counts)
