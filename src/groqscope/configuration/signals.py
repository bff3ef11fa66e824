"""SIGTERM, which ends a process without running exit handlers: what has ended is exported first."""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Final

LEAVE_S: Final = 5.0
"""Seconds for exporting before the process ends."""

_hooks: list[Callable[[], object]] = []


def before_termination(hook: Callable[[], object]) -> None:
    """Call `hook` when SIGTERM arrives, before telemetry is exported: to end what is still open."""
    if hook not in _hooks:
        _hooks.append(hook)


def on_sigterm(leave: Callable[[], object]) -> bool:
    """Call `leave` on SIGTERM and then end by it; only where its handler is the default one, and in the main thread.

    Returns:
        Whether the handler was set.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return False

    def work() -> None:
        for hook in (*_hooks, leave):
            with suppress(Exception):  # nothing may keep the process from ending
                hook()

    def handle(number: int, _frame: FrameType | None) -> None:
        # In a thread of its own: the interrupted code may hold the very lock that flushing waits for.
        thread = threading.Thread(target=work, name="groqscope-sigterm", daemon=True)
        thread.start()
        thread.join(LEAVE_S)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    try:
        signal.signal(signal.SIGTERM, handle)
    except ValueError:  # a subinterpreter
        return False
    return True
