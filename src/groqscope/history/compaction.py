"""Turns closed files of a store into Parquet, each request once, whatever happens in between.

The order makes it safe. Parts are written aside and synced. A journal that names them and the files they were made of
is written, synced and renamed. Then the parts get their names, the files are removed, and last the journal. Killed
before the journal has its name, nothing has happened: what lies aside is thrown away. Killed after it, the next run
continues from the journal. Until the files are removed a reader finds such requests twice, and counts them once, by
their ids.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from secrets import token_hex
from typing import Any, Final, Self

from groqscope.history import rows, spans
from groqscope.history.dataset import COMPRESSED, form_of_file, ids_query, read_lines, relation_of
from groqscope.history.engine import connect, engine_error, literal
from groqscope.history.errors import HistoryError
from groqscope.history.layout import (
    DAY_NS,
    HISTORY,
    IDS,
    REQUESTS,
    SPANS,
    SUFFIX,
    Wanted,
    day_of,
    ids_of_part,
    partition_day,
    request_partition,
    span_partition,
)
from groqscope.history.measures import to_be_stored
from groqscope.history.places import Place, parts, place_of, sync
from groqscope.store.decoding import NEWER, RecordDecoder
from groqscope.store.directory import make_private
from groqscope.store.documents import TORN
from groqscope.store.locks import locked
from groqscope.store.messages import Span
from groqscope.store.report import ReadReport, ReadWarning, SeenIds
from groqscope.store.segments import MIB
from groqscope.store.sources import OWN_NAME, name_of, read_documents, sources
from groqscope.store.traces import trace_span
from groqscope.timeline import RequestRecord

ASIDE: Final = ".compaction"
"""The directory in a store for what is being made."""
BATCH_BYTES: Final = 256 * MIB
"""JSON that is turned into columns at once."""
CHUNK: Final = 100_000
"""Requests that go to the engine at once."""
KEPT_BYTES: Final = 10 * 1024 * MIB
"""The size of the history in a store, unless said otherwise; the oldest days make room."""
_IDLE_NS: Final = 60 * 10**9
_LONG_IDLE_NS: Final = DAY_NS
_MEMORY: Final = "1GB"
_WRITTEN_AT_ONCE: Final = 256
_IDS_AT_ONCE: Final = 20_480
"""IDs that are read together when one is looked up."""

Watch = Callable[[int], object]


@dataclass(slots=True)
class Compaction:
    """What one run of compaction did."""

    requests: int = 0
    repeats: int = 0
    """Copies of requests that were in the history or in the files already."""
    files: int = 0
    """Files that were turned into columns."""
    bytes_read: int = 0
    bytes_written: int = 0
    open_files: int = 0
    """Files that programs still write to."""
    removed: int = 0
    """Files of the history removed to make room, or because of their age."""
    busy: bool = False
    """Another process is at it, so nothing was done."""
    read: ReadReport = field(default_factory=ReadReport)

    def add(self, made: "_Made", report: ReadReport) -> None:
        """Count what was made of some files."""
        self.requests += made.requests
        self.repeats += made.repeats
        self.files += report.files
        self.bytes_read += report.bytes_read
        self.bytes_written += sum(file.stat().st_size for file, _ in made.parts)
        for warning in report.warnings:
            if TORN not in warning.reason:
                self.read.warn(warning.source, warning.line, warning.reason)
        self.read.warnings_dropped += report.warnings_dropped


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept of a history."""

    max_bytes: int | None = KEPT_BYTES
    max_age_ns: int | None = None


def compact(
    store: Path,
    *,
    target: str | None = None,
    retention: Retention | None = None,
    batch_bytes: int = BATCH_BYTES,
    now_ns: int | None = None,
    watch: Watch | None = None,
) -> Compaction:
    """Turn the closed files of a store into columns, and remove them.

    Args:
        store: The directory of the files.
        target: Where the columns go: a directory, or an address such as `s3://bucket/history`; by default `history` in
            the store.
        retention: What is kept of the history.
        batch_bytes: JSON that is turned into columns at once.
        now_ns: The time, Unix nanoseconds.
        watch: Called with the number of requests written since the last call.

    Raises:
        HistoryError: DuckDB is not installed, or the target cannot be written.
    """
    now = time.time_ns() if now_ns is None else now_ns
    place = place_of(target or store / HISTORY)
    with _Workshop(store / ASIDE, place, watch) as workshop:
        if workshop.alone:
            workshop.recover()
            closed, workshop.done.open_files = closed_files(store, now)
            for batch in _batches(closed, batch_bytes):
                workshop.batch(batch, remove=True)
            workshop.retain(retention or Retention(), now)
        return workshop.done


def copy(paths: Sequence[Path | str], target: str, *, watch: Watch | None = None) -> Compaction:
    """Write the requests of files and directories as columns, and leave the files as they are.

    Raises:
        HistoryError: DuckDB is not installed, or the target cannot be written.
    """
    with _aside() as folder, _Workshop(folder, place_of(target), watch) as workshop:
        workshop.batch(paths, remove=False)
        return workshop.done


def write(records: Iterable[RequestRecord], target: str | Path, *, watch: Watch | None = None) -> Compaction:
    """Write records as columns, without a store.

    Raises:
        HistoryError: DuckDB is not installed, or the target cannot be written.
    """
    with _aside() as folder, _Workshop(folder, place_of(target), watch) as workshop:
        workshop.write(iter(records))
        return workshop.done


def closed_files(store: Path, now_ns: int) -> tuple[list[Path], int]:
    """Return the trace files of a store that nobody writes to any more, oldest first, and how many are still open.

    A writer that began another file never comes back to the one before. Its last file is closed when its process is
    gone and the file has not changed for a minute (the process may live in another container, whose processes cannot be
    seen from here), or when it has not changed for a day.
    """
    by_writer: dict[str, list[Path]] = {}
    for path in store.glob("traces-*.jsonl"):
        own = OWN_NAME.fullmatch(path.name)
        if own is not None:
            by_writer.setdefault(own["stem"], []).append(path)
    closed: list[Path] = []
    still_open = 0
    for stem in sorted(by_writer):
        *before, last = sorted(by_writer[stem], key=lambda path: (len(path.name), path.name))
        closed += before
        if _is_left(last, stem, now_ns):
            closed.append(last)
        else:
            still_open += 1
    return closed, still_open


@contextmanager
def _aside() -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="groqscope-") as folder:
        yield Path(folder)


def _is_left(path: Path, stem: str, now_ns: int) -> bool:
    try:
        idle = now_ns - path.stat().st_mtime_ns
    except OSError:
        return False
    return idle >= _LONG_IDLE_NS or (idle >= _IDLE_NS and not _lives(int(stem.split("-")[2])))


def _lives(process: int) -> bool:
    if os.name != "posix":
        return True  # asking would end it; a day without a change has to do
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _may_be_read_later(warning: ReadWarning) -> bool:
    """Whether a file may hold more than was read: it could not be opened, or a newer groqscope wrote it."""
    return warning.line is None or NEWER in warning.reason


def _batches(files: Sequence[Path], size: int) -> Iterator[list[Path]]:
    batch: list[Path] = []
    room = size
    for file in files:
        with suppress(OSError):
            room -= file.stat().st_size
        batch.append(file)
        if room <= 0:
            yield batch
            batch, room = [], size
    if batch:
        yield batch


class _Workshop:
    """Makes parts aside, and puts them into their place."""

    def __init__(self, aside: Path, place: Place, watch: Watch | None) -> None:
        self.done = Compaction()
        self.alone = False
        self._aside = aside
        self._place = place
        self._watch = watch
        self._journal = aside / "journal.json"
        self._exit = ExitStack()
        self._database: Any = None

    def __enter__(self) -> Self:
        self._database = connect(memory=_MEMORY)
        self._place.register(self._database)
        make_private(self._aside)
        self.alone = self._exit.enter_context(locked(self._aside / "lock"))
        self.done.busy = not self.alone
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()
        if self.alone:
            self._clear()
        self._exit.close()

    def recover(self) -> None:
        """Finish what an earlier run had decided on, and throw away what it had not."""
        with suppress(FileNotFoundError, ValueError, KeyError):
            journal = json.loads(self._journal.read_bytes())
            place = place_of(journal["place"])
            self._publish(place, [(Path(made), name) for made, name in journal["parts"]], map(Path, journal["sources"]))
        self._clear()

    def batch(self, paths: Sequence[Path | str], *, remove: bool) -> None:
        """Turn some files into parts.

        Args:
            paths: The files.
            remove: Remove them, but for those of which a later run may read more: these are left out and stay.
        """
        kept: set[str] = set()
        while True:
            made, report = self._make([path for path in paths if str(path) not in kept])
            unread = {warning.source for warning in report.warnings if remove and _may_be_read_later(warning)} - kept
            if not unread:
                break
            self._clear()
            kept |= unread
            self.done.read.warnings += [warning for warning in report.warnings if warning.source in unread]
        self.done.add(made, report)
        sources = [path for path in map(Path, paths) if remove and str(path) not in kept]
        self._commit(made.parts, sources)
        self._publish(self._place, made.parts, sources)

    def write(self, records: Iterator[RequestRecord]) -> None:
        """Turn records into parts."""
        made = _Made(self._aside, self._place, self._database, self._watch)
        made.take(records)
        self.done.add(made, ReadReport())
        self._commit(made.parts, [])
        self._publish(self._place, made.parts, [])

    def _make(self, paths: Sequence[Path | str]) -> "tuple[_Made, ReadReport]":
        report = ReadReport()
        made = _Made(self._aside, self._place, self._database, self._watch)
        made.take(made.read(paths, report))
        return made, report

    def _commit(self, made: "list[tuple[Path, str]]", files: Sequence[Path]) -> None:
        for file, _ in made:
            sync(file)
        sync(self._aside)
        draft = self._journal.with_suffix(".draft")
        content = {
            "place": self._place.address,
            "parts": [[str(f), n] for f, n in made],
            "sources": [str(f) for f in files],
        }
        draft.write_text(json.dumps(content))
        sync(draft)
        draft.replace(self._journal)
        sync(self._aside)

    def _publish(self, place: Place, made: "list[tuple[Path, str]]", files: Iterable[Path]) -> None:
        for file, name in made:
            place.put(file, name)
        for file in files:
            file.unlink(missing_ok=True)
            sync(file.parent)
        self._journal.unlink(missing_ok=True)

    def _clear(self) -> None:
        if self._journal.exists():
            return  # what it names is still needed
        for path in self._aside.iterdir():
            if path.name != "lock":
                path.unlink(missing_ok=True)

    def retain(self, retention: Retention, now_ns: int) -> None:
        """Remove days that are too old, and the oldest files until the rest fits."""
        found = [
            (partition_day(address) or "", address.rpartition("/")[2], address, size)
            for kind in (IDS, REQUESTS, SPANS)
            for address, size in parts(self._place, Wanted(), kind)
        ]
        total = sum(size for *_, size in found)
        oldest = None if retention.max_age_ns is None else day_of(max(0, now_ns - retention.max_age_ns))
        for day, _, address, size in sorted(found):
            aged = oldest is not None and "" < day < oldest
            if aged or (retention.max_bytes is not None and total > retention.max_bytes):
                self._place.remove(address)
                self.done.removed += 1
                total -= size


@dataclass(slots=True)
class _Rows:
    """The rows of one partition as lines of JSON in a file, which is open only while some of them are written."""

    file: Path
    count: int = 0
    _waiting: list[bytes] = field(default_factory=list[bytes])

    def add(self, row: bytes) -> None:
        """Add one."""
        self._waiting.append(row)
        self.count += 1
        if len(self._waiting) == _WRITTEN_AT_ONCE:
            self.written()

    def written(self) -> Path:
        """Write those that wait, and return the file."""
        with self.file.open("ab") as file:
            file.writelines(row + b"\n" for row in self._waiting)
        self._waiting.clear()
        return self.file


class _Made:
    """The parts that are being made of some files."""

    def __init__(self, aside: Path, place: Place, database: Any, watch: Watch | None) -> None:
        self.parts: list[tuple[Path, str]] = []
        """Files aside, and the names that they get."""
        self.requests = self.repeats = 0
        self._aside = aside
        self._place = place
        self._database = database
        self._watch = watch
        self._token = f"{time.time_ns():020d}-{token_hex(4)}"
        self._spans: list[bytes] = []

    def take(self, records: Iterator[RequestRecord]) -> None:
        """Make parts of all records, and of the spans that are kept meanwhile."""
        while True:
            partitions = self._write(records)
            for (day, service), rows_of_one in partitions.items():
                self._add_requests(day, service, rows_of_one)
            if self._spans:
                self._add_spans()
            if sum(one.count for one in partitions.values()) < CHUNK:
                return

    def _write(self, records: Iterator[RequestRecord]) -> "dict[tuple[int, str | None], _Rows]":
        """Write the next records as lines of JSON, those of each day and service to a file of their own."""
        partitions: dict[tuple[int, str | None], _Rows] = {}
        for record in islice(records, CHUNK):
            key = record.start_unix_ns // DAY_NS, record.service
            found = partitions.get(key)
            if found is None:
                found = partitions[key] = _Rows(self._aside / f"rows-{len(partitions)}.json")
            found.add(rows.row_of(record))
        return partitions

    def read(self, paths: Sequence[Path | str], report: ReadReport) -> Iterator[RequestRecord]:
        """Yield the records in files, each once, and keep the spans."""
        decoder = RecordDecoder(report, on_span=self._keep)
        seen = SeenIds()
        for source in sources(paths, report):
            for path in source.paths:
                name = name_of(path)
                for number, document, complete in read_documents(path, report):
                    for record in decoder.decode(document, name, number, complete=complete):
                        if seen.add(record.trace_id, record.span_id):
                            yield record
                        else:
                            self.repeats += 1

    def _keep(self, span: Span, record: RequestRecord | None) -> None:
        kept = trace_span(span, record)
        if kept is not None:
            self._spans.append(spans.row_of(kept))

    def _add_requests(self, day: int, service: str | None, found: "_Rows") -> None:
        directory = request_partition(day_of(day * DAY_NS), service)
        query = f"SELECT * FROM {read_lines(found.written(), rows.columns())} rows"
        if known := self._known(directory):
            query += (
                f" WHERE NOT EXISTS (FROM ({relation_of(known)}) known "
                "WHERE known.trace_id = rows.trace_id AND known.span_id = rows.span_id)"
            )
        try:
            written = self._add(directory, to_be_stored(query), complete=True)
        except HistoryError:  # a damaged request's numbers, which are calculated on reading in 128 bits
            written = self._add(directory, query)
        found.file.unlink()
        if written:
            self._add_ids(*self.parts[-1])
        self.requests += written
        self.repeats += found.count - written
        if self._watch is not None:
            self._watch(written)

    def _add_ids(self, part: Path, name: str) -> None:
        """Write the IDs of a part, by which it is found without reading it."""
        file = part.with_suffix(".ids")
        self._copy(ids_query(str(part)), file, f"{COMPRESSED}, ROW_GROUP_SIZE {_IDS_AT_ONCE}")
        self.parts.append((file, ids_of_part(name)))

    def _known(self, directory: str) -> list[str]:
        """Return the parts that a partition has: those in their place, and those that are being made."""
        there = [
            address
            for address, _, _ in self._place.children(f"{self._place.address}/{directory}")
            if address.endswith(SUFFIX)
        ]
        return there + [str(file) for file, name in self.parts if name.startswith(f"{directory}/")]

    def _add_spans(self) -> None:
        with (self._aside / "spans.json").open("wb") as file:
            file.writelines(line + b"\n" for line in self._spans)
        self._spans.clear()
        lines = read_lines(self._aside / "spans.json", spans.columns())
        self._database.execute(f"CREATE OR REPLACE TEMP TABLE spans AS SELECT * FROM {lines}")
        days = f"SELECT DISTINCT start_unix_ns // {DAY_NS} FROM spans ORDER BY ALL"
        for (day,) in self._database.execute(days).fetchall():
            query = "SELECT * FROM spans WHERE start_unix_ns // $width = $day ORDER BY start_unix_ns"
            self._add(span_partition(day_of(day * DAY_NS)), query, {"width": DAY_NS, "day": day})

    def _add(
        self, directory: str, query: str, parameters: dict[str, Any] | None = None, *, complete: bool = False
    ) -> int:
        """Write the rows of a query as one more part; return how many there are."""
        name = f"{self._token}-{len(self.parts):06d}{SUFFIX}"
        file = self._aside / name
        self._copy(query, file, form_of_file(complete=complete), parameters)
        (count,) = self._database.execute(
            f"SELECT num_rows FROM parquet_file_metadata({literal(str(file))})"
        ).fetchone()
        if count:
            self.parts.append((file, f"{directory}/{name}"))
        else:
            file.unlink()
        return count

    def _copy(self, query: str, file: Path, form: str, parameters: dict[str, Any] | None = None) -> None:
        """Write the rows of a query to a file aside."""
        try:
            self._database.execute(f"COPY ({query}) TO {literal(str(file))} ({form})", parameters or {})
        except engine_error() as error:
            raise HistoryError(f"{file.parent} cannot be written: {str(error).strip()}") from error
