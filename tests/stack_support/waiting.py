"""Waiting for what is on its way."""

import time
from collections.abc import Callable
from typing import Any


def until(what: str, found: Callable[[], Any], *, seconds: float = 60) -> Any:
    """Look until something is there, and return it."""
    end = time.monotonic() + seconds
    while True:
        value = found()
        if value:
            return value
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.2)


def as_many(found: list[Any], count: float) -> list[Any] | None:
    """Return what was found if it is that many: something to wait for."""
    return found if len(found) == count else None
