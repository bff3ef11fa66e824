"""The history of a store: its requests in Parquet files, which any database engine can read."""

from groqscope.history.background import compact_in_background
from groqscope.history.compaction import Compaction, Retention, closed_files, compact, copy, write
from groqscope.history.dataset import Dataset
from groqscope.history.engine import INSTALL, engine_error, installed, require
from groqscope.history.errors import HistoryError
from groqscope.history.layout import Wanted
from groqscope.history.places import Directory, has_columns, is_address, is_columns, parts, place_of
from groqscope.history.traces import Having, stored_traces

__all__ = [
    "INSTALL",
    "Compaction",
    "Dataset",
    "Directory",
    "Having",
    "HistoryError",
    "Retention",
    "Wanted",
    "closed_files",
    "compact",
    "compact_in_background",
    "copy",
    "engine_error",
    "has_columns",
    "installed",
    "is_address",
    "is_columns",
    "parts",
    "place_of",
    "require",
    "stored_traces",
    "write",
]
