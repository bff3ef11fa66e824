"""Stored requests as a relation that SQL can ask, and as records."""

import hashlib
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from groqscope import semconv
from groqscope.history import rows
from groqscope.history.engine import connect, engine_error, literal
from groqscope.history.errors import HistoryError
from groqscope.history.layout import ID_LENGTH, IDS, REQUESTS, SPANS, Wanted, ids_of_part, partition_day
from groqscope.history.measures import measured
from groqscope.history.places import Place, is_address, parts, place_of
from groqscope.store.report import ReadReport
from groqscope.timeline import RequestRecord

VERSION_KEY: Final = "groqscope_record"
"""In a file's metadata: the version of the records in it."""
COLUMNS_KEY: Final = "groqscope_columns"
"""In a file's metadata: which columns it has (`digest`)."""
COMPRESSED: Final = "FORMAT parquet, COMPRESSION zstd"
ROWS_AT_ONCE: Final = 30_720
"""Requests that are read together, by one thread, and passed over together where none has the time asked for."""
ID_COLUMNS: Final = ("request_id", "span_id", "trace_id", "response_id")
"""By each of these a request can be found."""
_TIMELINE: Final = frozenset({"timeline_us", "timeline_stride"})
_FETCHED: Final = 500
_INCLUDED: Final = "included"
_LONGEST_LINE: Final = 64 * 1024 * 1024
_PARAMETER: Final = re.compile(r"\$(\w+)")
Parameters = dict[str, Any]
Select = Callable[[str], str]
"""Makes a query of a query whose rows are requests."""


def every_column(requests: str) -> str:
    """Return requests with all of their columns."""
    return requests


class Dataset:
    """The Parquet files at some addresses, in one database."""

    keeps_tables = True

    def __init__(self, addresses: Iterable[str], report: ReadReport, wanted: Wanted | None = None) -> None:
        """Look for the files; one that cannot be read is a warning.

        Raises:
            HistoryError: DuckDB, or what reads an address, is not installed.
        """
        self.report = report
        self.wanted = wanted or Wanted()
        self.places: list[Place] = [place_of(address) for address in addresses]
        self._connection: Any = None
        found = list(dict.fromkeys(one for place in self.places for one in self._parts(place, REQUESTS)))
        self._included = False
        self._broken: set[str] = set()
        self._current: set[str] = set()
        self._with_beginning: dict[str, list[str]] = {}
        self.parts: list[str] = self._readable([address for address, _ in found]) if found else []
        report.files += len(found)
        size = sum(size for _, size in found)
        report.bytes_total += size
        report.bytes_read += size

    @property
    def connection(self) -> Any:
        """The database."""
        if self._connection is None:
            self._connection = connect()
            for place in self.places:
                place.register(self._connection)
        return self._connection

    def relation(self, select: Select = every_column) -> str:
        """Return all requests as a query, each once.

        What is selected of them is selected of each form in which they lie, before these are put together: so the
        engine reads no more of a struct than the members that are asked for.
        """
        return self._together(self.parts, select)

    def may_have(self, beginning: str, select: Select = every_column) -> str:
        """Return a query for requests, among them each that has an ID with this beginning: of few parts."""
        if beginning not in self._with_beginning:
            ids = {ids_of_part(part): part for part in self.parts}
            there = {address for place in self.places for address, _ in self._parts(place, IDS)}
            indexed = [address for address in ids if address in there]
            found = self._with_id(indexed, beginning[:ID_LENGTH])
            some = [part for address, part in ids.items() if address not in there or address in found]
            self._with_beginning[beginning] = some
        return self._together([part for part in self._with_beginning[beginning] if part in self.parts], select)

    def _with_id(self, indexes: Sequence[str], beginning: str) -> set[str]:
        """Return those files of IDs in which one begins so, and those that cannot be read."""
        if not indexes:
            return set()
        query = (
            f"SELECT DISTINCT filename FROM read_parquet({_list(indexes)}, filename = true, hive_partitioning = false) "
            "WHERE id BETWEEN $least AND $greatest"
        )
        try:
            found = self.ask(query, {"least": beginning, "greatest": beginning + ID_LENGTH * chr(sys.maxunicode)})
        except engine_error() as error:
            if len(indexes) == 1:
                self.report.warn(indexes[0], None, f"{_first_line(error)}; its requests were searched, remove it")
                return set(indexes)
            middle = len(indexes) // 2  # one that is broken is found by halves
            return self._with_id(indexes[:middle], beginning) | self._with_id(indexes[middle:], beginning)
        return {address for (address,) in found}

    def _together(self, parts: Sequence[str], select: Select) -> str:
        by_place = [[part for part in parts if part.startswith(place.address)] for place in self.places]
        stored = [[*map(select, self._stored(some))] for some in by_place if some]
        queries = [
            _numbered(number, query) if len(stored) > 1 else query
            for number, forms in enumerate(stored)
            for query in forms
        ]
        if self._included:
            queries.append(select(f"SELECT * FROM {_INCLUDED}"))
        if not queries:
            return select(measured(_complete()))
        together = " UNION ALL BY NAME ".join(queries)
        return together if len(stored) < 2 else _once(together)

    def _stored(self, parts: Sequence[str]) -> Iterator[str]:
        """Yield the requests of some parts as queries: of those that have every column, and of older ones."""
        current = [part for part in parts if part in self._current]
        if current:
            yield f"SELECT * FROM read_parquet({_list(current)}, hive_partitioning = false)"
        if len(current) < len(parts):
            yield measured(relation_of([part for part in parts if part not in self._current]))

    def include(self, records: Iterable[RequestRecord]) -> None:
        """Add requests that lie nowhere as columns yet; those that do are repeats."""
        count = 0
        with tempfile.TemporaryDirectory(prefix="groqscope-") as folder:
            lines = Path(folder, "rows.json")
            with lines.open("wb") as file:
                for record in records:
                    file.write(rows.row_of(record))
                    file.write(b"\n")
                    count += 1
            read = f"SELECT * FROM {read_lines(lines, rows.columns())}"
            self.ask(f"CREATE OR REPLACE TABLE {_INCLUDED} AS {measured(read)}")
        self._included = True
        if self.parts and count:
            ((repeats,),) = self.ask(
                f"DELETE FROM {_INCLUDED} WHERE EXISTS (FROM ({relation_of(self.parts)}) known WHERE "
                f"known.trace_id = {_INCLUDED}.trace_id AND known.span_id = {_INCLUDED}.span_id)"
            )
            self.report.repeats += repeats

    def records(
        self, since: int | None = None, until: int | None = None, *, timelines: bool = True
    ) -> Iterator[RequestRecord]:
        """Yield the records in order of start, a day at a time."""
        condition = in_time(since, until)
        for day in sorted(set(map(_day, self.parts))):
            yield from self._records_of(day, condition, timelines=timelines)

    def _records_of(self, day: str, condition: str, *, timelines: bool) -> Iterator[RequestRecord]:
        files = [part for part in self.parts if _day(part) == day]
        if not files:
            return
        together = " UNION ALL BY NAME ".join(self._stored(files))
        query = f"SELECT * FROM ({together}) WHERE {condition} ORDER BY start_unix_ns"
        try:
            yield from self.fetch(query, timelines=timelines)
        except engine_error():
            # All of a day is read before the first request comes, so that none has come.
            if not self.leave_out_broken():
                raise
            yield from self._records_of(day, condition, timelines=timelines)

    def fetch(
        self, query: str, parameters: Parameters | None = None, *, timelines: bool = True
    ) -> Iterator[RequestRecord]:
        """Yield the records of a query whose rows are requests."""
        chosen = fields(timelines=timelines)
        with closing(self.connection.cursor()) as cursor:
            cursor.execute(f"SELECT to_json(row) FROM (SELECT {chosen} FROM ({query})) row", parameters or {})
            while fetched := cursor.fetchmany(_FETCHED):
                for (row,) in fetched:
                    yield rows.record_of(row)

    def span_parts(self) -> list[str]:
        """Return the files of the spans around the requests."""
        found = (address for place in self.places for address, _ in self._parts(place, SPANS))
        return [address for address in dict.fromkeys(found) if address not in self._broken]

    def ask(self, query: str, parameters: Parameters | None = None) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        with closing(self.connection.cursor()) as cursor:
            return cursor.execute(query, _used(query, parameters or {})).fetchall()

    def ask_together(self, queries: Sequence[str], parameters: Parameters) -> list[list[tuple[Any, ...]]]:
        """Return all rows of each of several queries, which are asked one after the other."""
        return [self.ask(query, parameters) for query in queries]

    def define(self, table: str, types: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> None:
        """Make a table of rows, in place of an earlier one with its name."""
        members = ", ".join(f'"{name}": "{kind}"' for name, kind in types.items())
        self.ask(
            f"CREATE OR REPLACE TABLE {table} AS SELECT unnest(from_json($rows, '[{{{members}}}]'), recursive := true)",
            {"rows": msgspec.json.encode(rows).decode()},
        )

    def understood(self) -> AbstractContextManager[None]:
        """Do nothing: what this engine answers is what was asked."""
        return nullcontext()

    def leave_out_broken(self) -> bool:
        """Read every part to its end, leave out those that cannot be, and return whether there are any."""
        broken: set[str] = set()
        requests = [(part, next(self._stored([part]))) for part in self.parts]
        around = [(part, f"FROM {read_parts([part])}") for part in self.span_parts()]
        for part, relation in [*requests, *around]:
            try:
                self.ask(f"SELECT count(COLUMNS(*)) FROM ({relation})")
            except engine_error() as error:
                broken.add(part)
                self.report.warn(part, None, f"{_first_line(error)}; left out, replace it or remove it")
        self.parts = [part for part in self.parts if part not in broken]
        self._broken |= broken
        return bool(broken)

    def _parts(self, place: Place, kind: str) -> list[tuple[str, int]]:
        try:
            found = list(parts(place, self.wanted, kind))
            if not found and is_address(place.address) and not place.children(place.address):
                raise HistoryError("there is nothing")
            return found
        except (HistoryError, OSError) as error:
            self.report.warn(place.address, None, f"{_first_line(error)}; check the address and the credentials")
            return []

    def _readable(self, found: Sequence[str]) -> list[str]:
        """Return the files that hold requests of a version that is known."""
        noted = self._noted(found)
        reasons = {address: _unreadable(noted.get(address, {})) for address in found}
        for address, reason in reasons.items():
            if reason is not None:
                self.report.warn(address, None, f"{reason}; left out")
        readable = [address for address, reason in reasons.items() if reason is None]
        self._current = {address for address in readable if _has_every_column(noted[address])}
        return readable

    def _noted(self, found: Sequence[str]) -> "dict[str, dict[str, str] | Exception]":
        """Return what is noted in the metadata of files, or why that cannot be read."""
        query = (
            f"SELECT file_name, decode(key), decode(value) FROM parquet_kv_metadata({_list(found)}) "
            f"WHERE decode(key) IN ({literal(VERSION_KEY)}, {literal(COLUMNS_KEY)})"
        )
        try:
            noted: dict[str, dict[str, str] | Exception] = {}
            for address, key, value in self.ask(query):
                cast("dict[str, str]", noted.setdefault(address, {}))[key] = value
            return noted
        except engine_error() as error:
            if len(found) == 1:
                return {found[0]: error}
        middle = len(found) // 2  # one that is broken is found by halves
        return self._noted(found[:middle]) | self._noted(found[middle:])


def _used(query: str, parameters: Parameters) -> Parameters:
    """Return the parameters that a query names, which are all that it may be given."""
    named = set(_PARAMETER.findall(query))
    return {name: value for name, value in parameters.items() if name in named}


def _unreadable(noted: "Mapping[str, str] | Exception") -> str | None:
    """Return why a file cannot be read, and what to do."""
    if isinstance(noted, Exception):
        return f"cannot be read as Parquet ({_first_line(noted)}): replace or remove it"
    version = noted.get(VERSION_KEY)
    if version is None:
        return "is not written by groqscope: `groqscope compact` writes Parquet from OTLP JSON"
    if version.isdecimal() and int(version) <= semconv.RECORD_VERSION:
        return None
    known = semconv.RECORD_VERSION
    return f"has records of version {version:.20}, and this groqscope reads up to {known}: update groqscope"


def _has_every_column(noted: "Mapping[str, str] | Exception") -> bool:
    return not isinstance(noted, Exception) and noted.get(COLUMNS_KEY) == digest()


def form_of_file(*, complete: bool) -> str:
    """Return the form of a file, as `COPY` has it; one with every column, the measures too, says so."""
    columns = f", {COLUMNS_KEY}: '{digest()}'" if complete else ""
    # The second version of the format holds whole numbers in as many bits as they need: half the time to read them.
    form = f"{COMPRESSED}, PARQUET_VERSION V2, ROW_GROUP_SIZE {ROWS_AT_ONCE}"
    return f"{form}, KV_METADATA {{{VERSION_KEY}: '{semconv.RECORD_VERSION}'{columns}}}"


@cache
def digest() -> str:
    """Return what tells one set of columns from another: files that have the same can be read as one."""
    return hashlib.sha256(repr((rows.columns(), measured(""))).encode()).hexdigest()[:16]


def relation_of(files: Sequence[str]) -> str:
    """Return the requests of some files as a query, each column with its type, whatever of it a file has."""
    return f"SELECT {_expected()} FROM ({_complete()} UNION ALL BY NAME SELECT * FROM {read_parts(files)})"


def ids_query(part: str) -> str:
    """Return the beginnings of all IDs in a part of requests."""
    shortened = ", ".join(f"left({name}, {ID_LENGTH})" for name in ID_COLUMNS)
    return (
        f"SELECT DISTINCT id FROM (SELECT unnest([{shortened}]) AS id FROM {read_parts([part])}) "
        "WHERE id IS NOT NULL ORDER BY id"
    )


def read_parts(files: Sequence[str]) -> str:
    """Return Parquet files as a relation with what is in them."""
    # The names of partitions are not read back: a service's own name is in the file.
    return f"read_parquet({_list(files)}, union_by_name = true, hive_partitioning = false)"


def read_lines(path: Path, columns: Mapping[str, str]) -> str:
    """Return lines of JSON as a relation."""
    types = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in columns.items())
    size = f"maximum_object_size = {_LONGEST_LINE}"
    return f"read_json({literal(str(path))}, format = 'newline_delimited', {size}, columns = {{{types}}})"


def _numbered(number: int, query: str) -> str:
    return f"SELECT {number} AS place, * FROM ({query})"


def _once(query: str) -> str:
    """Return each request of a query once: of several copies the one of the place that was named first."""
    copy = "row_number() OVER (PARTITION BY trace_id, span_id ORDER BY place)"
    return f"SELECT * EXCLUDE (place) FROM ({query}) QUALIFY {copy} = 1 OR trace_id IS NULL OR span_id IS NULL"


@cache
def _complete() -> str:
    """Return a query for no rows with every column, by which files from before a column get it."""
    columns = ", ".join(f"NULL::{kind} AS {name}" for name, kind in rows.columns().items())
    return f"SELECT {columns} WHERE false"


def fields(*, timelines: bool) -> str:
    """Return the columns of a record, with or without the arrival times of chunks."""
    return ", ".join(name for name in rows.columns() if timelines or name not in _TIMELINE)


@cache
def _expected() -> str:
    return ", ".join(f"{_column(name)} AS {name}" for name in rows.columns())


def _column(name: str) -> str:
    default = rows.defaults().get(name)
    return name if default is None else f"coalesce({name}, {_literal(default)})"


def _literal(value: object) -> str:
    if isinstance(value, tuple):
        return "[]"
    return literal(value) if isinstance(value, str) else repr(value).lower()


def in_time(since: int | None, until: int | None) -> str:
    """Return the condition that a request or a span began in a time."""
    conditions = [f"start_unix_ns >= {since:d}"] if since is not None else []
    conditions += [f"start_unix_ns < {until:d}"] if until is not None else []
    return " AND ".join(conditions) or "true"


def _list(files: Sequence[str]) -> str:
    return f"[{', '.join(map(literal, files))}]"


def _day(address: str) -> str:
    return partition_day(address) or ""


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
