"""The spool of an endpoint: one file per batch, in the local store's format; the oldest are dropped when it is full.

A batch is written under a temporary name and then renamed, so a file is complete or absent; it is removed when the
endpoint has accepted it. Of the processes that share a spool only the one that holds its lock sends from it; the kernel
releases the lock of a process that dies.
"""

import errno
import hashlib
import logging
import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final

from groqscope import _fork
from groqscope._diagnostics import log_once
from groqscope.store.directory import make_private, spool_directory
from groqscope.store.locks import locked
from groqscope.store.segments import MIB

_logger = logging.getLogger("groqscope.store")

SPOOL_BYTES: Final = 512 * MIB
"""Size of a spool: about ten minutes at 50 requests per second, many hours at one per second."""
_STALE_NS: Final = 3_600 * 10**9
_LOOK_AGAIN: Final = 64
"""After this many batches the spool's size is read from disk again, because other processes write to it too."""


def spool_for(endpoint: str) -> Path:
    """Return the spool directory of a URL, which no other endpoint shares."""
    return spool_directory() / hashlib.sha256(endpoint.encode()).hexdigest()[:16]


_locks: dict[Path, threading.Lock] = {}
_fork.register(after_in_child=_locks.clear)


class Spool:
    """The spooled batches of one signal for one endpoint."""

    def __init__(self, directory: Path, signal: str, *, max_bytes: int = SPOOL_BYTES) -> None:
        self.directory = directory
        self.dropped = 0
        """Spans, or collections of metrics, that were removed to make room or could not be written."""
        self._signal = signal
        self._max_bytes = max_bytes
        self._numbers = count()
        self._written = 0
        self.begin_again()

    def begin_again(self) -> None:
        """Let go of the parent's lock, in a child process after a fork."""
        self._lock = threading.Lock()
        self._size: int | None = None

    def append(self, line: bytes, items: int) -> bool:
        """Write a batch of `items`; return whether that succeeded. Failures are counted, and logged once."""
        with self._lock:
            try:
                if len(line) >= self._max_bytes:
                    raise OSError(errno.EFBIG, "the batch is larger than the whole spool")
                self._write(line, items)
            except OSError as error:
                self.dropped += items
                log_once(
                    _logger,
                    "groqscope cannot keep telemetry in %s until its endpoint is available: %s. It is lost.",
                    self.directory,
                    error.strerror or error,
                )
                return False
            return True

    def waiting(self) -> list[Path]:
        """Return the files of the spooled batches, oldest first."""
        try:
            return sorted(self.directory.glob(f"{self._signal}-*.jsonl"))
        except OSError:
            return []

    def remove(self, path: Path) -> None:
        """Remove a batch that is sent or refused."""
        with suppress(OSError):
            path.unlink()
        with self._lock:
            self._size = None

    @contextmanager
    def only_one(self) -> Generator[bool]:
        """Yield whether this process may send from the spool; if so, no other process does until the block ends."""
        path = self.directory / f"{self._signal}.lock"
        # The file lock excludes other processes, this lock other threads.
        here = _locks.setdefault(path, threading.Lock())
        if not here.acquire(blocking=False):
            yield False
            return
        try:
            with locked(path) as alone:
                yield alone
        finally:
            here.release()

    def _write(self, line: bytes, items: int) -> None:
        if self._size is None or self._written % _LOOK_AGAIN == 0:
            make_private(self.directory)
            self._sweep()
            self._size = sum(_size(path) for path in self.waiting())
        self._written += 1
        self._make_room(len(line) + 1)
        name = f"{self._signal}-{time.time_ns():020d}-{os.getpid()}-{next(self._numbers):06d}-{items}.jsonl"
        part = self.directory / f"{name}.part"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        descriptor = os.open(part, flags, 0o600)
        try:
            try:
                data = memoryview(line + b"\n")
                while data:
                    data = data[os.write(descriptor, data) :]
            finally:
                os.close(descriptor)
            part.replace(self.directory / name)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        self._size += len(line) + 1

    def _sweep(self) -> None:
        """Remove incomplete files of processes that were killed."""
        for part in self.directory.glob(f"{self._signal}-*.part"):
            with suppress(OSError):
                if time.time_ns() - part.stat().st_mtime_ns > _STALE_NS:
                    part.unlink()

    def _make_room(self, room: int) -> None:
        assert self._size is not None
        if self._size + room <= self._max_bytes:
            return
        waiting = self.waiting()
        self._size = sum(_size(path) for path in waiting)
        for path in waiting:
            if self._size + room <= self._max_bytes:
                return
            self._size -= _size(path)
            with suppress(OSError):  # another process has sent or removed it
                path.unlink()
                self.dropped += items_of(path)


def items_of(path: Path) -> int:
    """Return the number of items in a batch, from its file name."""
    number = path.stem.rpartition("-")[2]
    return int(number) if number.isdigit() else 1


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
