"""The one loop over all records."""

from collections.abc import Callable

from groqscope.audit.aggregate import Aggregate
from groqscope.audit.budgets import Budgets
from groqscope.audit.reading import Reading, Top

Watch = Callable[[int], object]
"""Called with the number of records read since the last call, for a progress bar."""


def count_records(
    reading: Reading,
    aggregate: Aggregate,
    top: Top,
    budgets: Budgets | None,
    *,
    timelines: bool,
    watch: Watch | None,
) -> None:
    """Read everything that is selected and count it."""
    for record in reading.records(timelines=timelines):
        aggregate.add(record)
        top.add(record)
        if budgets is not None:
            budgets.add(record)
        if watch is not None:
            watch(1)
