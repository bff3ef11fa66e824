"""What can be done after the request is done, its metrics: a short queue that a thread works off, or anybody at once.

The thread begins a moment after the first job came, so that it does not compete with the request that put it there.
Whoever needs the work to be done (a metric collection, `flush`, the end of the process) calls `drain`. The queue is
bounded: where requests end faster than the thread gets its turn, each of them does one of the jobs that wait.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

from groqscope import _fork

_PAUSE_S: Final = 0.05
_ROOM: Final = 1_000
"""Jobs kept; beyond that whoever adds one does the oldest."""

_FORK_WAIT_S: Final = 1.0
"""How long a fork waits for the job under way."""

Job = Callable[[], None]


class Worker:
    """A queue of jobs, which must not raise."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._working = threading.RLock()
        # Its `put` may be called anywhere, in a garbage collection too, which an event's `set` may not.
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._woken = False
        self._thread: threading.Thread | None = None
        self._paused = False
        _fork.register(before=self._pause, after_in_parent=self._resume, after_in_child=self._forked)

    def start(self) -> None:
        """Have the thread ready; where the interpreter is ending there is none, and `drain` does the work."""
        if self._thread is not None:
            return
        with self._working:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="groqscope", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:
                    self._thread = None

    def put(self, job: Job) -> None:
        """Have a job done soon; do the oldest when there are too many."""
        self.put_unlocked(job)
        if len(self._jobs) > _ROOM:
            self._one()

    def put_unlocked(self, job: Job) -> None:
        """Have a job done soon, without taking a lock."""
        self._jobs.append(job)
        if not self._woken:
            self._woken = True
            self._wake.put(None)

    def drain(self) -> None:
        """Do all jobs now, in this thread, and wait for the one that the other thread has begun."""
        while self._one():
            pass
        with self._working:
            pass

    def _one(self) -> bool:
        with self._working:
            try:
                job = self._jobs.popleft()
            except IndexError:
                return False
            job()
            return True

    def _run(self) -> None:
        while True:
            self._wake.get()
            time.sleep(_PAUSE_S)
            self._woken = False
            while self._one():
                # Let go of the interpreter between jobs.
                time.sleep(0)

    def _pause(self) -> None:
        """Let no job be half done at a fork: the child would inherit the locks it holds, and nobody to release them."""
        self._paused = self._working.acquire(timeout=_FORK_WAIT_S)

    def _resume(self) -> None:
        if self._paused:
            self._working.release()

    def _forked(self) -> None:
        """In a child the thread is gone, and the jobs are its parent's."""
        self._jobs.clear()
        self._working = threading.RLock()
        self._wake = SimpleQueue()
        self._woken = False
        self._thread = None


worker: Final = Worker()
"""One for the process."""
