"""OpenTelemetry exporters that write OTLP JSON lines to the local store."""

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from opentelemetry.exporter.otlp.json.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.json.common.trace_encoder import encode_spans
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from groqscope._diagnostics import log_failure_once
from groqscope.store.directory import store_directory
from groqscope.store.others import OTHERS, OtherSpans
from groqscope.store.segments import METRICS_SHARE, SEGMENT_BYTES, TOTAL_BYTES, SegmentWriter

_logger = logging.getLogger("groqscope.store")


class LocalSpanExporter(SpanExporter):
    """Writes each batch of spans as one line, a `TracesData` of OTLP JSON, to `traces-*.jsonl`."""

    def __init__(
        self,
        directory: Path | None = None,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        total_bytes: int = TOTAL_BYTES,
        others: int = OTHERS,
        on_closed: Callable[[], object] | None = None,
    ) -> None:
        """Write to a directory, by default `store_directory()`; nothing is created before the first batch.

        Args:
            directory: Created with mode 0700; files get 0600.
            segment_bytes: A file that would grow beyond this is followed by a new one.
            total_bytes: Limit of all trace files in the directory, by any process; the oldest are removed and counted.
            others: Limit of other libraries' spans of one trace; of traces without a Groq request there are none.
            on_closed: Called by the thread that exports, when a new file has followed one.
        """
        self.segments = SegmentWriter(
            directory or store_directory(),
            "traces",
            segment_bytes=segment_bytes,
            total_bytes=total_bytes,
            on_closed=on_closed,
        )
        self._others = OtherSpans(others)
        self.lost_spans = 0
        """Spans that could not be written."""
        self._shut_down = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write one batch; a failure is counted and logged once, never raised."""
        if self._shut_down or not spans:
            return SpanExportResult.FAILURE if spans else SpanExportResult.SUCCESS
        spans = self._others.select(spans)
        if not spans:
            return SpanExportResult.SUCCESS
        line = encode_span_line(spans)
        if line is not None and self.segments.write(line):
            return SpanExportResult.SUCCESS
        self.lost_spans += len(spans)
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Close the file."""
        self._shut_down = True
        self.segments.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return at once: each batch is written before `export` returns."""
        del timeout_millis
        return True


class LocalMetricExporter(MetricExporter):
    """Writes each collection as one line, a `MetricsData` of OTLP JSON, to `metrics-*.jsonl`; always cumulative."""

    def __init__(
        self,
        directory: Path | None = None,
        *,
        segment_bytes: int = SEGMENT_BYTES // METRICS_SHARE,
        total_bytes: int = TOTAL_BYTES // METRICS_SHARE,
    ) -> None:
        """Write to a directory, by default `store_directory()`; the arguments are those of `LocalSpanExporter`."""
        super().__init__()
        self.segments = SegmentWriter(
            directory or store_directory(), "metrics", segment_bytes=segment_bytes, total_bytes=total_bytes
        )
        self._shut_down = False

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Write one collection; a failure is counted and logged once, never raised."""
        del timeout_millis, kwargs
        if self._shut_down:
            return MetricExportResult.FAILURE
        line = encode_metric_line(metrics_data)
        written = line is not None and self.segments.write(line)
        return MetricExportResult.SUCCESS if written else MetricExportResult.FAILURE

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Close the file."""
        del timeout_millis, kwargs
        self._shut_down = True
        self.segments.close()

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Return at once: each collection is written before `export` returns."""
        del timeout_millis
        return True


def encode_span_line(spans: Sequence[ReadableSpan]) -> bytes | None:
    """Encode spans as one line without its newline; `None` when the encoder raises."""
    try:
        return _dump(encode_spans(spans).to_dict())
    except Exception as error:  # noqa: BLE001 - no attribute value may stop the exporter's thread
        log_failure_once(_logger, "groqscope cannot encode spans, which are lost", error)
        return None


def encode_metric_line(metrics_data: MetricsData) -> bytes | None:
    """Encode metrics as one line without its newline; `None` when the encoder raises."""
    try:
        return _dump(encode_metrics(metrics_data).to_dict())
    except Exception as error:  # noqa: BLE001 - as above
        log_failure_once(_logger, "groqscope cannot encode metrics, which are lost", error)
        return None


def _dump(message: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(message)
    except UnicodeEncodeError:
        # A lone surrogate cannot be encoded as UTF-8; as an escape it is valid JSON.
        return json.dumps(message).encode()
