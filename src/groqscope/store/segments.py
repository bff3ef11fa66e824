"""Appends lines to files of bounded size, in a directory of bounded size.

Each process has its own files, named `SIGNAL-START-PID-RANDOM.NUMBER.jsonl`: when the writer started (UTC,
microseconds), the process, four hex digits, and a counter. Each line is one `write` to a file opened for appending, so
lines of threads and processes never mix, and a process killed between two lines leaves complete lines.
"""

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from groqscope import _fork
from groqscope._diagnostics import log_failure_once
from groqscope.store.directory import make_private, say_not_written

_logger = logging.getLogger("groqscope.store")

MIB: Final = 1024 * 1024
SEGMENT_BYTES: Final = 32 * MIB
"""After a file reaches this size, a new one is opened."""
TOTAL_BYTES: Final = 1024 * MIB
"""Limit of all files of one signal; the oldest are removed."""
METRICS_SHARE: Final = 8
"""Metrics get this fraction of the space: unlike spans, each collection repeats the last."""

_FLAGS: Final = (
    os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
    | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
)  # fmt: skip


class SegmentWriter:
    """Appends lines to the files of one signal; safe between threads and after a fork.

    A line that cannot be written is dropped and counted, and the first failure is logged; nothing is raised.
    """

    def __init__(
        self,
        directory: Path,
        signal: str,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        total_bytes: int = TOTAL_BYTES,
        clock: Callable[[], int] = time.time_ns,
        on_closed: Callable[[], object] | None = None,
    ) -> None:
        self.directory = directory
        self.signal = signal
        self.lines = 0
        """Lines written."""
        self.lost = 0
        """Lines that could not be written."""
        self.removed = 0
        """Old files removed to make room."""
        self._segment_bytes = min(segment_bytes, total_bytes)
        self._total_bytes = total_bytes
        self._clock = clock
        self._on_closed = on_closed
        self._closed = False
        self._begin()
        _fork.register(after_in_child=self.begin_again)

    @property
    def path(self) -> Path | None:
        """The file being written; `None` before the first line."""
        return self._path

    def write(self, line: bytes) -> bool:
        """Append a line, given without its newline; return whether it was written."""
        with self._lock:
            try:
                self._append(line)
            except OSError as error:
                self.lost += 1
                self._close()
                say_not_written(self.directory, error)
                return False
            self.lines += 1
            return True

    def close(self) -> None:
        """Close the file; a later line opens a new one."""
        with self._lock:
            self._close()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._fd: int | None = None
        self._path: Path | None = None
        self._size = 0
        self._number = 0
        began = datetime.fromtimestamp(self._clock() / 1e9, UTC)
        self._stem = f"{self.signal}-{began:%Y%m%dT%H%M%S%fZ}-{os.getpid()}-{secrets.token_hex(2)}"

    def begin_again(self) -> None:
        """Let go of the parent's file, in a child process after a fork."""
        fd = self._fd
        # Replace the lock instead of acquiring it: a thread that does not exist in the child may hold it.
        self._begin()
        if fd is not None:
            with suppress(OSError):
                os.close(fd)

    def _append(self, line: bytes) -> None:
        data = memoryview(line + b"\n")
        if self._fd is not None and (self._size + len(data) > self._segment_bytes or self._is_gone(self._fd)):
            self._close()
        if self._fd is None:
            self._open(len(data))
        assert self._fd is not None
        before = self._size
        try:
            while data:
                # A regular file accepts the whole line in one call unless the disk is full; then writing the rest
                # raises.
                written = os.write(self._fd, data)
                self._size += written
                data = data[written:]
        except OSError:
            self._take_back(before)
            raise

    def _open(self, room: int) -> None:
        make_private(self.directory)
        self._make_room(max(room, self._segment_bytes))
        self._number += 1
        path = self.directory / f"{self._stem}.{self._number:04d}.jsonl"
        self._fd = os.open(path, _FLAGS, 0o600)
        self._path, self._size = path, 0
        if self._number > 1 and self._on_closed is not None:
            try:
                self._on_closed()
            except Exception as error:  # noqa: BLE001 - what follows a file must not stop the next one
                log_failure_once(_logger, "groqscope cannot look after the files of its store", error)

    def _take_back(self, size: int) -> None:
        """Remove a partially written line, and the file if it is then empty."""
        assert self._fd is not None
        with suppress(OSError):
            if size:
                os.ftruncate(self._fd, size)
            elif self._path is not None:
                self._path.unlink()

    def _close(self) -> None:
        if self._fd is not None:
            with suppress(OSError):
                os.close(self._fd)
            self._fd = None

    @staticmethod
    def _is_gone(fd: int) -> bool:
        """Return whether the file was removed, for example by another process that made room."""
        return os.name == "posix" and os.fstat(fd).st_nlink == 0

    def _make_room(self, room: int) -> None:
        files = sorted(segment_files(self.directory, self.signal))
        total = sum(size for _, size, _ in files) + room
        for _, size, path in files:
            if total <= self._total_bytes:
                return
            with suppress(OSError):  # another process may have removed it already
                path.unlink()
                self.removed += 1
            total -= size


def segment_files(directory: Path, signal: str) -> Iterator[tuple[int, int, Path]]:
    """Yield the modification time in nanoseconds, size and path of each file of a signal."""
    for path in directory.glob(f"{signal}-*.jsonl"):
        with suppress(OSError):
            status = path.stat()
            yield status.st_mtime_ns, status.st_size, path
