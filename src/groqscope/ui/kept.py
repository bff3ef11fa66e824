"""Requests at hand, packed field by field: the newest of them, as far as there is room.

The values of one field of requests that arrived one after the other are packed together. They are much alike, so that
they take little room, and a question about one field opens only that. What is packed lies in temporary files, so that
the memory of the process hardly grows. Each request has a number, in the order in which they arrived. There are two
limits: the number of requests, and the bytes of those that are packed.
"""

import errno
import heapq
import tempfile
import threading
import weakref
import zlib
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any, Final, get_type_hints

import msgspec

from groqscope.audit.fields import Field
from groqscope.audit.rules import Measured
from groqscope.audit.table import RecordTable, Table
from groqscope.timeline import Phases, RateLimits, RequestRecord, Usage

ROOM: Final = 128 * 1024 * 1024
"""Bytes of packed requests at most."""
_FILE: Final = 8 * 1024 * 1024
"""Bytes in a file; with the next ones another is begun."""
_TOGETHER: Final = 250
"""Requests that are packed together."""
_PLAIN: Final = 64
"""Bytes for which a value counts that cannot be packed."""
_LEVEL: Final = 1
_PARTS: Final[dict[str, type]] = {"phases": Phases, "usage": Usage, "rate_limits": RateLimits}
"""Fields of a record that have fields of their own, each of which is a column."""
_COMPUTED: Final[dict[str, Any]] = {"retries": int, "tpot": float | None, "cacheable_tokens": int | None}
"""Columns beside those of the record, because computing them takes long or opens too much."""
_MEASURED: Final = "measured"
_THROUGHPUT: Final = "output_token_throughput"


def _paths() -> Iterator[tuple[str, Any]]:
    for name, hint in get_type_hints(RequestRecord).items():
        if name in _PARTS:
            for inner, kind in get_type_hints(_PARTS[name]).items():
                yield f"{name}.{inner}", kind
        else:
            yield name, hint


_PATHS: Final = dict(_paths())
_DECODE: Final = {path: msgspec.msgpack.Decoder(list[hint]).decode for path, hint in ({**_PATHS, **_COMPUTED}).items()}
_PLACES: Final = {path: place for place, path in enumerate((*_DECODE, _MEASURED))}
_decode_measured: Final = msgspec.msgpack.Decoder(list[list[int | float]]).decode
_encode: Final = msgspec.msgpack.Encoder().encode
_OWN: Final = tuple(field.name for field in fields(RequestRecord) if field.name not in _PARTS)
_INNER: Final = {name: tuple(field.name for field in fields(kind)) for name, kind in _PARTS.items()}


class _Bytes:
    """Packed columns in memory."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, start: int, end: int) -> bytes:
        """Return a part of them."""
        return self._content[start:end]


class _File:
    """Packed columns in a temporary file that has no name, and is gone with the last of what is in it."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - open as long as something in it is needed
        weakref.finalize(self, self._file.close)
        self._lock = threading.Lock()
        self.size = 0

    def add(self, content: bytes) -> int:
        """Write at the end, and return where it begins.

        Raises:
            OSError: the disk is full, for example.
        """
        with self._lock:
            begin = self._file.seek(self.size)
            if self._file.write(content) != len(content):
                raise OSError(errno.ENOSPC, "the disk is full")
            self.size += len(content)
            return begin

    def read(self, start: int, end: int) -> bytes:
        """Return a part of it."""
        with self._lock:
            self._file.seek(start)
            return self._file.read(end - start)


class Packed:
    """Requests as a table whose columns are packed; those with one value everywhere are just that value."""

    def __init__(self, records: Sequence[RequestRecord]) -> None:
        table = RecordTable(records)
        self._number = len(records)
        self._same: dict[str, Any] = {}
        self._unpacked: dict[str, Sequence[Any]] = {}
        self._ends = array("I", [0])
        content = bytearray()
        for path in _DECODE:
            content += self._pack(path, table.column(path))
            self._ends.append(len(content))
        content += self._pack(_MEASURED, list(zip(*table.measured(), strict=True)))
        self._ends.append(len(content))
        self._begin = 0
        self._content: _Bytes | _File = _Bytes(bytes(content))
        self.size = len(content) + _PLAIN * len(self._unpacked) * self._number
        """About how many bytes it takes."""

    def move_to(self, file: _File) -> None:
        """Move what is packed to a file.

        Raises:
            OSError: the disk is full, for example.
        """
        self._begin = file.add(self._content.read(0, self._ends[-1]))
        self._content = file

    def __len__(self) -> int:
        return self._number

    def column(self, path: str) -> Sequence[Any]:
        """Return a value of each request."""
        if path == _THROUGHPUT:
            return [1 / tpot if tpot else None for tpot in self.column("tpot")]
        if path in self._same:
            return [self._same[path]] * self._number
        return self._opened(path, _DECODE[path])

    def measured(self) -> Sequence[Measured]:
        """Return what the rules measure in each."""
        return list(zip(*self._opened(_MEASURED, _decode_measured), strict=True))

    def values(self, field: Field) -> Sequence[Any]:
        """Return the value of a word of the vocabulary for each."""
        return Opened(self).values(field)

    def _opened(self, path: str, decode: Callable[[bytes], Sequence[Any]]) -> Sequence[Any]:
        if path in self._unpacked:
            return self._unpacked[path]
        place = _PLACES[path]
        packed = self._content.read(self._begin + self._ends[place], self._begin + self._ends[place + 1])
        return decode(zlib.decompress(packed))

    def _pack(self, path: str, values: Sequence[Any]) -> bytes:
        first = values[0]
        plain = not isinstance(first, tuple) or not first
        if plain and values.count(first) == len(values) and len(set(map(type, values))) == 1:  # 1 and 1.0 are equal
            self._same[path] = first
            return b""
        try:
            return zlib.compress(_encode(values), _LEVEL)
        except (UnicodeEncodeError, OverflowError):  # a text that is no UTF-8, or a number of more than 64 bits
            self._unpacked[path] = values
            return b""


class Opened:
    """A table whose columns are opened when they are first asked for, and stay so."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._columns: dict[str, Sequence[Any]] = {}
        self._values: dict[str, Sequence[Any]] = {}
        self._measured: Sequence[Measured] | None = None

    def __len__(self) -> int:
        return len(self._table)

    def column(self, path: str) -> Sequence[Any]:
        """Return a value of each request."""
        known = self._columns.get(path)
        if known is None:
            known = self._columns[path] = self._table.column(path)
        return known

    def measured(self) -> Sequence[Measured]:
        """Return what the rules measure in each."""
        if self._measured is None:
            self._measured = self._table.measured()
        return self._measured

    def values(self, field: Field) -> Sequence[Any]:
        """Return the value of a word of the vocabulary for each."""
        if field.path is not None:
            return self.column(field.path)
        known = self._values.get(field.name)
        if known is None:
            known = self._values[field.name] = [field.get(row) for row in self.rows(range(len(self)))]
        return known

    def rows(self, places: Iterable[int]) -> Iterator[Any]:
        """Yield the requests at some places: one object that has the attributes of each record in turn."""
        row = _Row(self.column)
        for row.place in places:
            yield row


class _Columns(dict[str, Sequence[Any]]):
    """Columns by the names of their attributes."""

    def __init__(self, column: Callable[[str], Sequence[Any]], prefix: str) -> None:
        super().__init__()
        self._column, self._prefix = column, prefix

    def __missing__(self, name: str) -> Sequence[Any]:
        found = self[name] = self._column(self._prefix + name)
        return found


class _Row:
    """A request of a table: its attributes are looked up in the columns."""

    __slots__ = ("_columns", "phases", "place", "rate_limits", "usage")

    def __init__(self, column: Callable[[str], Sequence[Any]]) -> None:
        self.place = 0
        self._columns = _Columns(column, "")
        self.phases = _PhasesOfRow(self, _Columns(column, "phases."))
        self.usage = _PartOfRow(self, _Columns(column, "usage."))
        self.rate_limits = _PartOfRow(self, _Columns(column, "rate_limits."))

    def __getattr__(self, name: str) -> Any:
        return self._columns[name][self.place]


class _PartOfRow:
    """The usage of such a request, for example."""

    __slots__ = ("_columns", "_row")

    def __init__(self, row: _Row, columns: _Columns) -> None:
        self._row, self._columns = row, columns

    def __getattr__(self, name: str) -> Any:
        return self._columns[name][self._row.place]


class _PhasesOfRow(_PartOfRow):
    __slots__ = ()
    items, total, wait = Phases.items, Phases.total, Phases.wait


for _name, _member in vars(RequestRecord).items():
    if isinstance(_member, property) and _name not in _COMPUTED:
        setattr(_Row, _name, _member)  # what is computed of a record is computed of it in the same way


@dataclass(frozen=True, slots=True)
class Part:
    """Requests that arrived one after the other."""

    first: int
    """Number of the first of them."""
    number: int
    earliest: int
    """Start of the earliest of them, Unix nanoseconds."""
    latest: int
    content: Packed | tuple[RequestRecord, ...]

    @classmethod
    def of(cls, records: Sequence[RequestRecord], first: int, *, pack: bool = True) -> "Part":
        """Put requests together."""
        starts = [record.start_unix_ns for record in records]
        return cls(first, len(records), min(starts), max(starts), Packed(records) if pack else tuple(records))

    @property
    def numbers(self) -> range:
        """The numbers of the requests."""
        return range(self.first, self.first + self.number)

    def table(self) -> Opened:
        """Return the requests as a table."""
        return Opened(RecordTable(self.content) if isinstance(self.content, tuple) else self.content)

    def records(self, places: Iterable[int] | None = None) -> list[RequestRecord]:
        """Return the requests, or those at some places."""
        content = self.content
        these = range(self.number) if places is None else places
        if isinstance(content, tuple):
            return [content[place] for place in these]
        return list(_records(content, these))


def _records(table: Packed, places: Iterable[int]) -> Iterator[RequestRecord]:
    own = [(name, table.column(name)) for name in _OWN]
    inner = [
        (name, kind, [(inner, table.column(f"{name}.{inner}")) for inner in _INNER[name]])
        for name, kind in _PARTS.items()
    ]
    for place in places:
        given: dict[str, Any] = {name: column[place] for name, column in own}
        for name, kind, columns in inner:
            given[name] = kind(**{inner: column[place] for inner, column in columns})
        yield RequestRecord(**given)


class Kept:
    """The requests that arrived last, at most so many."""

    def __init__(self, limit: int, *, room: int = ROOM) -> None:
        """Begin with none.

        Args:
            limit: Number of requests at most.
            room: Bytes of packed requests at most.
        """
        self.first = 0
        """Number of the first request in memory."""
        self.horizon = 0
        """Start of the latest request that was given up, plus 1: later ones are all there."""
        self._limit, self._room = limit, room
        self._together = max(1, min(_TOGETHER, limit // 10))
        self._packed: deque[Part] = deque()
        self._plain: list[RequestRecord] = []
        self._file: _File | None = None
        self._number = self._size = 0

    def __len__(self) -> int:
        return self._number

    @property
    def end(self) -> int:
        """The number that the next request gets."""
        return self.first + self._number

    @property
    def size(self) -> int:
        """About how many bytes those take that are packed."""
        return self._size

    def extend(self, records: Iterable[RequestRecord]) -> None:
        """Add requests, and make room for them."""
        for record in records:
            self._plain.append(record)
            self._number += 1
            if len(self._plain) >= self._together:
                self._pack()
        while self._packed and (self._number > self._limit or self._size > self._room):
            self._give_up()

    def parts(self) -> list[Part]:
        """Return all of them, in the order in which they arrived; what is added later is not among them."""
        plain = self._plain
        return [*self._packed, *([Part.of(plain, self.end - len(plain), pack=False)] if plain else [])]

    def _pack(self) -> None:
        part = Part.of(self._plain, self.end - len(self._plain))
        self._plain = []
        self._packed.append(part)
        self._size += _size_of(part)
        if isinstance(part.content, Packed):
            with suppress(OSError):  # without a file it stays in memory
                if self._file is None or self._file.size > _FILE:
                    self._file = _File()
                part.content.move_to(self._file)

    def _give_up(self) -> None:
        part = self._packed.popleft()
        self.first += part.number
        self._number -= part.number
        self._size -= _size_of(part)
        self.horizon = max(self.horizon, part.latest + 1)


def _size_of(part: Part) -> int:
    return part.content.size if isinstance(part.content, Packed) else 0


def pick(parts: Sequence[Part], numbers: Iterable[int]) -> list[RequestRecord | None]:
    """Return requests by their numbers; `None` in the place of one that is no longer there."""
    firsts = [part.first for part in parts]
    wanted = list(numbers)
    places: dict[int, set[int]] = {}
    for number in wanted:
        at = bisect_right(firsts, number) - 1
        if at >= 0 and number in parts[at].numbers:
            places.setdefault(at, set()).add(number - firsts[at])
    found = {
        firsts[at] + place: record
        for at, these in places.items()
        for place, record in zip(these, parts[at].records(these), strict=True)
    }
    return [found.get(number) for number in wanted]


def in_order(parts: Sequence[Part]) -> Iterator[RequestRecord]:
    """Yield all requests, earliest start first; only parts that overlap in time are unpacked at once."""
    bounds: list[float] = [float("inf")]
    for part in reversed(parts[1:]):
        bounds.append(min(bounds[-1], part.earliest))
    waiting: list[tuple[int, int, RequestRecord]] = []
    for part, bound in zip(parts, reversed(bounds), strict=False):
        for number, record in enumerate(part.records(), part.first):
            heapq.heappush(waiting, (record.start_unix_ns, number, record))
        while waiting and waiting[0][0] <= bound:
            yield heapq.heappop(waiting)[2]
