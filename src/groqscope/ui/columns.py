"""What lists are sorted and searched by, kept for every request in memory so that none has to be unpacked."""

import math
import sys
import threading
from array import array
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, Final, cast

from groqscope.audit import AuditError
from groqscope.audit.fields import find
from groqscope.audit.ids import ids_of
from groqscope.timeline import FAILED, RequestRecord

_NUMBERS: Final = {
    "total": "duration",
    "first-chunk": "ttfc",
    "in": "input_tokens",
    "out": "output_tokens",
    "tokens/s": "throughput",
    "tools": "tool_calls",
    "retries": "retries",
    "cost": "cost",
}
"""Columns of the list that are sorted as numbers, with the name of their field."""
_TEXTS: Final = ("model", "outcome", "service")
TIME: Final = "time"
SORTS: Final = (TIME, "model", "outcome", *_NUMBERS)
"""What a list can be sorted by."""


class Columns:
    """The columns; a request is named by its number, as in `Kept`. Safe between threads."""

    def __init__(self) -> None:
        self._first = 0
        self._starts = array("q")
        self._failed = bytearray()
        self._numbers = {title: (find(name).get, array("d")) for title, name in _NUMBERS.items()}
        self._texts: dict[str, tuple[Callable[[Any], str | None], list[str | None]]] = {
            name: (attrgetter(name), []) for name in _TEXTS
        }
        self._words: list[str] = []
        self._lock = threading.Lock()

    def extend(self, records: Iterable[RequestRecord], first: int) -> None:
        """Add requests, and forget those before a number."""
        with self._lock:
            for record in records:
                self._starts.append(record.start_unix_ns)
                self._failed.append(record.outcome in FAILED)
                for get, numbers in self._numbers.values():
                    value = get(record)
                    numbers.append(math.nan if value is None else value)  # pyright: ignore[reportArgumentType]
                for get, texts in self._texts.values():
                    text = get(record)
                    texts.append(None if text is None else sys.intern(text))
                self._words.append(_words(record))
            gone = first - self._first
            if gone > 0:
                for column in (self._starts, self._failed, self._words):
                    del column[:gone]
                for _, column in (*self._numbers.values(), *self._texts.values()):
                    del column[:gone]
                self._first = first

    def numbers(self) -> range:
        """Return the numbers of all requests in memory."""
        with self._lock:
            return self._all()

    def sort(self, numbers: Iterable[int], by: str, *, descending: bool) -> "array[int]":
        """Return requests sorted by a column, unknown values last in either direction.

        Raises:
            AuditError: there is no such column.
        """
        if by not in SORTS:
            raise AuditError(f"a list is sorted by one of {', '.join(SORTS)}, not by {by[:40]!r}")
        with self._lock:
            first, places = self._first, self._places(numbers)
            if by == TIME:
                known, unknown, column = places, [], self._starts
            elif by in self._numbers:
                column = self._numbers[by][1]
                known = [place for place in places if not math.isnan(column[place])]
                unknown = [place for place in places if math.isnan(column[place])]
            else:
                column = self._texts[by][1]
                known = [place for place in places if column[place] is not None]
                unknown = [place for place in places if column[place] is None]
            if descending:
                known.reverse()  # of equal ones the newest is first
            known.sort(key=cast("Callable[[int], Any]", column.__getitem__), reverse=descending)
        return array("q", [first + place for place in known + unknown])

    def search(self, numbers: Iterable[int], text: str) -> list[int]:
        """Return the requests in which every word of a text occurs, in any case."""
        terms = text.lower().split()
        with self._lock:
            first, words = self._first, self._words
            places = self._places(numbers)
            for term in terms:
                places = [place for place in places if term in words[place]]
        return [first + place for place in places]

    def density(self, numbers: Iterable[int], bins: int) -> tuple[list[int], list[int], tuple[int, int] | None]:
        """Return how many requests began in each part of their time, how many of them failed, and that time."""
        every, failed = [0] * bins, [0] * bins
        with self._lock:
            places = self._places(numbers)
            if not places:
                return every, failed, None
            starts = self._starts
            begun = [starts[place] for place in places]
            first, last = min(begun), max(begun)
            width = max(1, last - first)
            for place, start in zip(places, begun, strict=True):
                where = min(bins - 1, (start - first) * bins // width)
                every[where] += 1
                failed[where] += self._failed[place]
        return every, failed, (first, last)

    def longest(self, numbers: Iterable[int]) -> int | None:
        """Return the longest duration of requests, in nanoseconds."""
        with self._lock:
            durations = self._numbers["total"][1]
            found = max((durations[place] for place in self._places(numbers)), default=None)
        return None if found is None else round(found)

    def values(self, name: str) -> list[str]:
        """Return the models or services that occur."""
        with self._lock:
            return sorted({text for text in self._texts[name][1] if text is not None})

    def _all(self) -> range:
        return range(self._first, self._first + len(self._starts))

    def _places(self, numbers: Iterable[int]) -> list[int]:
        """Return the positions of those requests that are still in memory."""
        first, end = self._first, self._first + len(self._starts)
        if isinstance(numbers, range):
            return list(range(max(numbers.start, first) - first, min(numbers.stop, end) - first))
        return [number - first for number in numbers if first <= number < end]


def _words(record: RequestRecord) -> str:
    """Return the text that a search looks through."""
    words = [record.model, record.outcome, record.error_type, record.service, record.region, *ids_of(record)]
    words += [record.run, record.agent, record.user, record.conversation]
    words += [call.name for call in record.tool_calls] + [tool.type for tool in record.executed_tools]
    return " ".join(word for word in words if word).lower()
