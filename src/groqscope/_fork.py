"""Callbacks around `os.fork()`, registered with weak references.

`os.register_at_fork` has no way to unregister, so an object registered there directly would never be freed.
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
    """Call functions around each fork; a method only as long as its object exists.

    As with `os.register_at_fork`, functions are called in reverse order of registration before the fork, and in order
    after it. On platforms without fork nothing is called.
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
    if not isinstance(callback, MethodType):
        return lambda: callback
    # Not `weakref.WeakMethod`: when object and function go in one collection, as at exit, its own callback raises.
    function = callback.__func__
    owner = weakref.ref(callback.__self__, lambda _: registered.pop(number, None))
    return lambda: None if (alive := owner()) is None else MethodType(function, alive)


def _call(references: tuple[_Reference, ...]) -> None:
    for reference in references:
        if (callback := reference()) is not None:
            with suppress(Exception):  # a failure must stop neither the other callbacks nor the fork
                callback()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _call(tuple(_before.values())[::-1]),
        after_in_parent=lambda: _call(tuple(_after_in_parent.values())),
        after_in_child=lambda: _call(tuple(_after_in_child.values())),
    )
