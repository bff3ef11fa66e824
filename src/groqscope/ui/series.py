"""Counts of the last minutes and hours, in equal buckets of time; in bounded memory, whatever the traffic."""

import threading
from collections.abc import Iterable
from typing import Any, Final

from groqscope.audit.distribution import Values
from groqscope.timeline import FAILED, PHASE_NAMES, RateLimits, RequestRecord

WINDOWS: Final = {"5m": (300, 2), "15m": (900, 5), "1h": (3600, 20), "6h": (21_600, 120)}
"""The windows that a reader can choose: their length and that of one bucket, in seconds."""
SMOOTH: Final = 11
"""Earlier buckets that the quantiles of a bucket include."""
_EXACT: Final = 500
"""Up to so many durations, the quantiles of a bucket are exact."""
_NS: Final = 1_000_000_000
_MAX_MODELS: Final = 100


class Bucket:
    """The requests that ended in one bucket of time."""

    __slots__ = ("cost", "duration", "failed", "input_tokens", "output_tokens", "phased", "phases", "requests", "ttfc")

    def __init__(self) -> None:
        self.requests = self.failed = self.input_tokens = self.output_tokens = self.phased = 0
        self.cost = 0.0
        self.ttfc, self.duration = Values(_EXACT), Values(_EXACT)
        self.phases = [0] * len(PHASE_NAMES)

    def add(self, record: RequestRecord) -> None:
        """Count one request."""
        self.requests += 1
        self.failed += record.outcome in FAILED
        self.input_tokens += record.usage.input_tokens or 0
        self.output_tokens += record.usage.output_tokens or 0
        self.cost += record.cost or 0.0
        self.duration.add(record.duration_ns)
        if record.ttfc_ns is not None:
            self.ttfc.add(record.ttfc_ns)
        phases = record.phases
        known = False
        for place, name in enumerate(PHASE_NAMES):
            length = getattr(phases, name)
            if length is not None:
                known = True
                self.phases[place] += length
        self.phased += known

    def merge(self, other: "Bucket") -> None:
        """Add the counts of another bucket."""
        for name in ("requests", "failed", "input_tokens", "output_tokens", "cost", "phased"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.ttfc.merge(other.ttfc)
        self.duration.merge(other.duration)
        self.phases = [a + b for a, b in zip(self.phases, other.phases, strict=True)]

    def row(self, at: int, around: "Iterable[Bucket]") -> list[Any]:
        """Return its numbers: time, counts, durations in milliseconds, phases in milliseconds per request.

        Its quantiles and phases include the buckets around it, so that there are enough durations for a p95.
        """
        every = Bucket()
        for bucket in around:
            every.ttfc.merge(bucket.ttfc)
            every.duration.merge(bucket.duration)
            every.phased += bucket.phased
            every.phases = [a + b for a, b in zip(every.phases, bucket.phases, strict=True)]
        ttfc, duration = every.ttfc.distribution("ns"), every.duration.distribution("ns")
        times = [_ms(value) for value in (ttfc.p50, ttfc.p95, duration.p50, duration.p95)]
        phases = [round(length / every.phased / 1e6, 3) if every.phased else None for length in every.phases]
        return [at, self.requests, self.failed, *times, self.input_tokens, self.output_tokens, self.cost, phases]


class Series:
    """The buckets of all windows, and the latest rate limits."""

    def __init__(self) -> None:
        self._buckets: dict[str, dict[int, Bucket]] = {window: {} for window in WINDOWS}
        self._dirty: dict[str, set[int]] = {window: set() for window in WINDOWS}
        self._limits: dict[str | None, tuple[int, RateLimits]] = {}
        self._newest = 0
        self._lock = threading.Lock()

    def add(self, record: RequestRecord) -> None:
        """Count a request in the bucket in which it ended."""
        end = (record.start_unix_ns + record.duration_ns) // _NS
        with self._lock:
            self._newest = max(self._newest, end)
            for window, (length, width) in WINDOWS.items():
                at = end - end % width
                if at <= self._newest - length - width:
                    continue
                buckets = self._buckets[window]
                if at not in buckets:
                    buckets[at] = Bucket()
                    if len(buckets) > length // width + 2:
                        del buckets[min(buckets)]
                if at in buckets:
                    buckets[at].add(record)
            self._note_limits(record, end)

    def _note_limits(self, record: RequestRecord, end: int) -> None:
        limits = record.rate_limits
        if limits.requests_remaining is None and limits.tokens_remaining is None:
            return
        known = self._limits.get(record.model)
        if (known is None and len(self._limits) < _MAX_MODELS) or (known is not None and known[0] <= end):
            self._limits[record.model] = (end, limits)

    def rows(self, window: str, now: int, since: int = 0) -> list[list[Any]]:
        """Return the numbers of each bucket of a window that had requests, from a moment on, oldest first."""
        length, width = WINDOWS[window]
        first = max(now - length, since) // width * width
        with self._lock:
            buckets = self._buckets[window]
            return [
                buckets[at].row(at, (buckets[t] for t in range(at - SMOOTH * width, at + 1, width) if t in buckets))
                for at in sorted(buckets)
                if first <= at <= now + width
            ]

    def whole(self, window: str, now: int) -> Bucket:
        """Return a whole window as one bucket."""
        length, _ = WINDOWS[window]
        whole = Bucket()
        with self._lock:
            for at, bucket in self._buckets[window].items():
                if at > now - length:
                    whole.merge(bucket)
        return whole

    def limits(self) -> list[tuple[str | None, int, RateLimits]]:
        """Return the latest rate limits of each model, and when Groq sent them, the latest first."""
        with self._lock:
            return sorted(
                ((model, end, limits) for model, (end, limits) in self._limits.items()), key=lambda item: -item[1]
            )


def _ms(value: float | None) -> float | None:
    return None if value is None else round(value / 1e6, 3)
