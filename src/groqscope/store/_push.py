"""Stored files sent to an endpoint, each line once: an interrupted push goes on where it stopped.

What was sent is written down per endpoint in `push` of groqscope's home. A file is known by its first line, so it may
be renamed, moved, compressed or go on growing in between.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from groqscope.store._directory import home, make_private
from groqscope.store._otlp import spans_of
from groqscope.store._report import ReadReport
from groqscope.store._sender import Delivered, OtlpSender, Refused, Unavailable
from groqscope.store._sources import lines, name_of, sources
from groqscope.store._spool import locked
from groqscope.store._transcode import Signal, signal_of

GIVE_UP_AFTER: Final = 60.0
"""Seconds without success."""
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 15.0
_MISTAKES: Final = range(300, 500)
_ABOUT_THE_DATA: Final = frozenset({400, 413, 422})


@dataclass(slots=True)
class PushReport:
    """What became of the lines; filled while it goes on."""

    read: ReadReport = field(default_factory=ReadReport)
    sent_lines: int = 0
    sent: int = 0
    """Spans, and collections of metrics or log records, that the endpoint took."""
    before: int = 0
    """Lines that an earlier push had sent."""
    rejected: int = 0
    """Parts of lines that the endpoint did not take."""
    refused_lines: int = 0
    """Lines that the endpoint will never take."""
    stopped: str | None = None
    """Why it ended before everything was sent; `None` when nothing is left."""


class _Stopped(Exception):
    """Not everything can be sent now."""


class Push:
    """One push to one endpoint."""

    def __init__(
        self,
        endpoint: str,
        make_sender: Callable[[Signal], OtlpSender],
        *,
        give_up_after: float = GIVE_UP_AFTER,
        wait: Callable[[float], object] = time.sleep,
        on_progress: Callable[[PushReport], object] = lambda _: None,
    ) -> None:
        """Prepare a push.

        Args:
            endpoint: Under this name what was sent is remembered.
            make_sender: Makes the sender of a signal; it is closed at the end.
            give_up_after: Seconds of waiting for an endpoint that is away, without success in between.
            wait: Waits so many seconds.
            on_progress: Called with the report after each line.
        """
        self.report = PushReport()
        self._make_sender = make_sender
        self._senders: dict[Signal, OtlpSender] = {}
        self._give_up_after = give_up_after
        self._wait = wait
        self._on_progress = on_progress
        self._ledger = home() / "push" / f"{hashlib.sha256(endpoint.encode()).hexdigest()[:16]}.json"
        self._done: dict[str, int] = {}

    def run(self, paths: Iterable[Path | str]) -> PushReport:
        """Send what was not sent before; files, directories and `-` as in `read_records`, metrics included.

        Raises:
            OSError: what was sent cannot be written down.
        """
        make_private(self._ledger.parent)
        with locked(self._ledger.with_suffix(".lock")) as alone:
            if not alone:
                self.report.stopped = "another push to this endpoint is running"
                return self.report
            with suppress(OSError, ValueError):
                self._done = json.loads(self._ledger.read_bytes())
            try:
                for source in sources(paths, self.report.read, every_signal=True):
                    for path in source.paths:
                        self._send_file(path)
            except _Stopped as stop:
                self.report.stopped = str(stop)
            finally:
                for sender in self._senders.values():
                    sender.close()
        return self.report

    def _send_file(self, path: Path | None) -> None:
        key = ""
        for number, line, complete in lines(path, self.report.read):
            key = key or hashlib.sha256(line.rstrip(b"\n")).hexdigest()
            if number <= self._done.get(key, 0):
                self.report.before += 1
                continue
            try:
                signal = signal_of(line)
            except (msgspec.DecodeError, RecursionError) as error:
                reason = f"not JSON: {error}" if complete else "the last line is torn or still being written; skipped"
                self.report.read.warn(name_of(path), number, reason)
                if not complete:
                    return
                signal = None
            if signal is not None:
                self._send_line(line, signal, name_of(path), number)
            self._remember(key, number)
            self._on_progress(self.report)

    def _send_line(self, line: bytes, signal: Signal, name: str, number: int) -> None:
        sender = self._senders.get(signal) or self._senders.setdefault(signal, self._make_sender(signal))
        waited, pause = 0.0, _FIRST_PAUSE
        while True:
            match sender.send_line(line):
                case Delivered(rejected, message):
                    self.report.sent_lines += 1
                    self.report.sent += _items(line, signal) - rejected
                    self.report.rejected += rejected
                    if rejected:
                        self.report.read.warn(name, number, f"the endpoint rejected {rejected}: {message}")
                    return
                case Refused(reason, status):
                    if status in _MISTAKES and status not in _ABOUT_THE_DATA:
                        raise _Stopped(f"{sender.endpoint} answered {reason}")
                    self.report.refused_lines += 1
                    self.report.read.warn(name, number, f"{sender.endpoint} refused it: {reason}")
                    return
                case Unavailable(reason, retry_after):
                    seconds = pause if retry_after is None else retry_after
                    if waited + seconds > self._give_up_after:
                        raise _Stopped(f"{sender.endpoint} does not take it: {reason}")
                    self._wait(seconds)
                    waited, pause = waited + seconds, min(2 * pause, _LONGEST_PAUSE)

    def _remember(self, key: str, number: int) -> None:
        self._done[key] = number
        part = self._ledger.with_suffix(".part")
        part.write_text(json.dumps(self._done))
        part.replace(self._ledger)


def _items(line: bytes, signal: Signal) -> int:
    return sum(1 for _ in spans_of(line, lambda _: None)) if signal == "traces" else 1
