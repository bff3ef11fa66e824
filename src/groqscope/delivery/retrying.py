"""Sends batches in its own thread; what cannot be sent now is kept in a spool on disk.

A batch is sent at once if the endpoint is available and no other batch is being sent; otherwise it is spooled, so that
neither a request waits for the endpoint nor the batch processor's queue overflows. A batch that the endpoint may accept
later is spooled too, and nothing is sent for `Retry-After`, or for a back-off that doubles up to a minute. When the
endpoint responds again the spool is sent, oldest batch first, by the process that holds the spool's lock.

`kill -9` loses the batch being sent, and what the batch processor holds. Sent twice are a batch whose response was
lost, and one whose process was killed between the response and the removal of its file.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from opentelemetry.instrumentation.utils import suppress_instrumentation

from groqscope import _fork
from groqscope._diagnostics import log_failure_once
from groqscope.delivery.sender import Delivered, Delivery, HttpProtocol, OtlpSender, Refused, Unavailable
from groqscope.delivery.spool import Spool, items_of

if TYPE_CHECKING:
    from google.protobuf.message import Message

T = TypeVar("T")

_logger = logging.getLogger("groqscope.store")

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
_NEEDED: Final = ("encodings.idna", "httpcore")
"""Imported before the thread starts: if a process forks while a thread imports a module, its child waits forever for
that module's import lock."""
PATIENCE: Final = 1.0
"""Seconds to wait for a batch that is being sent, so that a short burst is not spooled."""


@dataclass(frozen=True, slots=True)
class Batch(Generic[T]):
    """A batch of spans, or a collection of metrics; encoded only in the form that is needed."""

    data: T
    items: int
    """The number of spans, or 1 for a collection of metrics."""
    protocol: HttpProtocol
    encode: "Callable[[T], Message]"
    encode_line: Callable[[T], bytes | None]

    def payload(self) -> bytes | None:
        """Return it encoded for the endpoint; `None` if that fails."""
        if self.protocol == "http/json":
            return self.line()
        try:
            return self.encode(self.data).SerializeToString()
        except Exception:  # noqa: BLE001 - the sender counts what cannot be encoded as lost
            return None

    def line(self) -> bytes | None:
        """Return it encoded as a line of the store; `None` if that fails."""
        return self.encode_line(self.data)


@dataclass(slots=True)
class Counts:
    """What happened to spans, or to collections of metrics."""

    delivered: int = 0
    spooled: int = 0
    """How many of all were spooled."""
    refused: int = 0
    """Lost: the endpoint refused them for good."""
    rejected: int = 0
    """Lost: the endpoint rejected these parts of delivered batches."""


class _State(Enum):
    """What the thread is doing."""

    WAITING = auto()
    """Waiting for a batch, or for the time to look into the spool. While a batch is sent, `_batch` is set."""
    LOOKING = auto()
    """Looking into the spool."""
    DRAINING = auto()
    """Sending the spool; new batches are added to it meanwhile."""


class _Backoff:
    """How long to send nothing after a failure: twice as long each time, or `Retry-After`, at least the first pause."""

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self.failures = 0
        """Number of consecutive failures."""
        self.until = 0.0
        """Nothing is sent before this time of the monotonic clock."""

    def failed(self, retry_after: float | None) -> None:
        """Start or prolong the back-off."""
        pause = min(self._longest, self._first * 2**self.failures)
        if retry_after is not None:
            # An endpoint may ask for no time at all, or name one that is past, each time.
            pause = max(self._first, retry_after)
        self.failures = min(self.failures + 1, 30)
        self.until = time.monotonic() + pause

    def succeeded(self) -> None:
        """End the back-off."""
        self.failures, self.until = 0, 0.0

    @property
    def over(self) -> bool:
        """Whether the back-off is over."""
        return self.until <= time.monotonic()


class RetryingSender:
    """The thread, the batch being sent and the spool of one endpoint."""

    def __init__(
        self, otlp: OtlpSender, spool: Spool, *, first_pause: float = FIRST_PAUSE, longest_pause: float = LONGEST_PAUSE
    ) -> None:
        self.otlp = otlp
        self.spool = spool
        self.counts = Counts()
        self._pauses = first_pause, longest_pause
        self._begin()
        _fork.register(after_in_child=self.begin_again)

    def start(self) -> None:
        """Start the thread, and send what earlier processes left in the spool."""
        for module in _NEEDED:
            import_module(module)
        with self._changed:
            self._running()

    def submit(self, batch: Batch[Any]) -> None:
        """Accept a batch; when this returns it is being sent, or is in the spool."""
        with self._changed:
            self._wait_for_the_one_before()
            if self._running() and self._is_free():
                self._batch = batch
                self._changed.notify_all()
                return
        self._keep(batch)

    def flush(self, timeout: float) -> bool:
        """Send what can be sent now; return whether nothing is left, neither being sent nor spooled."""
        with self._changed:
            idle = self._changed.wait_for(self._is_idle, timeout)
            return idle and self._look_at is None

    def close(self, timeout: float) -> None:
        """Send what can be sent within the timeout; the rest stays in the spool for the next process."""
        self.flush(timeout)
        with self._changed:
            self._closed = True
            left, self._batch = self._batch, None
            self._changed.notify_all()
        if left is not None:
            # The endpoint may have received it already, but sending twice is better than losing it.
            self._keep(left)

    def begin_again(self) -> None:
        """Let go of the parent's batch and connection, in a child process after a fork."""
        self.spool.begin_again()
        self._begin()

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._batch: Batch[Any] | None = None
        """The batch that is being sent."""
        self._slow: Batch[Any] | None = None
        """A batch for which later ones have waited long enough."""
        self._doing = _State.WAITING
        self._closed = False
        self._backoff = _Backoff(*self._pauses)
        self._look_at: float | None = 0.0
        """When to look into the spool; `None` if nothing is in it."""
        self._thread: threading.Thread | None = None

    def _wait_for_the_one_before(self) -> None:
        """Wait a moment, once per batch, for the batch that is being sent."""
        before = self._batch
        if before is None or before is self._slow or self._backoff.failures:
            return
        if not self._changed.wait_for(lambda: self._batch is not before, PATIENCE):
            self._slow = before

    def _is_free(self) -> bool:
        return self._batch is None and self._doing is not _State.DRAINING and self._backoff.over and not self._closed

    def _is_idle(self) -> bool:
        """Return whether nothing is being sent or about to be sent."""
        busy = self._batch is not None or self._doing is not _State.WAITING
        return self._thread is None or not (busy or self._is_time_to_look())

    def _is_time_to_look(self) -> bool:
        """Return whether the spool may contain something and the back-off is over."""
        return self._look_at is not None and max(self._look_at, self._backoff.until) <= time.monotonic()

    def _running(self) -> bool:
        """Start the thread if needed; return whether it runs: none can be started when the interpreter shuts down."""
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
                except Exception as error:  # noqa: BLE001 - the next batch may succeed
                    log_failure_once(_logger, "groqscope's sender failed and continues", error)
            self.otlp.close()

    def _wait(self) -> bool:
        """Wait for something to do; return `False` after `close`."""
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
            return  # `close` timed out and spooled it
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
            self._doing, self._look_at = _State.LOOKING, None
        try:
            if self.spool.waiting():
                with self.spool.only_one() as alone:
                    if alone:
                        self._doing = _State.DRAINING
                        self._drain()
                    else:
                        # Another process is sending; it may miss what was spooled after it looked.
                        self._look_at = time.monotonic() + self._pauses[0]
        finally:
            with self._changed:
                self._doing = _State.WAITING
                self._changed.notify_all()

    def _drain(self) -> None:
        for path in self.spool.waiting():
            if self._closed:
                return
            try:
                line = path.read_bytes()
            except OSError:
                continue  # it was removed to make room
            delivery = self.otlp.send_line(line)
            self._note(delivery, items_of(path))
            if isinstance(delivery, Unavailable):
                return
            self.spool.remove(path)

    def _note(self, delivery: Delivery, items: int) -> None:
        match delivery:
            case Delivered(rejected, message):
                if self._backoff.failures:
                    _logger.info("%s is available again; groqscope sends what is in the spool.", self.otlp.name)
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
                "%s does not accept telemetry: %s. It is kept in %s until the endpoint is available.",
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

    def _keep(self, batch: Batch[Any]) -> None:
        line = batch.line()
        if line is None:
            self.spool.dropped += batch.items
        elif self.spool.append(line, batch.items):
            self.counts.spooled += batch.items
        with self._changed:
            if self._look_at is None:
                self._look_at = 0.0
            self._changed.notify_all()
