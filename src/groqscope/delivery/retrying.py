"""Sends batches in a thread of its own; what cannot be sent now waits on disk.

A batch handed over goes out at once when the endpoint is well and nothing else is on its way; otherwise it is spooled,
so that the request path never waits for an endpoint, nor does the batch processor's queue run over. A batch that the
endpoint may take later is spooled too, and the endpoint is left alone for `Retry-After`, or for a pause that doubles up
to a minute. When it answers again the spool is sent, oldest first, by whichever process holds the spool's lock.

Lost by `kill -9`: the batch on its way at that moment, and what the batch processor still holds. Sent twice: a batch
whose answer was lost, and one whose process was killed between the answer and the removal of its file.
"""

import logging
import threading
import time
from dataclasses import dataclass
from enum import Enum, auto
from importlib import import_module
from typing import Final, Protocol

from opentelemetry.instrumentation.utils import suppress_instrumentation

from groqscope import _fork
from groqscope._diagnostics import log_failure_once
from groqscope.delivery.sender import Delivered, Delivery, OtlpSender, Refused, Unavailable
from groqscope.delivery.spool import Spool, items_of

_logger = logging.getLogger("groqscope.store")

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
_NEEDED: Final = ("encodings.idna", "httpcore")
"""Imported before the thread starts: where a process forks while one of its threads imports, its children wait for that
module forever."""
PATIENCE: Final = 1.0
"""Seconds for which batches wait for one on its way, so that a burst does not go by way of the disk."""


class Batch(Protocol):
    """Something to send; encoded when it is known how."""

    @property
    def items(self) -> int:
        """How many spans it holds, or 1 for a collection of metrics."""
        ...

    def payload(self) -> bytes | None:
        """Encode it as the endpoint wants it; `None` when that cannot be done."""
        ...

    def line(self) -> bytes | None:
        """Encode it as a line of the store; `None` when that cannot be done."""
        ...


@dataclass(slots=True)
class Counts:
    """What became of spans, or of collections of metrics."""

    delivered: int = 0
    spooled: int = 0
    """Of all: how many went by way of the disk."""
    refused: int = 0
    """The endpoint will never take them; lost."""
    rejected: int = 0
    """Parts of delivered batches that the endpoint did not take; lost."""


class _Doing(Enum):
    """What the thread does."""

    WAITING = auto()
    """For a batch, or for the time to look into the spool; sending a batch counts as `_batch`."""
    LOOKING = auto()
    """Into the spool."""
    DRAINING = auto()
    """Sending what is in the spool; what is new meanwhile goes behind."""


class _Backoff:
    """How long the endpoint is left alone after failures: as it asks, else twice as long each time."""

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self.failures = 0
        """In a row."""
        self.until = 0.0
        """Before this, by the monotonic clock, nothing is sent."""

    def failed(self, retry_after: float | None) -> None:
        """Leave the endpoint alone for a while."""
        pause = min(self._longest, self._first * 2**self.failures) if retry_after is None else retry_after
        self.failures = min(self.failures + 1, 30)
        self.until = time.monotonic() + pause

    def succeeded(self) -> None:
        """Leave it alone no longer."""
        self.failures, self.until = 0, 0.0

    @property
    def over(self) -> bool:
        """Whether something may be sent now."""
        return self.until <= time.monotonic()


class RetryingSender:
    """One endpoint's thread, its batch on the way and its spool."""

    def __init__(
        self,
        otlp: OtlpSender,
        spool: Spool,
        *,
        first_pause: float = FIRST_PAUSE,
        longest_pause: float = LONGEST_PAUSE,
    ) -> None:
        self.otlp = otlp
        self.spool = spool
        self.counts = Counts()
        self._pauses = first_pause, longest_pause
        self._begin()
        _fork.register(after_in_child=self.begin_again)

    def start(self) -> None:
        """Start the thread now, while threads can be started, and send what earlier processes left."""
        for module in _NEEDED:
            import_module(module)
        with self._changed:
            self._running()

    def submit(self, batch: Batch) -> None:
        """Take a batch over; returns when it is on its way or on disk."""
        with self._changed:
            self._wait_for_the_one_before()
            if self._running() and self._is_free():
                self._batch = batch
                self._changed.notify_all()
                return
        self._keep(batch)

    def flush(self, timeout: float) -> bool:
        """Send what can be sent now; whether nothing is left, on its way or on disk."""
        with self._changed:
            idle = self._changed.wait_for(self._is_idle, timeout)
            return idle and self._look_at is None

    def close(self, timeout: float) -> None:
        """Send what can be sent within the time; the rest waits on disk for the next process."""
        self.flush(timeout)
        with self._changed:
            self._closed = True
            left, self._batch = self._batch, None
            self._changed.notify_all()
        if left is not None:
            # The endpoint may have it already; sent twice is better than lost.
            self._keep(left)

    def begin_again(self) -> None:
        """Leave the parent's batch and connection to the parent: for a child process after a fork."""
        self.spool.begin_again()
        self._begin()

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._batch: Batch | None = None
        """On its way."""
        self._slow: Batch | None = None
        """One for which others have waited long enough."""
        self._doing = _Doing.WAITING
        self._closed = False
        self._backoff = _Backoff(*self._pauses)
        self._look_at: float | None = 0.0
        """When to look into the spool; `None` when nothing waits there."""
        self._thread: threading.Thread | None = None

    def _wait_for_the_one_before(self) -> None:
        """Give a batch on its way a moment, once."""
        before = self._batch
        if before is None or before is self._slow or self._backoff.failures:
            return
        if not self._changed.wait_for(lambda: self._batch is not before, PATIENCE):
            self._slow = before

    def _is_free(self) -> bool:
        return self._batch is None and self._doing is not _Doing.DRAINING and self._backoff.over and not self._closed

    def _is_idle(self) -> bool:
        """Whether nothing happens now, and nothing is about to."""
        busy = self._batch is not None or self._doing is not _Doing.WAITING
        return self._thread is None or not (busy or self._is_time_to_look())

    def _is_time_to_look(self) -> bool:
        """Whether something may wait in the spool, and the endpoint may have it now."""
        return self._look_at is not None and max(self._look_at, self._backoff.until) <= time.monotonic()

    def _running(self) -> bool:
        """Whether the thread runs; it is started here, which cannot be done when the interpreter is ending."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="groqscope-sender", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:
                self._thread = None
        return self._thread is not None

    def _work(self) -> None:
        with suppress_instrumentation():
            while self._wait():
                try:
                    self._send_batch()
                    self._send_spooled()
                except Exception as error:  # noqa: BLE001 - the next batch may fare better
                    log_failure_once(_logger, "groqscope's sender failed and goes on", error)
            self.otlp.close()

    def _wait(self) -> bool:
        """Wait for something to do; `False` when it is over."""
        with self._changed:
            while not self._closed:
                if self._batch is not None:
                    return True
                if self._is_time_to_look():
                    return True
                self._changed.wait(
                    None if self._look_at is None else max(self._look_at, self._backoff.until) - time.monotonic()
                )
            return False

    def _send_batch(self) -> None:
        batch = self._batch
        if batch is None:
            return
        payload = batch.payload()
        delivery = Refused("it cannot be encoded") if payload is None else self.otlp.send(payload)
        if self._batch is not batch:
            return  # `close` lost patience and put it on disk
        self._note(delivery, batch.items)
        if isinstance(delivery, Unavailable):
            self._keep(batch)
        with self._changed:
            if self._batch is batch:
                self._batch = None
            self._changed.notify_all()

    def _send_spooled(self) -> None:
        with self._changed:
            if self._closed or not self._is_time_to_look():
                return
            self._doing, self._look_at = _Doing.LOOKING, None
        try:
            if self.spool.waiting():
                with self.spool.only_one() as alone:
                    if alone:
                        self._doing = _Doing.DRAINING
                        self._drain()
                    else:
                        # Another process sends; it may overlook what came after it looked.
                        self._look_at = time.monotonic() + self._pauses[0]
        finally:
            with self._changed:
                self._doing = _Doing.WAITING
                self._changed.notify_all()

    def _drain(self) -> None:
        for path in self.spool.waiting():
            if self._closed:
                return
            try:
                line = path.read_bytes()
            except OSError:
                continue  # somebody made room
            delivery = self.otlp.send_line(line)
            self._note(delivery, items_of(path))
            if isinstance(delivery, Unavailable):
                return
            self.spool.remove(path)

    def _note(self, delivery: Delivery, items: int) -> None:
        match delivery:
            case Delivered(rejected, message):
                if self._backoff.failures:
                    _logger.info("%s is back; groqscope sends what waited.", self.otlp.name)
                    self._look_at = 0.0
                self._backoff.succeeded()
                self.counts.delivered += items - rejected
                self._lost("rejected", rejected, message)
            case Refused(reason):
                self._lost("refused", items, reason)
            case Unavailable(reason, retry_after):
                self._pause(reason, retry_after)

    def _pause(self, reason: str, retry_after: float | None) -> None:
        if not self._backoff.failures:
            _logger.warning(
                "%s does not take telemetry: %s. It waits in %s until the endpoint is back.",
                self.otlp.name,
                reason,
                self.spool.directory,
            )
        self._backoff.failed(retry_after)
        self._look_at = 0.0

    def _lost(self, what: str, items: int, reason: str) -> None:
        if not items:
            return
        before = getattr(self.counts, what)
        setattr(self.counts, what, before + items)
        if not before:
            _logger.warning("%s %s telemetry for good: %s. It is lost.", self.otlp.name, what, reason)

    def _keep(self, batch: Batch) -> None:
        line = batch.line()
        if line is None:
            self.spool.dropped += batch.items
        elif self.spool.append(line, batch.items):
            self.counts.spooled += batch.items
        with self._changed:
            if self._look_at is None:
                self._look_at = 0.0
            self._changed.notify_all()
