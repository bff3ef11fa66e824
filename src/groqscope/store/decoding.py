"""Lines of OTLP JSON to records."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypedDict

import msgspec

from groqscope import codec, semconv
from groqscope.store import otlp
from groqscope.store.foreign import foreign_record
from groqscope.store.report import ReadReport
from groqscope.timeline import RequestRecord

_RECORD_MARK = f'"{semconv.RECORD}"'.encode()
_FOREIGN_MARK = b'"gen_ai.'
_OURS_MARK = b'"groqscope.'


class _Identity(TypedDict):
    start_unix_ns: int
    duration_ns: int
    trace_id: str | None
    span_id: str | None
    service: str | None


@dataclass(slots=True)
class RecordDecoder:
    """Turns lines into records and notes what it passed over."""

    report: ReadReport = field(default_factory=ReadReport)
    since: int | None = None
    """Start at or after this, Unix nanoseconds."""
    until: int | None = None
    """Start before this."""
    timelines: bool = True
    """Whether arrival times of chunks are read; they are a tenth of the work and most of a record's memory."""

    def decode(self, line: bytes, source: str, number: int | None) -> Iterator[RequestRecord]:
        """Yield the records of one line.

        Raises:
            msgspec.DecodeError: the line is not JSON, or no object.
        """

        def warn(reason: str) -> None:
            self.report.warn(source, number, reason)

        for span, service in self._spans(line, warn):
            try:
                record = self._record(span, service)
            except (ValueError, TypeError, OverflowError, RecursionError) as error:
                warn(f"a span that cannot be read: {error}")
                continue
            if record is not None:
                self.report.records += 1
                yield record

    @staticmethod
    def _spans(line: bytes, warn: otlp.Warn) -> Iterator[tuple[otlp.Span, str | None]]:
        try:
            yield from otlp.spans_of(line, warn)
        except UnicodeDecodeError as error:
            # msgspec's own error for a text that is no UTF-8 is not its DecodeError.
            raise msgspec.DecodeError(str(error)) from error

    def _record(self, span: otlp.Span, service: str | None) -> RequestRecord | None:
        raw = bytes(span.attributes)
        ours = _RECORD_MARK in raw
        if not ours and (_FOREIGN_MARK not in raw or _OURS_MARK in raw):
            return None
        start = int(span.start_time_unix_nano or 0)
        if (self.since is not None and start < self.since) or (self.until is not None and start >= self.until):
            return None
        duration = int(span.end_time_unix_nano or 0) - start
        if duration < 0:
            raise ValueError("it ends before it begins")
        identity = _Identity(
            start_unix_ns=start,
            duration_ns=duration,
            trace_id=otlp.hex_id(span.trace_id, 32),
            span_id=otlp.hex_id(span.span_id, 16),
            service=service,
        )
        attributes, events = otlp.parts_of(span)
        if not ours:
            return foreign_record(otlp.to_dict(attributes), **identity, failed=otlp.failed(span))
        nested = otlp.kind_of(span) == otlp.KIND_INTERNAL
        by_name = otlp.to_dict(attributes)
        if not self.timelines:
            by_name.pop(semconv.TIMELINE, None)
        given = [(event.name, otlp.to_dict(event.attributes)) for event in events]
        return codec.decode(by_name, given, **identity, nested=nested)


def decode_traces(data: bytes, *, source: str = "-", report: ReadReport | None = None) -> list[RequestRecord]:
    """Read the records of one OTLP JSON document: a `TracesData`, or a trace as Tempo's API gives it.

    Raises:
        ValueError: it is not JSON, or no object.
    """
    return list(RecordDecoder(report or ReadReport()).decode(data, source, None))


DecodeError = msgspec.DecodeError
