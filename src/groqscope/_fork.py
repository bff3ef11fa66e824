"""What has to be done around `os.fork()`: one registration with Python, from which what is gone takes itself off.

Python never forgets what is registered with `os.register_at_fork`, so an object registered there would live for ever.
"""

import itertools
import os
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import MethodType
from typing import Final

Callback = Callable[[], object]
_Reference = Callable[[], Callback | None]

_numbers = itertools.count()
_before: Final[dict[int, _Reference]] = {}
_after_in_parent: Final[dict[int, _Reference]] = {}
_after_in_child: Final[dict[int, _Reference]] = {}


def register(
    *, before: Callback | None = None, after_in_parent: Callback | None = None, after_in_child: Callback | None = None
) -> None:
    """Have functions called around each fork; a method only as long as its object is there.

    As with `os.register_at_fork`, what was registered last is called first before the fork, and last after it. Where
    processes cannot fork, none is called.
    """
    number = next(_numbers)
    for callback, registered in (
        (before, _before),
        (after_in_parent, _after_in_parent),
        (after_in_child, _after_in_child),
    ):
        if callback is not None:
            registered[number] = _reference(callback, registered, number)


def _reference(callback: Callback, registered: dict[int, _Reference], number: int) -> _Reference:
    if isinstance(callback, MethodType):
        return weakref.WeakMethod(callback, lambda _: registered.pop(number, None))
    return lambda: callback


def _call(references: tuple[_Reference, ...]) -> None:
    for reference in references:
        if (callback := reference()) is not None:
            with suppress(Exception):  # the other callbacks are due all the same, and so is the fork
                callback()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _call(tuple(_before.values())[::-1]),
        after_in_parent=lambda: _call(tuple(_after_in_parent.values())),
        after_in_child=lambda: _call(tuple(_after_in_child.values())),
    )
