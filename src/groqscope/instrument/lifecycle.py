"""Requests in flight: each ends exactly once, and all are ended when the process exits or let go when it forks.

Requests that are open when the process ends are exported too. That must happen before any provider shuts down, whatever
the order in which exit handlers were registered, so it uses the interpreter's earlier hook
(`threading._register_atexit`, as `concurrent.futures` does), which runs when the main thread has finished, before
threads are joined and before `atexit`. If other threads still run, it registers an `atexit` handler, which runs first
and when those threads have finished.
"""

import atexit
import gc
import os
import threading
from abc import ABC, abstractmethod
from typing import Any

from groqscope import _fork
from groqscope._termination import before_termination
from groqscope.telemetry import worker
from groqscope.timeline import Outcome

_open: set["OpenRequest"] = set()
_watching = False
_collecting: int | None = None
"""The thread in which the garbage collector is running."""


class OpenRequest(ABC):
    """A request that is in flight from `opened()` to the first `finish()`; later ones change nothing.

    An interrupt (Ctrl-C, a cancelled task) may come between any two lines. If it comes while the request is being
    ended, the request is let go before the interrupt reaches the caller.
    """

    __slots__ = ("__weakref__", "_ends", "_pid")

    def __init__(self) -> None:
        self._ends: list[object] = []
        """Each call of `finish` appends an object; the one that is first in the list ends the request."""
        self._pid = os.getpid()

    def opened(self) -> None:
        """Note that the request is in flight, so that the exit of the process ends it if nothing else does."""
        _watch_the_process()
        _open.add(self)

    @property
    def open(self) -> bool:
        """Whether the request has not ended."""
        return not self._ends

    def finish(self, outcome: Outcome, error: BaseException | None = None) -> None:
        """End the request, unless it has ended, or began in the process that this one was forked from."""
        if self._ends:
            return
        end = object()
        try:
            self._ends.append(end)
            if self._ends[0] is end:
                _open.discard(self)
                if self._pid == os.getpid():
                    self._settle(outcome, error)
        except BaseException:
            if self._ends and self._ends[0] is end:
                _open.discard(self)
                self._give_up()
            raise

    def abandon(self) -> None:
        """End the request because nobody holds its stream any more.

        During a garbage collection no lock may be taken, so the worker thread does the rest then.
        """
        if _collecting == threading.get_ident():
            worker.put_unlocked(lambda: self.finish("abandoned"))
        else:
            self.finish("abandoned")

    @abstractmethod
    def _settle(self, outcome: Outcome, error: BaseException | None) -> None:
        """Make the record and end the spans; called once."""

    @abstractmethod
    def _give_up(self) -> None:
        """Do the minimum, because `_settle` was interrupted or failed."""

    @abstractmethod
    def disown(self) -> None:
        """Let go of the request in a forked child: the parent exports it."""


def flush() -> None:
    """Wait until the metrics of all requests that have ended are recorded."""
    worker.drain()


def _watch_the_process() -> None:
    global _watching  # noqa: PLW0603 - once per process
    if _watching:
        return
    gc.callbacks.append(_on_collection)
    early: Any = getattr(threading, "_register_atexit", None)
    try:
        if early is not None:
            early(_main_thread_ends)
    except RuntimeError:
        # The interpreter is ending already.
        pass
    atexit.register(_abandon_all)
    before_termination(_abandon_all)
    _fork.register(after_in_child=_forked)
    # Last, so that after an interrupt it is done again; registering twice is harmless.
    _watching = True


def _forked() -> None:
    """Let go, in a forked child, of the requests that its parent has in flight."""
    global _collecting  # noqa: PLW0603 - as below
    for request in _open:
        request.disown()
    _open.clear()
    _collecting = None


def _on_collection(phase: str, _info: dict[str, int]) -> None:
    global _collecting  # noqa: PLW0603 - the collector runs once at a time
    _collecting = threading.get_ident() if phase == "start" else None


def _main_thread_ends() -> None:
    """End open requests. If other threads may still use them, let an `atexit` handler do so, before all others."""
    atexit.unregister(_abandon_all)
    atexit.register(_abandon_all)
    main = threading.main_thread()
    if all(t is main or t.daemon for t in threading.enumerate()):
        _abandon_all()


def _abandon_all() -> None:
    for request in tuple(_open):
        request.finish("abandoned")
    worker.drain()
