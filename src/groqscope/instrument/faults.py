"""Failures of groqscope itself: caught here, logged once per hook, counted, and never raised to the caller.

Every place where our code runs inside the caller's request is a hook with a name. `HOOKS` lists them, so that the test
which injects a failure at each cannot forget one.
"""

import logging
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from groqscope import _diagnostics
from groqscope._diagnostics import log_failure_once
from groqscope.telemetry import Telemetry

logger = logging.getLogger("groqscope")


class Observing(Protocol):
    """The first argument of every hook: part of one `instrument()` call, in whose metrics failures are counted."""

    @property
    def telemetry(self) -> Telemetry:
        """Where its spans and metrics go."""
        ...


O = TypeVar("O", bound=Observing | None)  # noqa: E741 - a type
P = ParamSpec("P")
R = TypeVar("R")

HOOKS: set[str] = set()
"""Names of all hooks, filled as they are defined."""
counts = _diagnostics.failures
"""Failures so far, by hook."""
injected: Callable[[str], None] | None = None
"""Tests set this; it is called at each hook and may raise."""


def hook(name: str) -> Callable[[Callable[Concatenate[O, P], R]], Callable[Concatenate[O, P], R | None]]:
    """Return a decorator that makes a function a hook: an exception is reported, and `None` returned."""
    HOOKS.add(name)

    def decorate(function: Callable[Concatenate[O, P], R]) -> Callable[Concatenate[O, P], R | None]:
        def guarded(observing: O, /, *args: P.args, **kwargs: P.kwargs) -> R | None:
            try:
                if injected is not None:
                    injected(name)
                return function(observing, *args, **kwargs)
            except Exception as error:  # noqa: BLE001 - the one place where failures of ours end
                report(name, error, observing)
                return None

        guarded.__name__ = getattr(function, "__name__", name)
        guarded.__doc__ = function.__doc__
        return guarded

    return decorate


def report(name: str, error: Exception, observing: Observing | None) -> None:
    """Count a failure, here and in the metrics of its `instrument()` call; log the first one of each hook."""
    message = f"groqscope could not observe a request at {name}; the request itself is not affected"
    log_failure_once(logger, message, error, name=name)
    if observing is None:
        return
    try:
        observing.telemetry.metrics.internal_error(name)
    except Exception:  # noqa: BLE001 - a failure to count one must not be the caller's either
        logger.debug("a failure could not be counted")
