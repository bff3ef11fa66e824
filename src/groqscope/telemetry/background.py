"""A queue of jobs that need not delay a request, such as recording its metrics, and the thread that runs them.

The thread starts a moment after the first job was added, so that it does not compete with the request that added it.
Code that needs the jobs done (a metric collection, `flush`, the end of the process) calls `drain`. The queue is
bounded: when requests end faster than the thread can run their jobs, each of them runs one of the waiting jobs itself.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Final

from groqscope import _fork

_PAUSE_S: Final = 0.05
_MAX_JOBS: Final = 1_000
"""Longest queue; `put` beyond it runs the oldest job itself."""

_FORK_WAIT_S: Final = 1.0
"""How long a fork waits for the job that is running."""

Job = Callable[[], None]


class Worker:
    """A queue of jobs, which must not raise."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._working = threading.RLock()
        # Unlike `Event.set`, its `put` is reentrant, so it may be called during garbage collection.
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._paused = False
        _fork.register(before=self._pause, after_in_parent=self._resume, after_in_child=self._forked)

    def start(self) -> None:
        """Start the thread; if the interpreter is shutting down it cannot start, and `drain` runs the jobs."""
        if self._thread is not None:
            return
        with self._working:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="groqscope", daemon=True)
                with suppress(RuntimeError):
                    thread.start()
                    self._thread = thread

    def put(self, job: Job) -> None:
        """Add a job; if the queue is full, run the oldest one now."""
        self.put_unlocked(job)
        if len(self._jobs) > _MAX_JOBS:
            self._run_one()

    def put_unlocked(self, job: Job) -> None:
        """Add a job without taking a lock."""
        self._jobs.append(job)
        if self._wake.empty():
            self._wake.put(None)

    def drain(self) -> None:
        """Run all jobs in this thread, and wait for the job that the worker thread is running."""
        while self._run_one():
            pass
        with self._working:
            pass

    def _run_one(self) -> bool:
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
            while self._run_one():
                # Release the GIL between jobs.
                time.sleep(0)

    def _pause(self) -> None:
        """Finish the running job before a fork: the child would inherit its locks, with no thread to release them."""
        self._paused = self._working.acquire(timeout=_FORK_WAIT_S)

    def _resume(self) -> None:
        if self._paused:
            self._working.release()

    def _forked(self) -> None:
        """Reset in a child process: the thread does not exist there, and the jobs belong to the parent."""
        self._jobs.clear()
        self._working = threading.RLock()
        self._wake = SimpleQueue()
        self._thread = None


worker: Final = Worker()
"""The worker of this process."""
