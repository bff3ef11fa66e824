"""The history of a store: its requests in Parquet files, which any database engine can read."""

from groqscope.history.background import compact_in_background
from groqscope.history.compaction import Compaction, Retention, closed_files, compact, copy, write
from groqscope.history.dataset import Dataset, Select, every_column
from groqscope.history.engine import INSTALL, engine_error, installed, require
from groqscope.history.errors import HistoryError
from groqscope.history.layout import Wanted
from groqscope.history.measures import (
    ATTEMPTS,
    REPORTED_NS,
    measured,
    number,
    total,
    whole,
    zero,
)
from groqscope.history.places import Directory, has_columns, is_address, is_columns, parts, place_of
from groqscope.history.traces import Having, stored_traces

__all__ = [
    "ATTEMPTS",
    "INSTALL",
    "REPORTED_NS",
    "Compaction",
    "Dataset",
    "Directory",
    "Having",
    "HistoryError",
    "Retention",
    "Select",
    "Wanted",
    "closed_files",
    "compact",
    "compact_in_background",
    "copy",
    "engine_error",
    "every_column",
    "has_columns",
    "installed",
    "is_address",
    "is_columns",
    "measured",
    "number",
    "parts",
    "place_of",
    "require",
    "stored_traces",
    "total",
    "whole",
    "write",
    "zero",
]
