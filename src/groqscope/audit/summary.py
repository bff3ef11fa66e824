"""The overview: every selected record counted, the newest or slowest kept to be listed, each with its verdict."""

from collections.abc import Sequence

from groqscope.audit.aggregate import Aggregate
from groqscope.audit.budgets import Budgets
from groqscope.audit.counting import Watch, count_records
from groqscope.audit.model import Audit, Entry, ModelSummary
from groqscope.audit.parallel import read_shared, worth_it
from groqscope.audit.reading import Reading, Top
from groqscope.audit.verdict import judge
from groqscope.audit.words import count, percent
from groqscope.timeline import RequestRecord

LISTED = 20
"""Requests that an overview lists by default."""


def overview(
    reading: Reading,
    *,
    listed: int | None = LISTED,
    budgets: Budgets | None = None,
    why: bool = False,
    timelines: bool = True,
    workers: int = 1,
    watch: Watch | None = None,
) -> Audit:
    """Read everything and sum it up.

    Args:
        reading: The source and what to select from it.
        listed: How many requests to keep and list; `None`: all of them.
        budgets: Limits to hold the requests against.
        why: Explain the slow requests.
        timelines: Read the arrival times of chunks of the requests listed.
        workers: Processes that share a large store (Linux; only in a program of one thread, which is forked).
        watch: Called with the number of records read since the last call, for a progress bar.

    Raises:
        AuditError: nothing can be read, or nothing is selected.
    """
    query = reading.query
    aggregate = Aggregate()
    top = Top(query.slowest or listed, query.by if query.slowest else None)
    files = worth_it(reading, top.limit, workers)
    if files:
        read_shared(files, reading, aggregate, top, budgets, timelines=timelines, workers=workers, watch=watch)
    else:
        count_records(reading, aggregate, top, budgets, timelines=timelines, watch=watch)
    reading.require_requests()
    return summarise(reading, aggregate, top.records(), budgets=budgets, why=why)


def summarise(
    reading: Reading,
    aggregate: Aggregate,
    records: Sequence[RequestRecord],
    *,
    budgets: Budgets | None,
    why: bool,
) -> Audit:
    """Freeze what was counted."""
    total = aggregate.total()
    entries = tuple(Entry(record=r, verdict=judge(r, aggregate.usual.of(r))) for r in records)
    return Audit(
        provenance=reading.provenance(),
        sentence=_sentence(total),
        total=total,
        models=aggregate.models(),
        tools=aggregate.tool_summaries(),
        entries=entries,
        omitted=total.requests - len(entries),
        why=aggregate.why() if why else None,
        budgets=() if budgets is None else budgets.results(),
    )


def _sentence(total: ModelSummary) -> str:
    head = count(total.requests, "request")
    if total.errors:
        kind, number = total.error_types[0]
        words = f"{kind}" if number == total.errors else f"most often {kind}"
        head += f", {total.errors:,} failed ({percent(total.errors / total.requests)}; {words})"
    return f"{head}. {total.verdict}"
