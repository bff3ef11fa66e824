"""Local OTLP JSON files: write, rotate, read, follow.

Reading does not need the OpenTelemetry SDK, so the exporters, which do, are imported on first use.
"""

from typing import TYPE_CHECKING

from groqscope import _lazy
from groqscope.store.decoding import decode_traces
from groqscope.store.directory import (
    HOME_VARIABLE,
    home,
    make_private,
    say_not_written,
    spool_directory,
    store_directory,
)
from groqscope.store.follower import Follower, follow
from groqscope.store.reader import read_records, read_span
from groqscope.store.report import ReadReport, ReadWarning, SeenIds, once
from groqscope.store.segments import METRICS_SHARE, SEGMENT_BYTES, TOTAL_BYTES, SegmentWriter
from groqscope.store.sources import sources
from groqscope.store.traces import Share, TraceCollector, read_traces

if TYPE_CHECKING:
    from groqscope.store.exporters import LocalMetricExporter, LocalSpanExporter, encode_span_line
    from groqscope.store.others import OTHERS

__all__ = [
    "HOME_VARIABLE",
    "METRICS_SHARE",
    "OTHERS",
    "SEGMENT_BYTES",
    "TOTAL_BYTES",
    "Follower",
    "LocalMetricExporter",
    "LocalSpanExporter",
    "ReadReport",
    "ReadWarning",
    "SeenIds",
    "SegmentWriter",
    "Share",
    "TraceCollector",
    "decode_traces",
    "encode_span_line",
    "follow",
    "home",
    "make_private",
    "once",
    "read_records",
    "read_span",
    "read_traces",
    "say_not_written",
    "sources",
    "spool_directory",
    "store_directory",
]

__getattr__, __dir__ = _lazy.attach(
    __name__,
    {
        "exporters": ["LocalMetricExporter", "LocalSpanExporter", "encode_span_line"],
        "others": ["OTHERS"],
    },
)
