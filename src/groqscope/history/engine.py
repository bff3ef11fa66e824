"""DuckDB, which reads and writes the columns; imported only where there are some."""

import os
import tempfile
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from groqscope.history.errors import HistoryError

INSTALL: Final = "pip install 'groqscope[history]'"


def installed() -> bool:
    """Whether DuckDB is there."""
    return find_spec("duckdb") is not None


def require() -> Any:
    """Return DuckDB.

    Raises:
        HistoryError: it is not installed.
    """
    try:
        return import_module("duckdb")
    except ImportError as error:
        raise HistoryError(
            f"requests stored as Parquet are read by DuckDB, which is not installed: {INSTALL}"
        ) from error


class _NothingRaisesThis(Exception):
    pass


def connect(*, threads: int | None = None, memory: str | None = None) -> Any:
    """Open a database in memory, which goes to the system's temporary directory when it needs more.

    Raises:
        HistoryError: DuckDB is not installed.
    """
    duckdb = require()
    settings: dict[str, Any] = {
        "threads": threads or _processors(),
        "temp_directory": os.path.join(tempfile.gettempdir(), f"groqscope-duckdb-{os.getpid()}"),  # noqa: PTH118
        "preserve_insertion_order": False,
        # Nothing is fetched from the network, and nothing that a user set up elsewhere is loaded.
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    if memory is not None:
        settings["memory_limit"] = memory
    connection = duckdb.connect(":memory:", config=settings)
    # `python -c` and notebooks get one otherwise, in the middle of what the program prints.
    connection.execute("SET enable_progress_bar = false")
    return connection


def engine_error() -> type[Exception]:
    """Return the class of what DuckDB raises; of what nothing raises, where it is not installed."""
    try:
        return import_module("duckdb").Error
    except ImportError:
        return _NothingRaisesThis


def literal(text: str) -> str:
    """Write a text as SQL, where no parameter can stand: the name of a file in `COPY`."""
    return "'" + text.replace("'", "''") + "'"


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
