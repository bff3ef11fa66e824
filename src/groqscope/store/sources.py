"""Groups files, directories and standard input into sources, and reads their documents."""

import io
import re
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, cast

from groqscope.store.documents import BUFFER, Document, documents
from groqscope.store.report import ReadReport

STDIN: Final = "-"
_SUFFIXES: Final = (".jsonl", ".json", ".ndjson", ".jsonl.gz", ".json.gz", ".ndjson.gz")
OWN_NAME: Final = re.compile(r"(?P<stem>[a-z]+-\d{8}T\d{12}Z-\d+-[0-9a-f]{4})\.\d+\.jsonl(\.gz)?")
_START: Final = re.compile(rb'"startTimeUnixNano":\s*"?(\d{1,19})\b')
_HEAD: Final = 64 * 1024


@dataclass(slots=True)
class Source:
    """The files of one process in the order in which they were written, or a single other file."""

    paths: list[Path | None] = field(default_factory=list["Path | None"])
    """`None` is standard input."""
    rank: int = 0
    """Its position on the command line: of two copies of a request, the one in the earlier source is used."""
    began: int = 0
    """About the earliest start of its records, in Unix nanoseconds; 0 when unknown."""


def sources(paths: Iterable[Path | str], report: ReadReport, *, every_signal: bool = False) -> list[Source]:
    """Group files into sources; a directory means the files in it (not below it), `-` means standard input.

    Of a directory only the trace files are read, unless `every_signal` is set.
    """
    found: dict[str, Source] = {}
    for path in _files(paths, report, every_signal=every_signal):
        if path is None:
            found.setdefault(STDIN, Source()).paths = [None]
            continue
        own = OWN_NAME.fullmatch(path.name)
        key = str(path.with_name(own["stem"])) if own else str(path)
        source = found.setdefault(key, Source(rank=len(found)))
        if path not in source.paths:
            source.paths.append(path)
    for source in found.values():
        source.paths.sort(key=lambda p: (len(p.name), p.name) if p else (0, ""))
        source.began = _began(source.paths[0]) if len(found) > 1 else 0
    report.files = sum(len(s.paths) for s in found.values())
    report.bytes_total = sum(_size(p) for s in found.values() for p in s.paths)
    return list(found.values())


def is_trace_file(path: Path) -> bool:
    """Return whether a file contains traces, by its name: OTLP JSON, but not our metrics."""
    return is_otlp_file(path) and not path.name.startswith(("metrics-", "logs-"))


def is_otlp_file(path: Path) -> bool:
    """Return whether a file contains OTLP JSON, by its name."""
    return path.name.endswith(_SUFFIXES)


def read_documents(path: Path | None, report: ReadReport) -> Iterator[Document]:
    """Yield line, bytes and completeness of each JSON document; report what cannot be read as a warning."""
    name = name_of(path)
    try:
        with _opened(path) as file:
            before = 0
            for number, document, complete in documents(file, partial(report.warn, name)):
                report.lines += 1
                yield number, document, complete
                if path is not None:
                    now = file.tell()
                    report.bytes_read += now - before
                    before = now
    except OSError as error:
        report.warn(name, None, f"cannot be read: {error.strerror or error}")


def name_of(path: Path | None) -> str:
    """Return the name of a file in messages."""
    return STDIN if path is None else str(path)


def _files(paths: Iterable[Path | str], report: ReadReport, *, every_signal: bool) -> Iterator[Path | None]:
    for given in paths:
        if str(given) == STDIN:
            yield None
            continue
        path = Path(given)
        try:
            if path.is_dir():
                wanted = is_otlp_file if every_signal else is_trace_file
                yield from sorted(p for p in path.iterdir() if wanted(p) and p.is_file())
            else:
                yield path
        except OSError as error:
            report.warn(str(path), None, f"cannot be read: {error.strerror or error}")


@contextmanager
def _opened(path: Path | None) -> Generator[BinaryIO]:
    """Open a file; standard input stays open afterwards."""
    if path is None:
        # A separate buffer on the same descriptor, because a replaced `sys.stdin` may not support `peek`.
        buffered = io.BufferedReader(cast("io.RawIOBase", sys.stdin.buffer), BUFFER)
        try:
            yield cast("BinaryIO", buffered)
        finally:
            buffered.detach()
        return
    with path.open("rb", buffering=BUFFER) as file:
        yield file


def _began(path: Path | None) -> int:
    """Return the earliest start in the first lines of a file: children end, and are written, before their parents."""
    try:
        with open(path, "rb", buffering=0) if path else io.BytesIO() as file:  # noqa: PTH123 - `Path.open` buffers
            return min(map(int, _START.findall(file.read(_HEAD) or b"")), default=0)
    except OSError:
        return 0


def _size(path: Path | None) -> int:
    try:
        return path.stat().st_size if path else 0
    except OSError:
        return 0
