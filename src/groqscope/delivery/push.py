"""Sends stored files to an endpoint, each line once: a push that was interrupted continues where it stopped.

The directory `push` in groqscope's home records per endpoint what was sent, after each accepted request. A file is
identified by its first line, so it may be renamed, moved, compressed or extended between two pushes. A line is sent
twice only if the process dies, or the response is lost, between acceptance and record; its spans then have the same
ids.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from groqscope.delivery.canonical import canonical_form, is_canonical
from groqscope.delivery.sender import Delivered, Delivery, OtlpSender, Refused, Unavailable
from groqscope.delivery.transcode import Signal, key_of, signal_of
from groqscope.store.directory import home, make_private
from groqscope.store.locks import locked
from groqscope.store.otlp import spans_of
from groqscope.store.report import ReadReport, SeenIds
from groqscope.store.sources import name_of, read_documents, sources

GIVE_UP_AFTER: Final = 60.0
"""Seconds without success after which a push gives up."""
BATCH_BYTES: Final = 1024 * 1024
"""Lines are merged into one request up to this size: a quiet program's store has one line per request."""
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 15.0
_ABOUT_THE_DATA: Final = frozenset({None, 400, 413, 422})
"""HTTP statuses that blame the data, not the address or the credentials."""


@dataclass(slots=True)
class PushReport:
    """What happened to the lines, updated during the push."""

    read: ReadReport = field(default_factory=ReadReport)
    sent_lines: int = 0
    sent: int = 0
    """Spans, and collections of metrics or log records, that the endpoint accepted."""
    before: int = 0
    """Lines that an earlier push has sent."""
    repeats: int = 0
    """Spans omitted because this push has sent them already."""
    rejected: int = 0
    """Spans, data points or log records that the endpoint rejected."""
    refused_lines: int = 0
    """Lines that the endpoint refused for good."""
    stopped: str | None = None
    """Why the push ended before everything was sent; `None` if nothing is left."""


@dataclass(slots=True)
class _Batch:
    """Lines of one file and one signal that are sent in one request."""

    key: str
    """Identifies the file: a hash of its first line."""
    name: str
    signal: Signal
    lines: list[bytes] = field(default_factory=list[bytes])
    numbers: list[int] = field(default_factory=list[int])
    size: int = 0
    last: int = 0
    """The last line that is done once these are sent."""
    repaired: bool = False
    """Whether damaged parts were removed already."""

    def add(self, line: bytes, number: int) -> None:
        self.lines.append(line)
        self.numbers.append(number)
        self.last = number
        self.size += len(line)

    def line(self) -> bytes:
        """Return the lines merged into one."""
        if len(self.lines) == 1:
            return self.lines[0]
        key = key_of(self.signal)
        entries: list[Any] = []
        for line in self.lines:
            entries.extend(_decode(line).get(key) or ())
        return msgspec.json.encode({key: entries})

    def items(self) -> int:
        if self.signal != "traces":
            return len(self.lines)
        return sum(1 for line in self.lines for _ in spans_of(line, lambda _: None))


_decode: Final = msgspec.json.Decoder(dict[str, list[msgspec.Raw]]).decode


class _Stopped(Exception):
    """Raised when the rest cannot be sent now."""


class Push:
    """One push to one endpoint."""

    def __init__(
        self,
        endpoint: str,
        make_sender: Callable[[Signal], OtlpSender],
        *,
        again: bool = False,
        batch_bytes: int = BATCH_BYTES,
        give_up_after: float = GIVE_UP_AFTER,
        wait: Callable[[float], object] = time.sleep,
        on_progress: Callable[[PushReport], object] = lambda _: None,
    ) -> None:
        """Prepare a push.

        Args:
            endpoint: The name under which the push records what was sent.
            make_sender: Returns the sender of a signal, which is closed at the end.
            again: Also send what was sent to this endpoint before.
            batch_bytes: Lines are merged into one request up to this size.
            give_up_after: Seconds to wait for an unavailable endpoint. One that has never responded is not waited for,
                since its address is probably wrong.
            wait: Waits a number of seconds.
            on_progress: Called with the report after each request.
        """
        self.report = PushReport()
        self._make_sender = make_sender
        self._senders: dict[Signal, OtlpSender] = {}
        self._again = again
        self._batch_bytes = batch_bytes
        self._give_up_after = give_up_after
        self._wait = wait
        self._on_progress = on_progress
        self._reached = False
        self._seen = SeenIds()
        self._ledger = home() / "push" / f"{hashlib.sha256(endpoint.encode()).hexdigest()[:16]}.json"
        self._done: dict[str, int] = {}

    def run(self, paths: Iterable[Path | str]) -> PushReport:
        """Send what was not sent before: files, directories and `-` as in `read_records`, but metrics too.

        Raises:
            OSError: the record of what was sent cannot be written.
        """
        make_private(self._ledger.parent)
        with locked(self._ledger.with_suffix(".lock")) as alone:
            if not alone:
                self.report.stopped = "another push to this endpoint is running"
                return self.report
            if not self._again:
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
        key, batch = "", None
        for number, line, complete in read_documents(path, self.report.read):
            key = key or hashlib.sha256(line.rstrip(b"\n")).hexdigest()
            if number <= self._done.get(key, 0):
                self.report.before += 1
                continue
            for signal, canonical in self._canonical(line, name_of(path), number, complete=complete):
                if batch is not None and (batch.signal != signal or batch.size + len(canonical) > self._batch_bytes):
                    self._send(batch)
                    batch = None
                batch = batch or _Batch(key, name_of(path), signal)
                unsent = self._unsent(canonical) if signal == "traces" else canonical
                batch.last = number
                if unsent is not None:
                    batch.add(unsent, number)
        if batch is not None:
            self._send(batch)

    def _unsent(self, line: bytes) -> bytes | None:
        """Return a line without the spans that this push has sent already, for example from another file.

        `None` when nothing is left of it.
        """
        ids = [(str(span.trace_id).lower(), str(span.span_id).lower()) for span, _ in spans_of(line, lambda _: None)]
        new = [self._seen.add(*pair) for pair in ids]
        if all(new):
            return line
        self.report.repeats += len(new) - sum(new)
        if not any(new):
            return None
        document = msgspec.json.decode(line)
        keep = iter(new)
        for resource_spans in document.get("resourceSpans") or ():
            for scope_spans in resource_spans.get("scopeSpans") or ():
                scope_spans["spans"] = [span for span in scope_spans.get("spans") or () if next(keep, True)]
        return msgspec.json.encode(document)

    def _canonical(self, document: bytes, name: str, number: int, *, complete: bool) -> Iterator[tuple[Signal, bytes]]:
        """Yield a document as lines of OTLP JSON with their signals; nothing, with a warning, if it has none."""
        warn = partial(self.report.read.warn, name, number)
        if not complete:
            warn("the last line is incomplete or still being written")
            return
        with suppress(msgspec.DecodeError, RecursionError):
            signal = signal_of(document)
            if signal is not None and (signal != "traces" or is_canonical(document)):
                yield signal, document
                return
        try:
            yield from canonical_form(document, warn)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            warn(f"not JSON, not sent: {error}")

    def _send(self, batch: _Batch) -> None:
        if not batch.lines:
            self._remember(batch.key, batch.last)
            return
        match self._delivery(batch):
            case Delivered(rejected, message):
                self.report.sent_lines += len(batch.lines)
                self.report.sent += batch.items() - rejected
                self.report.rejected += rejected
                if rejected:
                    sentence = f"the endpoint rejected {rejected}: {message or 'no reason given'}"
                    self.report.read.warn(batch.name, batch.numbers[0], sentence)
            case Refused(_, None) if len(batch.lines) == 1 and (repaired := self._repaired(batch)) is not None:
                self._send(repaired)
                return
            case Refused(reason) if len(batch.lines) == 1:
                self.report.refused_lines += 1
                self.report.read.warn(batch.name, batch.numbers[0], f"the endpoint refused the line: {reason}")
            case _:
                # Send the lines one by one, so that the bad one does not fail the others.
                for line, number in zip(batch.lines, batch.numbers, strict=True):
                    alone = _Batch(batch.key, batch.name, batch.signal)
                    alone.add(line, number)
                    self._send(alone)
                return
        self._remember(batch.key, batch.last)
        self._on_progress(self.report)

    def _repaired(self, batch: _Batch) -> _Batch | None:
        """Return a batch of one line without its damaged parts; `None` if it has none."""
        if batch.signal != "traces" or batch.repaired:
            return None
        (number,) = batch.numbers
        repaired = _Batch(batch.key, batch.name, batch.signal, repaired=True)
        for _, line in canonical_form(batch.lines[0], partial(self.report.read.warn, batch.name, number)):
            repaired.add(line, number)
        repaired.last = batch.last
        return repaired

    def _delivery(self, batch: _Batch) -> Delivery:
        """Send a batch, with retries, until the endpoint accepts or refuses the data."""
        sender = self._senders.get(batch.signal) or self._senders.setdefault(
            batch.signal, self._make_sender(batch.signal)
        )
        body = batch.line()
        waited, pause = 0.0, _FIRST_PAUSE
        while True:
            delivery = sender.send_line(body)
            if isinstance(delivery, Unavailable):
                if delivery.status is None and not self._reached:
                    raise _Stopped(f"the endpoint cannot be reached ({delivery.reason})")
                # An endpoint may ask for no time at all, each time: then this would never end.
                seconds = pause if delivery.retry_after is None else max(_FIRST_PAUSE, delivery.retry_after)
                if waited + seconds > self._give_up_after:
                    raise _Stopped(f"the endpoint accepts no more now: {delivery.reason}")
                self._reached = True
                self._wait(seconds)
                waited, pause = waited + seconds, min(2 * pause, _LONGEST_PAUSE)
                continue
            if isinstance(delivery, Refused) and delivery.status not in _ABOUT_THE_DATA:
                raise _Stopped(f"the endpoint answered {delivery.reason}")
            self._reached = True
            return delivery

    def _remember(self, key: str, number: int) -> None:
        self._done[key] = number
        part = self._ledger.with_suffix(".part")
        part.write_text(json.dumps(self._done))
        part.replace(self._ledger)
