"""Files, directories and standard input as lines; the files of one process belong together."""

import gzip
import io
import re
import sys
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, cast

from groqscope.store.report import ReadReport

STDIN: Final = "-"
MAX_LINE: Final = 256 * 1024 * 1024
"""Bytes; a longer line is passed over."""
_BUFFER: Final = 1024 * 1024
_GZIP_MAGIC: Final = b"\x1f\x8b"
_SUFFIXES: Final = (".jsonl", ".json", ".ndjson", ".jsonl.gz", ".json.gz", ".ndjson.gz")
_OWN_NAME: Final = re.compile(r"(?P<stem>[a-z]+-\d{8}T\d{12}Z-\d+-[0-9a-f]{4})\.\d+\.jsonl(\.gz)?")
_START: Final = re.compile(rb'"startTimeUnixNano":\s*"?(\d{1,19})\b')
_HEAD: Final = 64 * 1024


@dataclass(slots=True)
class Source:
    """The files of one process in the order in which they were written, or one other file."""

    paths: list[Path | None] = field(default_factory=list["Path | None"])
    """`None` is standard input."""
    began: int = 0
    """No record in it starts much before this, Unix nanoseconds; 0 when that is not known."""


def sources(paths: Iterable[Path | str], report: ReadReport, *, every_signal: bool = False) -> list[Source]:
    """Sort files into sources; a directory stands for the files in it (not below it), `-` for standard input.

    Of a directory's files those of traces are read, and the others when asked for.
    """
    found: dict[str, Source] = {}
    for path in _files(paths, report, every_signal=every_signal):
        if path is None:
            found.setdefault(STDIN, Source()).paths = [None]
            continue
        own = _OWN_NAME.fullmatch(path.name)
        key = str(path.with_name(own["stem"])) if own else str(path)
        source = found.setdefault(key, Source())
        if path not in source.paths:
            source.paths.append(path)
    for source in found.values():
        source.paths.sort(key=lambda p: (len(p.name), p.name) if p else (0, ""))
        source.began = _began(source.paths[0]) if len(found) > 1 else 0
    report.files = sum(len(s.paths) for s in found.values())
    report.bytes_total = sum(_size(p) for s in found.values() for p in s.paths)
    return list(found.values())


def is_trace_file(path: Path) -> bool:
    """Whether a file of a directory is read: OTLP JSON by its name, and not our metrics."""
    return is_otlp_file(path) and not path.name.startswith(("metrics-", "logs-"))


def is_otlp_file(path: Path) -> bool:
    """Whether a file holds OTLP JSON, by its name."""
    return path.name.endswith(_SUFFIXES)


def lines(path: Path | None, report: ReadReport) -> Iterator[tuple[int, bytes, bool]]:
    """Yield number, bytes and completeness (it ends in a newline) of each line that is not empty.

    What cannot be read is a warning; a file that is one JSON document over many lines is one line.
    """
    name = name_of(path)
    try:
        with _opened(path) as (raw, file):
            before = 0
            for number, line in _numbered(file, name, report):
                report.lines += 1
                yield number, line, line.endswith(b"\n")
                if path is not None:
                    now = raw.tell()
                    report.bytes_read += now - before
                    before = now
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        report.warn(name, None, f"the compressed file is damaged or cut off: {error}; read up to there")
    except OSError as error:
        report.warn(name, None, f"cannot be read: {error.strerror or error}")


def name_of(path: Path | None) -> str:
    """Name a source in messages."""
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
def _opened(path: Path | None) -> Generator[tuple[BinaryIO, BinaryIO]]:
    """Open a file, and what is in it if it is compressed; standard input stays open afterwards."""
    if path is None:
        # Its own buffer on the same descriptor: a replaced `sys.stdin` need not be able to peek.
        buffered = io.BufferedReader(cast("io.RawIOBase", sys.stdin.buffer), _BUFFER)
        try:
            yield cast("BinaryIO", buffered), _unzipped(cast("BinaryIO", buffered))
        finally:
            buffered.detach()
        return
    with path.open("rb", buffering=_BUFFER) as file:
        yield file, _unzipped(file)


def _unzipped(file: BinaryIO) -> BinaryIO:
    compressed = cast("io.BufferedReader", file).peek(2)[:2] == _GZIP_MAGIC
    return cast("BinaryIO", gzip.GzipFile(fileobj=file) if compressed else file)


def _numbered(file: BinaryIO, name: str, report: ReadReport) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := file.readline(MAX_LINE):
        number += 1
        if len(line) >= MAX_LINE and not line.endswith(b"\n"):
            report.warn(name, number, f"a line longer than {MAX_LINE >> 20} MiB; skipped")
            while (rest := file.readline(MAX_LINE)) and not rest.endswith(b"\n"):
                pass
        elif number == 1 and line.strip() == b"{":
            yield 1, line + file.read(MAX_LINE)
            return
        elif line.strip():
            yield number, line


def _began(path: Path | None) -> int:
    """Give the earliest start in the first lines of a file: children end, and are written, before their parents."""
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
