"""Decodes records from OTLP JSON documents."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Protocol, TypedDict

import msgspec

from groqscope import codec, semconv
from groqscope.codec import Warn
from groqscope.store import otlp
from groqscope.store.canonical import CanonicalReader, canonical_reader
from groqscope.store.documents import split
from groqscope.store.foreign import foreign_record, is_inference
from groqscope.store.messages import Span
from groqscope.store.report import MAX_WARNINGS, TORN, ReadReport
from groqscope.store.twice_told import Observed
from groqscope.timeline import RequestRecord

_RECORD_MARK = f'"{semconv.RECORD}"'.encode()
_FOREIGN_MARK = b'"gen_ai.'
_OURS_MARK = b'"groqscope.'
_SUMMARY_MARK = f'"{semconv.REQUESTS}"'.encode()
_ELSEWHERE: Final = (
    {semconv.RUN_NAME} | {a.name for a in semconv.SUMMARY} | {a.name for e in semconv.EVENTS for a in e.attributes}
)
_OWN_NAMES: Final = [
    a.name
    for a in (*semconv.FIELDS, *semconv.DERIVED)
    if a.name.startswith("groqscope.") and a.name not in _ELSEWHERE and a.name != semconv.RECORD
]
_OWN: Final = re.compile(f'"(?:{"|".join(map(re.escape, _OWN_NAMES))})"'.encode())
"""Attribute names that only record spans have; they identify one whose `groqscope.record` was dropped or removed."""
NEWER: Final = "update groqscope"
"""In the reason of a warning: a later version reads more."""
_TRACE_ID: Final = re.compile("(?!0{32})[0-9a-f]{32}").fullmatch
_SPAN_ID: Final = re.compile("(?!0{16})[0-9a-f]{16}").fullmatch
"""IDs as most write them, which are taken as they are."""
_LATEST_VERSION: Final = 1000
"""A greater version number is taken as damaged, not as a newer version."""
_LONGEST_NS: Final = 366 * 86_400 * 10**9
"""A longer duration means that the start or the end of the span is damaged."""


class _Warn(Protocol):
    def __call__(self, reason: str, *, damage: bool = True) -> None: ...


class _Identity(TypedDict):
    start_unix_ns: int
    duration_ns: int
    trace_id: str | None
    span_id: str | None
    service: str | None


@dataclass(slots=True)
class RecordDecoder:
    """Decodes the records of documents, and reports what it skips."""

    report: ReadReport = field(default_factory=ReadReport)
    since: int | None = None
    """Only requests that start at or after this, in Unix nanoseconds."""
    until: int | None = None
    """Only requests that start before this."""
    timelines: bool = True
    """Whether to read the arrival times of chunks, which take a tenth of the time and most of a record's memory."""
    wants: Callable[[Span], bool] | None = None
    """Which spans are read at all; `None`: every one."""
    on_span: Callable[[Span, RequestRecord | None], None] | None = None
    """Called with every span, and with its record if it has one."""
    _canonical: CanonicalReader = field(default_factory=canonical_reader)
    _observed: Observed = field(default_factory=Observed)
    _told: set[str] = field(default_factory=set[str])
    """Warnings about other libraries' spans, each given once: a library writes all of its spans the same way."""

    def decode(
        self, document: bytes, source: str, number: int | None, *, complete: bool = True
    ) -> Iterator[RequestRecord]:
        """Yield the records of one document; report its defects as warnings.

        Args:
            document: JSON.
            source: File name, for warnings.
            number: Line number, for warnings.
            complete: Whether its writer finished it.
        """
        warn = partial(self.report.warn, source, number)
        try:
            yield from self._records(document, warn)
            return
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            found, said = split(document)
            if not found:
                warn(_unreadable(error, complete=complete))
                return
        for reason in said:
            warn(reason)
        for one in found:
            try:
                yield from self._records(one, warn)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                warn(f"not JSON: {error}")

    def _records(self, document: bytes, warn: "_Warn") -> Iterator[RequestRecord]:
        foreign: list[tuple[RequestRecord, bool]] = []
        for span, service in otlp.spans_of(document, warn):
            if self.wants is not None and not self.wants(span):
                continue
            try:
                record, ours = self._record(span, service, warn)
            except (msgspec.DecodeError, ValueError, TypeError, OverflowError, RecursionError) as error:
                warn(f"unreadable span: {error}")
                continue
            if self.on_span is not None:
                self.on_span(span, record)
            if record is None:
                continue
            alone = not span.parent_span_id
            if not ours:
                foreign.append((record, alone))
                continue
            self._observed.add(record, alone=alone)
            self.report.records += 1
            yield record
        # Spans are written in the order in which they end, but those of one document library by library.
        for record, alone in foreign:
            if not self._observed.tells(record, alone=alone):
                self.report.records += 1
                yield record

    def _record(self, span: Span, service: str | None, warn_line: "_Warn") -> tuple[RequestRecord | None, bool]:
        """Return the record of a span, and whether it is ours."""
        raw = bytes(span.attributes)
        marked = raw.rfind(_RECORD_MARK) >= 0  # it is written last
        ours = marked or (_OURS_MARK in raw and _SUMMARY_MARK not in raw and _OWN.search(raw) is not None)
        if not ours and (_FOREIGN_MARK not in raw or _OURS_MARK in raw):
            return None, ours

        def warn(reason: str, *, damage: bool = True) -> None:
            warn_line(f"span {str(span.span_id or '?')[:16]}: {reason}", damage=damage)

        start, end = _time(span.start_time_unix_nano), _time(span.end_time_unix_nano)
        known = start is not None and end is not None and 0 <= end - start <= _LONGEST_NS
        begin = (start if known else start or end) or 0
        if known and not self._selects(begin):
            return None, ours
        identity = _Identity(
            start_unix_ns=begin,
            duration_ns=end - begin if known and end is not None else 0,
            trace_id=span.trace_id if _TRACE_ID(span.trace_id or "") else _id(span.trace_id, 32, "trace id", warn),
            span_id=span.span_id if _SPAN_ID(span.span_id or "") else _id(span.span_id, 16, "span id", warn),
            service=service,
        )
        if ours:
            nested = otlp.kind_of(span) == otlp.KIND_INTERNAL
            given = (*identity.values(), nested)
            record = self._canonical.record_of(raw, span.events, given, timelines=self.timelines) if marked else None
            if record is None:
                record = self._own_record(span, identity, warn, marked=marked, nested=nested)
        else:
            attributes = otlp.attributes_of(span, warn)
            if not is_inference(attributes):
                return None, ours
            told = partial(self._warn_once, warn)
            record = foreign_record(attributes, **identity, failed=otlp.failed(span), warn=told)
        if known:
            return record, ours
        warn("its start or end is unreadable, or they are in the wrong order: its duration is taken from its phases")
        record = _with_length(record, start, end)
        return (record if self._selects(record.start_unix_ns) else None), ours

    def _warn_once(self, warn: "_Warn", reason: str) -> None:
        if reason not in self._told and len(self._told) < MAX_WARNINGS:
            self._told.add(reason)
            warn(reason, damage=False)

    def _selects(self, start: int) -> bool:
        return (self.since is None or start >= self.since) and (self.until is None or start < self.until)

    def _own_record(
        self, span: Span, identity: _Identity, warn: "_Warn", *, marked: bool, nested: bool
    ) -> RequestRecord:
        attributes = otlp.attributes_of(span, warn)
        failed = otlp.failed(span)
        version = attributes.get(semconv.RECORD)
        if version != semconv.RECORD_VERSION and _is_newer(version):
            warn(
                f"{semconv.RECORD} is {version!r:.20}, and this version reads up to {semconv.RECORD_VERSION}: only "
                f"the attributes of the GenAI conventions were read; {NEWER}"
            )
            return replace(foreign_record(attributes, **identity, failed=failed), nested=nested)
        limited = partial(warn, damage=False)
        if version is None and not marked:
            limited(f"{semconv.RECORD} is missing; the other attributes were read")
        elif version != semconv.RECORD_VERSION and version is not None:
            warn(f"{semconv.RECORD} is damaged; the other attributes were read")
        if not self.timelines:
            attributes.pop(semconv.TIMELINE, None)
        events = otlp.events_of(span, warn)
        record = codec.decode(attributes, events, **identity, nested=nested, warn=warn, limited=limited)
        if record.outcome is None and failed:
            record = replace(record, outcome="error")
        return record


def decode_traces(data: bytes, *, source: str = "-", report: ReadReport | None = None) -> list[RequestRecord]:
    """Read the records of one OTLP JSON document: a `TracesData`, or a trace as Tempo's API gives it.

    Raises:
        ValueError: there is no JSON in it.
    """
    report = report or ReadReport()
    decoder = RecordDecoder(report)
    try:
        return list(decoder._records(data, partial(report.warn, source, None)))  # noqa: SLF001 - ours
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if not split(data)[0]:
            raise msgspec.DecodeError(_unreadable(error, complete=True)) from error
        return list(decoder.decode(data, source, None))


def _unreadable(error: Exception, *, complete: bool) -> str:
    if not complete and (isinstance(error, UnicodeDecodeError) or "truncated" in str(error)):
        return f"{TORN}; skipped"
    return f"not JSON: {error}"


def _is_newer(version: object) -> bool:
    if isinstance(version, bool) or not isinstance(version, int | float):
        return False
    return float(version).is_integer() and semconv.RECORD_VERSION < version <= _LATEST_VERSION


def _time(value: Any) -> int | None:
    """Return a time in Unix nanoseconds; 0 when it is absent (OTLP omits a 0), `None` when it is not a time."""
    try:
        time = int(value or 0)
    except (TypeError, ValueError):
        return None
    return time if 0 <= time < 1 << 63 else None


def _id(text: str | None, digits: int, name: str, warn: Warn) -> str | None:
    try:
        return otlp.hex_id(text, digits)
    except ValueError as error:
        warn(f"{name}: {error}; left out")
        return None


def _with_length(record: RequestRecord, start: int | None, end: int | None) -> RequestRecord:
    """Return the record with its duration taken from the phases, and a missing start computed from the end."""
    length = record.phases.total() or max(record.last_chunk_ns or 0, record.ttfc_ns or 0)
    begin = start or max(0, (end or 0) - length)
    return replace(record, start_unix_ns=begin, duration_ns=length)
