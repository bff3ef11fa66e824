"""Local OTLP JSON files: write, rotate, read, follow.

Reading needs no OpenTelemetry SDK, so the exporters are imported only when asked for.
"""

from typing import TYPE_CHECKING

from groqscope.store._decoding import decode_traces
from groqscope.store._directory import HOME_VARIABLE, home, spool_directory, store_directory
from groqscope.store._follow import Follower, follow
from groqscope.store._foreign import foreign_record
from groqscope.store._reader import read_records
from groqscope.store._report import ReadReport, ReadWarning

if TYPE_CHECKING:
    from groqscope.store._exporters import LocalMetricExporter, LocalSpanExporter

__all__ = [
    "HOME_VARIABLE",
    "Follower",
    "LocalMetricExporter",
    "LocalSpanExporter",
    "ReadReport",
    "ReadWarning",
    "decode_traces",
    "follow",
    "foreign_record",
    "home",
    "read_records",
    "spool_directory",
    "store_directory",
]


def __getattr__(name: str) -> object:
    if name in ("LocalMetricExporter", "LocalSpanExporter"):
        from groqscope.store import _exporters

        return getattr(_exporters, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
