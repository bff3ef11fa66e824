"""Failures of groqscope's own: caught here, logged once per hook, counted, and never the caller's.

Every place where our code runs inside the caller's request is a hook with a name. `HOOKS` lists them, so that the test
which injects a failure at each cannot forget one.
"""

import logging
import traceback
from collections.abc import Callable
from typing import ParamSpec, TypeVar

logger = logging.getLogger("groqscope")

P = ParamSpec("P")
R = TypeVar("R")

HOOKS: set[str] = set()
"""Names of all hooks, filled as they are defined."""
counts: dict[str, int] = {}
"""Failures so far, by hook."""
listeners: list[Callable[[str], None]] = []
"""Told the hook's name at each failure: the metric."""
injected: Callable[[str], None] | None = None
"""Tests set this; it is called at each hook and may raise."""


def hook(name: str) -> Callable[[Callable[P, R]], Callable[P, R | None]]:
    """Make a function a hook: whatever it raises is reported, and `None` is returned instead."""
    HOOKS.add(name)

    def decorate(function: Callable[P, R]) -> Callable[P, R | None]:
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R | None:
            try:
                if injected is not None:
                    injected(name)
                return function(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - the one place where failures of ours end
                report(name, error)
                return None

        guarded.__name__ = getattr(function, "__name__", name)
        guarded.__doc__ = function.__doc__
        return guarded

    return decorate


def report(name: str, error: Exception) -> None:
    """Count a failure; log the first one of each hook."""
    count = counts[name] = counts.get(name, 0) + 1
    if count == 1:
        logger.warning(
            "groqscope could not observe a request (%s: %s); the request itself is not affected. "
            "Further failures at this hook are counted, not logged.",
            name,
            type(error).__name__,
        )
        # Where, not what: the message of an exception may hold what the caller or the server sent.
        logger.debug("%s failed at:\n%s", name, "".join(traceback.format_tb(error.__traceback__)))
    for listener in listeners:
        try:
            listener(name)
        except Exception:  # noqa: BLE001 - a listener's failure must not be the caller's either
            logger.debug("counting a failure failed")
