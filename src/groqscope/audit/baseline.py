"""The baseline with which a request is compared: medians of all measurements of the rules, by model and streaming."""

import math
import random
from array import array
from collections.abc import Iterator, Sequence
from itertools import chain, compress, filterfalse
from typing import Final

from groqscope.audit.distribution import EXACT_LIMIT, quantile_of_sorted
from groqscope.audit.rules import INDEX, NOT_ALWAYS_KNOWN, USUAL_NEEDS, WIDTH, Measured
from groqscope.audit.table import RecordTable, Table, ids, split
from groqscope.timeline import RequestRecord

Key = tuple[str | None, bool]
"""Model requested, and whether the request was streamed."""
_DURATION: Final = INDEX["duration"]
_COMPLETED: Final = INDEX["completed"]


class Rows:
    """The measurements of similar requests: all of them up to a limit, then a uniform sample of that size."""

    def __init__(self, limit: int = EXACT_LIMIT) -> None:
        self.seen = 0
        self._limit = limit
        self.data: array[float] = array("d")
        self.ids: list[str] = []
        self._random = random.Random(0)  # noqa: S311 - a sample that is the same each time
        self._known: dict[str, float] | None = None

    def add(self, row: Measured, request: str) -> None:
        """Add one row, and the ID of its request."""
        self.seen += 1
        self._known = None
        if len(self.ids) < self._limit:
            self.data.extend(row)
            self.ids.append(request)
            return
        place = self._random.randrange(self.seen)
        if place < self._limit:
            self.data[place * WIDTH : (place + 1) * WIDTH] = array("d", row)
            self.ids[place] = request

    def extend(self, rows: Sequence[Measured], requests: Sequence[str]) -> None:
        """Add several rows, one after the other."""
        room = self._limit - len(self.ids)
        self.seen += min(room, len(rows))
        self._known = None
        self.data.extend(chain.from_iterable(rows[:room]))
        self.ids.extend(requests[:room])
        for row, request in zip(rows[room:], requests[room:], strict=True):
            self.add(row, request)

    def merge(self, other: "Rows") -> None:
        """Add the rows of another sample; rows that it left out still count as seen."""
        if len(self.ids) + len(other) <= self._limit:
            self._known = None
            self.data.extend(other.data)
            self.ids.extend(other.ids)
            self.seen += other.seen
            return
        for row, request in other:
            self.add(tuple(row), request)
        self.seen += other.seen - len(other)

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[tuple["array[float]", str]]:
        for place, request in enumerate(self.ids):
            yield self.data[place * WIDTH : (place + 1) * WIDTH], request

    @property
    def weight(self) -> float:
        """How many requests each row stands for: 1 until rows are left out."""
        return self.seen / len(self.ids) if self.ids else 1.0

    @property
    def medians(self) -> dict[str, float]:
        """Median of each column over completed requests; empty when there are fewer than `USUAL_NEEDS`."""
        if self._known is None:
            self._known = self._computed()
        return self._known

    @medians.setter
    def medians(self, known: dict[str, float]) -> None:
        self._known = known

    def _computed(self) -> dict[str, float]:
        completed = self.data[_COMPLETED::WIDTH]
        if sum(completed) < USUAL_NEEDS:
            return {}
        medians: dict[str, float] = {}
        for name, index in INDEX.items():
            column = compress(self.data[index::WIDTH], completed)
            values = sorted(filterfalse(math.isnan, column) if name in NOT_ALWAYS_KNOWN else column)
            if len(values) >= USUAL_NEEDS:
                medians[name] = quantile_of_sorted(values, 0.5)
        return medians


class Baseline:
    """The usual measurements for each model, streamed and not."""

    def __init__(self, limit: int = EXACT_LIMIT) -> None:
        self.rows: dict[Key, Rows] = {}
        self._limit = limit

    def add(self, record: RequestRecord) -> None:
        """Add one record."""
        self.extend(RecordTable([record]))

    def extend(self, table: Table) -> None:
        """Add requests."""
        for key, these in split(table, list(zip(table.column("model"), table.column("stream"), strict=True))):
            rows = self.rows.get(key)
            if rows is None:
                rows = self.rows[key] = Rows(self._limit)
            rows.extend(these.measured(), ids(these))

    def merge(self, other: "Baseline") -> None:
        """Add the rows of another baseline."""
        for key, rows in other.rows.items():
            self.rows.setdefault(key, Rows(self._limit)).merge(rows)

    def of(self, record: RequestRecord) -> dict[str, float]:
        """Return the medians for requests like this one; empty if there are too few."""
        rows = self.rows.get(key_of(record))
        return rows.medians if rows is not None else {}


def key_of(record: RequestRecord) -> Key:
    """Return the group whose requests a record is compared with."""
    return record.model, record.stream
