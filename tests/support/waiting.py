"""Waiting for what a thread, a process or a service does."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def wait_for(condition: Callable[[], T | None], what: str = "it", *, seconds: float = 60.0) -> T:
    """Return the condition's value as soon as it is true; the time is only for the case that it never is.

    Raises:
        AssertionError: not within so many seconds; the message says what was waited for.
    """
    end, pause = time.monotonic() + seconds, 0.01
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(pause)
        pause = min(2 * pause, 0.2)
    return value


def as_many(found: list[Any], count: float) -> list[Any] | None:
    """Return what was found if it is that many: something to wait for."""
    return found if len(found) == count else None
