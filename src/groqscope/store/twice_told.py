"""Recognises other libraries' spans of an inference that we observed too, so that it counts once.

Where our span is made inside theirs, theirs is marked (`groqscope.requests`), and no record is read from it. Some
libraries keep their spans out of OpenTelemetry's context, as LangChain's instrumentations do: then theirs is the one of
the same trace that is around ours in time; or, where neither has a parent and each is a trace of its own, of any.
Ours ends, and is written, first.
"""

from collections import deque
from typing import Final, NamedTuple

from groqscope.timeline import RequestRecord

_ROOM: Final = 4096
"""Traces whose requests are remembered; the most is twice that."""
_ALONE: Final = 1024
"""Requests without a parent that are remembered."""
_LATE_NS: Final = 1_000_000
"""How much later ours may seem to end: its duration is measured by another clock than theirs."""


class _Told(NamedTuple):
    """What is compared of a request. To keep whole records would be 80 MB, and slow: no memory would be used again."""

    start_unix_ns: int
    end_unix_ns: int
    response_id: str | None
    operation: str
    model: str | None
    input_tokens: int | None
    output_tokens: int | None


class Observed:
    """The requests that we observed lately."""

    def __init__(self) -> None:
        self._young: dict[str, list[_Told]] = {}
        self._old: dict[str, list[_Told]] = {}
        self._alone: deque[_Told] = deque(maxlen=_ALONE)

    def add(self, record: RequestRecord, *, alone: bool) -> None:
        """Remember one of ours; `alone`: its span has no parent."""
        if record.trace_id is None:
            return
        told = _told(record)
        if alone:
            self._alone.append(told)
        if len(self._young) >= _ROOM:
            self._young, self._old = {}, self._young
        self._young.setdefault(record.trace_id, []).append(told)

    def tells(self, record: RequestRecord, *, alone: bool) -> bool:
        """Return whether one of ours is the request that another library's span is about."""
        trace_id, foreign = record.trace_id or "", _told(record)
        if any(_same(ours, foreign) for kept in (self._young, self._old) for ours in kept.get(trace_id, ())):
            return True
        for ours in reversed(self._alone) if alone else ():
            if ours.end_unix_ns < foreign.start_unix_ns:  # and so did all before it
                break
            if _same(ours, foreign) and _as_many_tokens(ours, foreign):
                self._alone.remove(ours)  # several may be alike at the same time: each is told of once
                return True
        return False


def _told(record: RequestRecord) -> _Told:
    usage = record.usage
    return _Told(
        record.start_unix_ns,
        record.start_unix_ns + record.duration_ns,
        record.response_id,
        record.operation,
        record.model,
        usage.input_tokens,
        usage.output_tokens,
    )


def _same(ours: _Told, foreign: _Told) -> bool:
    if None not in (ours.response_id, foreign.response_id):
        return ours.response_id == foreign.response_id
    around = foreign.start_unix_ns <= ours.start_unix_ns and ours.end_unix_ns <= foreign.end_unix_ns + _LATE_NS
    return around and ours.operation == foreign.operation and _named_alike(ours.model, foreign.model)


def _named_alike(ours: str | None, theirs: str | None) -> bool:
    """Return whether two names may be one model's; some libraries put a provider before it: `groq/llama-…`."""
    return ours is None or theirs is None or ours == theirs or theirs.endswith(f"/{ours}")


def _as_many_tokens(ours: _Told, foreign: _Told) -> bool:
    counts = (ours.input_tokens, foreign.input_tokens), (ours.output_tokens, foreign.output_tokens)
    return all(None in pair or pair[0] == pair[1] for pair in counts)
