"""Compaction by itself: in a process of its own, so that the program's requests wait neither for it nor for its CPU."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from groqscope.history.compaction import BATCH_BYTES, closed_files
from groqscope.history.engine import installed

_running: Final[list["subprocess.Popen[bytes]"]] = []
"""The process that was started last, until it is known to have ended."""


def compact_in_background(store: Path, *, least_bytes: int = BATCH_BYTES) -> bool:
    """Start to compact a store when its closed files have reached a size; return whether a process was started.

    Nothing happens without DuckDB, while the process that was started last is running, and in a program whose
    executable is no Python, such as uWSGI or a frozen application: it would start itself.
    """
    _running[:] = [process for process in _running if process.poll() is None]
    if _running or not installed() or not Path(sys.executable or "").name.startswith("python"):
        return False
    closed, _ = closed_files(store, time.time_ns())
    size = 0
    for path in closed:
        with suppress(OSError):  # another process may have removed it
            size += path.stat().st_size
    if size < least_bytes:
        return False
    process = subprocess.Popen(  # noqa: S603 - this Python, and the path of the store
        [sys.executable, "-m", "groqscope.history", str(store)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "OTEL_SDK_DISABLED": "true"},
    )
    _running.append(process)
    return True
