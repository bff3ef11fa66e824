"""SIGTERM ends a process without running exit handlers: first open requests are ended, then telemetry is exported."""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Final

LEAVE_S: Final = 5.0
"""How many seconds the export may take before the process ends."""

_hooks: list[Callable[[], object]] = []


def before_termination(hook: Callable[[], object]) -> None:
    """Call `hook` on SIGTERM before telemetry is exported, for example to end open requests."""
    if hook not in _hooks:
        _hooks.append(hook)


def on_sigterm(leave: Callable[[], object]) -> bool:
    """Call `leave` on SIGTERM, then end the process; return whether that could be arranged.

    Only the main thread can, and only in place of the default handler.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return False

    def work() -> None:
        for hook in (*_hooks, leave):
            with suppress(Exception):  # a failure must not keep the process from ending
                hook()

    def handle(number: int, _frame: FrameType | None) -> None:
        # In its own thread: the interrupted code may hold a lock that flushing needs.
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
