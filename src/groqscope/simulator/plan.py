"""A plan: the bytes of one answer and when each of them is sent."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from groqscope.simulator.script import Drip

Ends = Literal["complete", "cut", "reset", "hang"]


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes that are written together."""

    data: bytes
    delay: float = 0.0
    """Planned seconds since the previous write."""
    events: int = 0
    """Number of server-sent events that these bytes complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One answer."""

    status: int | None = 200
    """`None`: no HTTP response at all; the connection just ends."""
    headers: Mapping[str, str]
    before_headers: float = 0.0
    writes: Sequence[Write] = ()
    before_end: float = 0.0
    ends: Ends = "complete"


def drip(writes: Iterable[Write], how: Drip | None) -> tuple[Write, ...]:
    """Split writes into pieces; an event is complete with its last piece."""
    if how is None:
        return tuple(writes)
    pieces: list[Write] = []
    for write in writes:
        cuts = [write.data[i : i + how.size] for i in range(0, len(write.data), how.size)] or [b""]
        delays = [write.delay, *[how.delay] * (len(cuts) - 1)]
        events = [0] * (len(cuts) - 1) + [write.events]
        pieces += map(Write, cuts, delays, events)
    return tuple(pieces)


def compress(writes: Iterable[Write]) -> list[Write]:
    """Compress with gzip, flushed after each write so that the client can decode it on arrival."""
    packer = zlib.compressobj(wbits=31)
    packed = [replace(w, data=packer.compress(w.data) + packer.flush(zlib.Z_SYNC_FLUSH)) for w in writes]
    return [*packed, Write(packer.flush())]


def group(writes: Sequence[Write], size: int) -> list[Write]:
    """Join each `size` writes into one, sent when the last of them would have been."""
    if size <= 1:
        return list(writes)
    return [_join(writes[i : i + size]) for i in range(0, len(writes), size)]


def _join(writes: Sequence[Write]) -> Write:
    return Write(b"".join(w.data for w in writes), sum(w.delay for w in writes), sum(w.events for w in writes))


def stop_after(writes: Sequence[Write], events: int | None, partial: int) -> list[Write]:
    """Return the first `events` writes (`None`: all) and `partial` bytes of the next one."""
    if events is None or events >= len(writes):
        return list(writes)
    kept = list(writes[:events])
    if partial:
        kept.append(replace(writes[events], data=writes[events].data[:partial], events=0))
    return kept
