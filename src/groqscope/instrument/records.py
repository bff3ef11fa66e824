"""Hands records to the program: by the answer that they belong to, and to callbacks when requests end."""

import weakref
from collections.abc import Callable
from typing import Any, Protocol

from groqscope.instrument.faults import Observing, hook
from groqscope.timeline import RequestRecord


class Recorded(Observing, Protocol):
    """A request that has a record."""

    @property
    def record(self) -> RequestRecord:
        """The record; as of now while the request runs."""
        ...


_answers: dict[int, tuple[weakref.ref[Any], Recorded]] = {}
_callbacks: list[Callable[[RequestRecord], None]] = []


def remember(answer: Any, request: Recorded) -> None:
    """Let `record_of(answer)` find the request as long as the answer exists. Nothing is stored on the answer."""
    key = id(answer)
    try:
        reference = weakref.ref(answer, lambda _: _answers.pop(key, None))
    except TypeError:
        return
    _answers[key] = (reference, request)


def recall(answer: Any) -> Recorded | None:
    """Return the request that an answer belongs to."""
    found = _answers.get(id(answer))
    return found[1] if found is not None and found[0]() is answer else None


def on_record(callback: Callable[[RequestRecord], None]) -> Callable[[], None]:
    """Call `callback` with the record of every request that ends, in the thread in which it ends.

    Calling the returned function stops this. An exception of the callback is logged and counted, never raised.
    """
    _callbacks.append(callback)

    def remove() -> None:
        if callback in _callbacks:
            _callbacks.remove(callback)

    return remove


def tell(request: Recorded) -> None:
    """Call every callback with the record of a request that has ended."""
    for callback in tuple(_callbacks):
        _call(request, callback)


@hook("on_record")
def _call(request: Recorded, callback: Callable[[RequestRecord], None]) -> None:
    callback(request.record)
