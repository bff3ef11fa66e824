"""Large stores read by several processes: a file each, and what they counted is put together.

Only counts, samples and the few records to be listed travel between processes. Children are forked, so that queries and
budgets reach them as they are; that is safe only in a program of one thread, so the command line asks for it and nobody
else.
"""

import gc
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from groqscope.audit.aggregate import Aggregate
from groqscope.audit.budgets import Budgets, BudgetsState
from groqscope.audit.counting import Watch, count_records
from groqscope.audit.reading import Reading, Top
from groqscope.audit.sources import FileSource, ReadReport
from groqscope.timeline import RequestRecord

WORTH_IT: Final = 48 * 1024 * 1024
"""Bytes from which starting processes pays."""
MOST: Final = 8
_MOST_LISTED: Final = 1000


@dataclass(frozen=True, slots=True)
class _Job:
    """What every child does with its file."""

    reading: Reading
    budgets: Budgets | None
    listed: int | None
    by: str | None
    timelines: bool


@dataclass(frozen=True, slots=True)
class _Part:
    """What came of one file."""

    reading: Reading
    aggregate: Aggregate
    listed: list[RequestRecord]
    budgets: BudgetsState | None


_job: _Job | None = None
"""Set before the children are forked, so that each has it."""


def processors() -> int:
    """Count the processors this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1


def worth_it(reading: Reading, listed: int | None, workers: int) -> list[Path]:
    """Give the files to share out, or none when one process does as well."""
    source = reading.source
    if workers < 2 or sys.platform != "linux" or not isinstance(source, FileSource):  # noqa: PLR2004 - one is none
        return []
    if reading.query.last is not None or listed is None or listed > _MOST_LISTED:
        return []
    files = source.files()
    if len(files) < 2 or sum(file.stat().st_size for file in files) < WORTH_IT:  # noqa: PLR2004 - nothing to share
        return []
    return files


def read_shared(
    files: list[Path],
    reading: Reading,
    aggregate: Aggregate,
    top: Top,
    budgets: Budgets | None,
    *,
    timelines: bool,
    workers: int,
    watch: Watch | None,
) -> None:
    """Read files by several processes and add what they counted."""
    import multiprocessing  # few stores are that large
    from concurrent.futures import ProcessPoolExecutor

    global _job  # noqa: PLW0603 - inherited by the children
    _job = _Job(reading, budgets, top.limit, top.by, timelines)
    report = reading.report
    report.bytes_total = sum(file.stat().st_size for file in files)
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(min(workers, MOST, len(files)), mp_context=context, initializer=_prepare)
    try:
        for part in pool.map(_read, files):
            reading.merge(part.reading)
            aggregate.merge(part.aggregate)
            for record in part.listed:
                top.add(record)
            if budgets is not None and part.budgets is not None:
                budgets.merge(part.budgets)
            if watch is not None:
                watch(part.reading.requests)
    finally:
        _job = None
        pool.shutdown(cancel_futures=True)


def _prepare() -> None:
    # Ctrl-C reaches every process of the terminal; the parent answers it for all.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A child is gone before garbage in cycles could matter; looking for it costs time.
    gc.disable()


def _read(file: Path) -> _Part:
    job = _job
    if job is None:
        raise AssertionError
    reading = Reading(FileSource([file]), job.reading.query, ReadReport())
    aggregate, top = Aggregate(), Top(job.listed, job.by)
    budgets = job.budgets.fresh() if job.budgets is not None else None
    count_records(reading, aggregate, top, budgets, timelines=job.timelines, watch=None)
    aggregate.settle()
    return _Part(reading, aggregate, top.records(), budgets.state() if budgets is not None else None)
