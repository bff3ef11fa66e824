"""A progress bar on standard error, if it is a terminal and reading takes longer than two seconds."""

import gc
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from groqscope.audit import Records

DELAY: Final = 2.0
"""Seconds before it appears."""
_INTERVAL: Final = 0.1
_EVERY: Final = 256
"""Number of records between two readings of the clock."""
_CELLS: Final = 24


class Progress:
    """Called after each record; redraws the bar at intervals."""

    def __init__(self, records: "Records", stream: TextIO | None = None) -> None:
        self._source = records
        self._stream = stream if stream is not None else sys.stderr
        self._records = self._waiting = 0
        self._next = time.monotonic() + DELAY
        self._drawn = False
        self._active = self._stream.isatty()

    def __call__(self, records: int) -> None:
        """Count records."""
        self._records += records
        self._waiting += records
        if not self._active or self._waiting < _EVERY:
            return
        self._waiting = 0
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _INTERVAL
            self._draw()

    def clear(self) -> None:
        """Remove the bar."""
        if self._drawn:
            self._stream.write("\r\x1b[2K")
            self._stream.flush()
            self._drawn = False

    def _draw(self) -> None:
        total, read = self._source.report.bytes_total, self._source.report.bytes_read
        bar = ""
        if total:
            share = min(1.0, read / total)
            full = int(share * _CELLS)
            bar = f" [{'=' * full}{' ' * (_CELLS - full)}] {int(share * 100)}%"
        self._stream.write(f"\r\x1b[2Kreading{bar}  {self._records:,} requests")
        self._stream.flush()
        self._drawn = True


@contextmanager
def uncollected() -> Generator[None]:
    """Look for no garbage cycles meanwhile: what is read has none, and the search takes an eighth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
