"""Reads the records of many files as one stream sorted by start, in bounded memory.

Requests are written in the order in which they end, so records have to be sorted by start. Each source (the files of
one process, or one file) passes through a window, a heap that yields its earliest start, and the sources are merged by
start. Records are in order unless a request lasted so long that a whole window of later requests ended before it; such
a record comes late, but is not lost. A source is opened when the merge reaches its first start.
"""

import heapq
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from groqscope.store.decoding import RecordDecoder
from groqscope.store.messages import Span
from groqscope.store.otlp import AttributeValue, attributes_of
from groqscope.store.report import ReadReport, SeenIds, once
from groqscope.store.sources import Source, name_of, read_documents, sources
from groqscope.timeline import RequestRecord

WINDOW: Final = 1024
"""Size of a source's window in records."""
_ROOM: Final = 16 * WINDOW
"""Size of all windows together, which many sources share; each has a minimum."""
_MIN_WINDOW: Final = 16


def read_records(
    paths: Iterable[Path | str],
    *,
    report: ReadReport | None = None,
    since: int | None = None,
    until: int | None = None,
    timelines: bool = True,
    elsewhere: SeenIds | None = None,
) -> Iterator[RequestRecord]:
    """Yield the records in files, directories and standard input (`-`), each once, earliest start first.

    Files may be gzip-compressed. Their content raises no exceptions: what cannot be read is skipped and reported. Of
    several copies of a request, the one in the source that was named first is used.

    Args:
        paths: A directory means the trace files in it.
        report: Updated with counts and warnings during reading.
        since: Only requests that start at or after this, in Unix nanoseconds.
        until: Only requests that start before this, in Unix nanoseconds.
        timelines: Whether to read the arrival times of chunks; a record without them takes a fraction of the memory.
        elsewhere: Requests that were counted elsewhere, and are repeats here.
    """
    report = ReadReport() if report is None else report
    found = sources(paths, report)
    decoder = RecordDecoder(report, since, until, timelines)
    window = max(_MIN_WINDOW, min(WINDOW, _ROOM // max(1, len(found))))
    return once(_merge(found, decoder, window), report, elsewhere=elsewhere)


def read_span(
    paths: Iterable[Path | str], trace_id: str | None, span_id: str
) -> tuple[RequestRecord, dict[str, AttributeValue]] | None:
    """Return one request with all attributes of its span, content included if it was recorded; `None` if not found.

    Only documents that name the span are decoded, so this takes little more than reading the files.
    """
    found: list[tuple[RequestRecord, dict[str, AttributeValue]]] = []
    report = ReadReport()

    def note(span: Span, record: RequestRecord | None) -> None:
        if record is not None and (record.span_id, record.trace_id) == (span_id, trace_id):
            found.append((record, attributes_of(span, lambda _: None)))

    decoder = RecordDecoder(report, on_span=note)
    mark = span_id.encode()
    for source in sources(paths, report):
        for path in source.paths:
            for number, document, complete in read_documents(path, report):
                if mark in document:
                    for _ in decoder.decode(document, name_of(path), number, complete=complete):
                        pass
                if found:
                    return found[0]
    return None


def _merge(waiting: list[Source], decoder: RecordDecoder, window: int) -> Iterator[RequestRecord]:
    if len(waiting) == 1:
        yield from in_order(_records(waiting[0], decoder), window)
        return
    waiting.sort(key=lambda s: (s.began, s.rank), reverse=True)
    heads: list[tuple[int, int, RequestRecord, Iterator[RequestRecord]]] = []
    while heads or waiting:
        while waiting and (not heads or waiting[-1].began <= heads[0][0]):
            source = waiting.pop()
            _push(heads, in_order(_records(source, decoder), window), source.rank)
        if heads:
            _, rank, record, records = heapq.heappop(heads)
            yield record
            _push(heads, records, rank)


def _push(
    heads: list[tuple[int, int, RequestRecord, Iterator[RequestRecord]]], records: Iterator[RequestRecord], rank: int
) -> None:
    record = next(records, None)
    if record is not None:
        heapq.heappush(heads, (record.start_unix_ns, rank, record, records))


def in_order(records: Iterable[RequestRecord], size: int) -> Iterator[RequestRecord]:
    """Sort records by start within a window of `size` records."""
    window: list[tuple[int, int, RequestRecord]] = []
    for number, record in enumerate(records):
        item = (record.start_unix_ns, number, record)
        if len(window) < size:
            heapq.heappush(window, item)
        else:
            yield heapq.heappushpop(window, item)[2]
    window.sort()
    for _, _, record in window:
        yield record


def _records(source: Source, decoder: RecordDecoder) -> Iterator[RequestRecord]:
    for path in source.paths:
        name = name_of(path)
        for number, document, complete in read_documents(path, decoder.report):
            yield from decoder.decode(document, name, number, complete=complete)
