"""Requests as a table: one field of many requests at once, from which they are counted sooner than one by one.

A column is named by its path in the record: `usage.input_tokens`, or `retries`, which is computed.
"""

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, Final, Protocol

from groqscope.audit.fields import Field
from groqscope.audit.rules import Measured, measure
from groqscope.timeline import RequestRecord

ID_PATHS: Final = ("request_id", "span_id", "response_id")
"""Where the ID of a request is: the first that it has."""


class Table(Protocol):
    """Requests, in some order."""

    def __len__(self) -> int: ...

    def column(self, path: str) -> Sequence[Any]:
        """Return a value of each request."""
        ...

    def measured(self) -> Sequence[Measured]:
        """Return what the rules measure in each."""
        ...

    def values(self, field: Field) -> Sequence[Any]:
        """Return the value of a word of the vocabulary for each."""
        ...


class RecordTable:
    """The table of some records."""

    def __init__(self, records: Sequence[RequestRecord]) -> None:
        self._records = records
        self._known: dict[str, list[Any]] = {}

    def __len__(self) -> int:
        return len(self._records)

    def column(self, path: str) -> Sequence[Any]:
        """Return a value of each request."""
        return self._each(path, attrgetter(path))

    def measured(self) -> Sequence[Measured]:
        """Return what the rules measure in each."""
        return self._each("", measure)

    def values(self, field: Field) -> Sequence[Any]:
        """Return the value of a word of the vocabulary for each."""
        return list(map(field.get, self._records))

    def _each(self, name: str, get: Callable[[RequestRecord], Any]) -> list[Any]:
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = list(map(get, self._records))
        return known


class Some:
    """Some requests of a table, by their places."""

    def __init__(self, table: Table, places: Sequence[int]) -> None:
        self.table, self.places = table, places
        if isinstance(table, Some):
            self.table, self.places = table.table, [table.places[place] for place in places]

    def __len__(self) -> int:
        return len(self.places)

    def column(self, path: str) -> Sequence[Any]:
        """Return a value of each request."""
        return self._of(self.table.column(path))

    def measured(self) -> Sequence[Measured]:
        """Return what the rules measure in each."""
        return self._of(self.table.measured())

    def values(self, field: Field) -> Sequence[Any]:
        """Return the value of a word of the vocabulary for each."""
        return self._of(self.table.values(field))

    def _of(self, column: Sequence[Any]) -> list[Any]:
        return [column[place] for place in self.places]


def split(table: Table, by: Sequence[Any]) -> Iterable[tuple[Any, Table]]:
    """Return a table of the requests with each value of a column, in the order in which the values occur."""
    places: dict[Any, list[int]] = {}
    for place, value in enumerate(by):
        if value in places:
            places[value].append(place)
        else:
            places[value] = [place]
    if len(places) == 1:
        return [(by[0], table)]
    return [(value, Some(table, these)) for value, these in places.items()]


def where(table: Table, holds: Iterable[object]) -> Table:
    """Return a table of the requests for which something holds."""
    places = [place for place, one in enumerate(holds) if one]
    return table if len(places) == len(table) else Some(table, places)


def known(column: Iterable[Any]) -> list[Any]:
    """Return the values that are known."""
    return [value for value in column if value is not None]


def ids(table: Table) -> list[str]:
    """Return the ID by which `groqscope audit ID` finds each request."""
    return [a or b or c or "" for a, b, c in zip(*map(table.column, ID_PATHS), strict=True)]
