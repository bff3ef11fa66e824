"""How many requests are in flight, as programs last reported in their metrics.

A request has a record only once it has ended; until then, only the metric `groqscope.requests.active` shows it.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from groqscope import semconv

_METRIC: Final = semconv.METRIC_ACTIVE.name
_MARK: Final = f'"{_METRIC}"'.encode()
_STALE: Final = 150.0
"""Seconds after which a report no longer counts: a program that is running reports every minute."""
_MAX_PROGRAMS: Final = 1_000
_BLOCK: Final = 4 * 1024 * 1024


class ActiveRequests:
    """Follows the metrics files of a store."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path, self._clock = path, clock
        self._offsets: dict[Path, int] = {}
        self._reported: dict[bytes, tuple[float, int]] = {}

    def look(self) -> bool:
        """Read what was added; return whether anything was reported."""
        try:
            files = sorted(self._path.glob("metrics-*.jsonl")) if self._path.is_dir() else []
        except OSError:
            return False
        found = False
        for file in files:
            found = self._read(file) or found
        return found

    def now(self) -> tuple[int, float] | None:
        """Return how many requests were in flight, and when that was reported, Unix seconds; `None`: never."""
        oldest = self._clock() - _STALE
        known = [(at, number) for at, number in self._reported.values() if at >= oldest]
        return (sum(number for _, number in known), max(at for at, _ in known)) if known else None

    def _read(self, file: Path) -> bool:
        try:
            with file.open("rb") as stream:
                end = stream.seek(0, 2)
                offset = self._offsets.get(file, max(0, end - _BLOCK))
                stream.seek(offset if offset <= end else 0)
                block = stream.read(_BLOCK)
        except OSError:
            return False
        whole, newline, _ = block.rpartition(b"\n")
        self._offsets[file] = (offset if offset <= end else 0) + len(whole) + len(newline)
        lines = [line for line in whole.split(b"\n") if _MARK in line]
        for line in lines:
            self._note(line, file.name)
        return bool(lines)

    def _note(self, line: bytes, file: str) -> None:
        try:
            for resource in msgspec.json.decode(line)["resourceMetrics"]:
                self._note_resource(resource, file)
        except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError, RecursionError):
            return  # a damaged line is passed over

    def _note_resource(self, resource: dict[str, Any], file: str) -> None:
        points = [
            point
            for scope in resource.get("scopeMetrics", ())
            for metric in scope.get("metrics", ())
            if metric.get("name") == _METRIC
            for point in metric.get("sum", {}).get("dataPoints", ())
        ]
        if not points:
            return
        program = file.encode() + msgspec.json.encode(resource.get("resource"))
        if program in self._reported or len(self._reported) < _MAX_PROGRAMS:
            at = max(int(point.get("timeUnixNano", 0)) for point in points) / 1e9
            self._reported[program] = (at, max(0, sum(int(point.get("asInt", 0)) for point in points)))
