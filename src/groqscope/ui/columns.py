"""What lists are made of: the requests in memory at one moment, sorted, searched and counted by their columns."""

from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, Final, cast

from groqscope.audit import AuditError
from groqscope.audit.fields import Field, find
from groqscope.audit.table import Table
from groqscope.timeline import FAILED
from groqscope.ui.kept import Part

_SORTED: Final = {
    "time": "start",
    "model": "model",
    "outcome": "outcome",
    "total": "duration",
    "first-chunk": "ttfc",
    "in": "input_tokens",
    "out": "output_tokens",
    "tokens/s": "throughput",
    "tools": "tool_calls",
    "retries": "retries",
    "cost": "cost",
}
"""What a list can be sorted by, with the name of its field."""
TIME: Final = "time"
_WORDS: Final = ("model", "outcome", "error_type", "service", "region", "run", "agent", "user", "conversation")
IDS: Final = ("request_id", "span_id", "trace_id", "response_id")


class Columns:
    """The requests of some parts, by their numbers."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self._first = parts[0].first if parts else 0

    @property
    def numbers(self) -> range:
        """The numbers of all requests."""
        return range(self._first, self.parts[-1].numbers.stop) if self.parts else range(0)

    def sort(self, numbers: Iterable[int], by: str, *, descending: bool) -> "array[int]":
        """Return requests sorted by a column, unknown values last in either direction.

        Raises:
            AuditError: there is no such column.
        """
        if by not in _SORTED:
            raise AuditError(f"a list is sorted by one of {', '.join(_SORTED)}, not by {by[:40]!r}")
        column, places = self._values(find(_SORTED[by])), self._places(numbers)
        known = [place for place in places if column[place] is not None]
        unknown = [place for place in places if column[place] is None] if len(known) < len(places) else []
        if descending:
            known.reverse()  # of equal ones the newest is first
        known.sort(key=cast("Callable[[int], Any]", column.__getitem__), reverse=descending)
        first = self._first
        return array("q", [first + place for place in chain(known, unknown)])

    def search(self, numbers: Iterable[int], text: str) -> list[int]:
        """Return the requests in which every word of a text occurs, in any case."""
        terms = text.lower().split()
        words = list(chain.from_iterable(_words(part.table()) for part in self.parts))
        places = self._places(numbers)
        for term in terms:
            places = [place for place in places if term in words[place]]
        return [self._first + place for place in places]

    def with_id(self, begins: str) -> list[int]:
        """Return the requests of which one ID begins so."""
        found: set[int] = set()
        for path in IDS:
            column = chain.from_iterable(part.table().column(path) for part in self.parts)
            found.update(place for place, one in enumerate(column, self._first) if one and one.startswith(begins))
        return sorted(found)

    def density(self, numbers: Iterable[int], bins: int) -> tuple[list[int], list[int], tuple[int, int] | None]:
        """Return how many requests began in each part of their time, how many of them failed, and that time."""
        every, failed = [0] * bins, [0] * bins
        span = self.span(numbers)
        if span is None:
            return every, failed, None
        first, last = span
        width = max(1, last - first)
        starts, outcomes = self._column("start_unix_ns"), self._column("outcome")
        for place in self._places(numbers):
            where = min(bins - 1, (starts[place] - first) * bins // width)
            every[where] += 1
            failed[where] += outcomes[place] in FAILED
        return every, failed, span

    def span(self, numbers: Iterable[int]) -> tuple[int, int] | None:
        """Return when the first and the last of some requests began."""
        starts = self._column("start_unix_ns")
        begun = [starts[place] for place in self._places(numbers)]
        return (min(begun), max(begun)) if begun else None

    def longest(self, numbers: Iterable[int]) -> int | None:
        """Return the longest duration of requests, in nanoseconds."""
        durations = self._column("duration_ns")
        return max((durations[place] for place in self._places(numbers)), default=None)

    def nearest(self, moment: int, number: int) -> int:
        """Return how far from a moment, in nanoseconds, so many requests began at most."""
        return sorted(abs(start - moment) for start in self._column("start_unix_ns"))[number - 1]

    def texts(self, path: str) -> list[str]:
        """Return the models or services that occur."""
        return sorted({text for part in self.parts for text in part.table().column(path) if text is not None})

    def _column(self, path: str) -> list[Any]:
        return list(chain.from_iterable(part.table().column(path) for part in self.parts))

    def _values(self, field: Field) -> list[Any]:
        return list(chain.from_iterable(part.table().values(field) for part in self.parts))

    def _places(self, numbers: Iterable[int]) -> list[int]:
        """Return the positions of those requests that are still in memory."""
        first, end = self._first, self.numbers.stop
        if isinstance(numbers, range):
            return list(range(max(numbers.start, first) - first, max(first, min(numbers.stop, end)) - first))
        return [number - first for number in numbers if first <= number < end]


def _words(table: Table) -> list[str]:
    """Return the text of each request that a search looks through."""
    columns = [table.column(path) for path in (*_WORDS, *IDS)]
    lines = [" ".join(filter(None, texts)).lower() for texts in zip(*columns, strict=True)]
    for path, name in (("tool_calls", "name"), ("executed_tools", "type")):
        for place, tools in enumerate(table.column(path)):
            if tools:
                lines[place] += "".join(f" {getattr(tool, name) or ''}" for tool in tools).lower()
    return lines
