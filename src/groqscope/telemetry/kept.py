"""What belongs to an object that may be neither hashable nor ours, such as a provider of logfire's."""

import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """One value for each object, by its identity, for as long as the object exists."""

    def __init__(self) -> None:
        self._values: dict[int, tuple[weakref.ref[Any], T]] = {}

    def of(self, owner: object, make: Callable[[], T]) -> T:
        """Return the value of an object, made at first; each time, if the object does not support weak references."""
        key = id(owner)
        known = self._values.get(key)
        if known is not None and known[0]() is owner:
            return known[1]
        made = make()
        with suppress(TypeError):
            self._values[key] = weakref.ref(owner, lambda _: self._values.pop(key, None)), made
        return made
