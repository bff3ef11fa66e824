"""Reads new records as they are written."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from groqscope.store.decoding import RecordDecoder
from groqscope.store.report import ReadReport
from groqscope.store.sources import is_trace_file
from groqscope.timeline import RequestRecord

INTERVAL: Final = 0.25
"""Seconds between two polls."""
_BLOCK: Final = 64 * 1024 * 1024


@dataclass(slots=True)
class _Place:
    offset: int
    """How far the file has been read: the end of its last complete line."""


class Follower:
    """Polls a directory or a file for records added since the last poll."""

    def __init__(self, path: Path | str) -> None:
        """Start at the current end of the files."""
        self.path = Path(path)
        self.report = ReadReport()
        self._decoder = RecordDecoder(self.report, timelines=False)
        self._places = {file: _Place(_end_of_lines(file)) for file in self._files()}

    def poll(self) -> list[RequestRecord]:
        """Return the records added since the last poll, sorted by start; none when the directory does not exist."""
        records: list[RequestRecord] = []
        files = self._files()
        for gone in self._places.keys() - set(files):
            del self._places[gone]
        for file in files:
            place = self._places.setdefault(file, _Place(0))
            for line in _added(file, place):
                records.extend(self._decoder.decode(line, str(file), None))
        records.sort(key=lambda r: r.start_unix_ns)
        return records

    def _files(self) -> list[Path]:
        try:
            if not self.path.is_dir():
                return [self.path] if self.path.exists() else []
            return sorted(p for p in self.path.iterdir() if is_trace_file(p) and not p.name.endswith(".gz"))
        except OSError:
            return []


def follow(
    path: Path | str,
    stop: threading.Event,
    *,
    interval: float = INTERVAL,
    wait: Callable[[float], object] | None = None,
) -> Iterator[list[RequestRecord]]:
    """Yield the records added at each poll, possibly none, until `stop` is set.

    Args:
        path: A directory, or one file; it need not exist yet.
        stop: Ends the iteration, also during a wait.
        interval: Seconds between two polls.
        wait: Waits so many seconds; by default `stop.wait`.
    """
    follower = Follower(path)
    while not stop.is_set():
        yield follower.poll()
        (wait or stop.wait)(interval)


def _added(file: Path, place: _Place) -> Iterator[bytes]:
    """Yield the complete lines after a position and advance it; an incomplete line is left for the next poll."""
    try:
        with file.open("rb") as stream:
            if stream.seek(0, 2) < place.offset:
                place.offset = 0  # the file was truncated and restarted
            stream.seek(place.offset)
            block = stream.read(_BLOCK)
    except OSError:
        return
    whole, newline, _ = block.rpartition(b"\n")
    if newline:
        place.offset += len(whole) + 1
        yield from (line for line in whole.split(b"\n") if line.strip())
    elif len(block) == _BLOCK:
        place.offset += len(block)  # longer than any line: skip it; its rest will be reported as a broken line


def _end_of_lines(file: Path) -> int:
    """Return the end of the last complete line."""
    try:
        with file.open("rb") as stream:
            end = stream.seek(0, 2)
            while end:
                start = max(0, end - 65_536)
                stream.seek(start)
                at = stream.read(end - start).rfind(b"\n")
                if at >= 0:
                    return start + at + 1
                end = start
    except OSError:
        pass
    return 0
