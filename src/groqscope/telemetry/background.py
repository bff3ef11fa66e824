"""What can be done after the request is done: a queue that a thread works off, and that anybody can empty at once.

The thread works in small batches, a moment after the first item came, so that it does not compete with the request that
put it there. Whoever needs the work to be done (a metric collection, `flush`, the end of the process) calls `drain`.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from groqscope import _fork

_PAUSE_S: Final = 0.05
_ROOM: Final = 1_000
"""Items kept; beyond that the oldest are worked off by whoever adds one."""

_FORK_WAIT_S: Final = 1.0
"""How long a fork waits for the job under way."""

Job = Callable[[], None]


class Worker:
    """A queue of jobs, which must not raise."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._working = threading.RLock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._paused = False
        _fork.register(before=self._pause, after_in_parent=self._resume, after_in_child=self._forked)

    def put(self, job: Job) -> None:
        """Have a job done soon."""
        self._jobs.append(job)
        if len(self._jobs) > _ROOM:
            self._one()
        if not self._wake.is_set():
            self._wake.set()
            if self._thread is None:
                self._start()

    def later(self, job: Job) -> None:
        """Have a job done with the next one, or when the queue is emptied; for where nothing may be locked."""
        self._jobs.append(job)

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

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="groqscope", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            # The interpreter is ending: `drain` does it.
            self._thread = None

    def _run(self) -> None:
        while True:
            self._wake.wait()
            time.sleep(_PAUSE_S)
            self._wake.clear()
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
        self._wake = threading.Event()
        self._thread = None


worker: Final = Worker()
"""One for the process."""
