"""The requests that a query selects, as columns that SQL can ask."""

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from groqscope.audit import columns
from groqscope.audit.columns import MEASURED, Named, condition_sql
from groqscope.audit.conditions import Condition
from groqscope.audit.expression import compile_where
from groqscope.audit.selection import Query
from groqscope.audit.sources import Requests
from groqscope.history import whole
from groqscope.timeline import PHASE_NAMES, RequestRecord

IN_MEMORY: Final = 50_000
"""Requests up to which the columns are kept in memory; of more, each question reads its own again."""
_ALWAYS: Final = ("start_unix_ns", "trace_id", "span_id")
"""Columns by which requests are told apart and ordered, whether a question names them or not."""
_WORD: Final = re.compile(r"\w+")
PHASED: Final = {f"phase_{phase}": f"phases.{phase}" for phase in PHASE_NAMES}
"""The columns of phases, apart from those of the rules, where a phase that did not happen is 0."""
_COLUMNS: Final[Mapping[str, str]] = {
    **{
        name: name
        for name in (
            "model",
            "stream",
            "outcome",
            "service",
            "start_unix_ns",
            "cost",
            "cost_estimate",
            "phases_clamped",
        )
    },
    **{name: name for name in ("trace_id", "span_id")},
    "id": "coalesce(nullif(request_id, ''), nullif(span_id, ''), nullif(response_id, ''), '')",
    "kind_of_error": "coalesce(nullif(error_type, ''), nullif(stream_error, ''), outcome)",
    "failed": columns.IS_FAILED,
    "left_early": columns.IS_LEFT,
    "http_retries": "measured_retries",
    "usage_known": "(usage.input_tokens IS NOT NULL OR usage.output_tokens IS NOT NULL)",
    "input_tokens": "usage.input_tokens",
    "cached_tokens": "usage.cached_tokens",
    "reasoning_tokens": "usage.reasoning_tokens",
    "called": "measured_tool_calls",
    "tools": "list_transform(tool_calls, lambda c: {'name': c.name, 'valid': c.arguments_valid, "
    "'size': c.arguments_size, 'assembly': c.assembly_ns})",
    "ttfc": "ttfc_ns",
    "ttft": "ttft_ns",
    "ttfot": "ttfot_ns",
    "tpot": columns.SQL["tpot"],
    "throughput": columns.SQL["throughput"],
    **PHASED,
    "phased": "measured_phased",
    **MEASURED,
    "cacheable_tokens": columns.CACHEABLE,
    "miss_reason": "cache_miss",
    "missed_tokens": "cache_missed_tokens",
    "cache_saved": "cache_saved",
    "cache_lost": "cache_lost",
    "prompt_ns": whole("usage.prompt_time * 1e9"),
}
Key = tuple[int, str | None, str | None]
"""Start, trace ID and span ID of a request."""
Row = tuple[Any, ...]
Asking = Generator[Sequence[str], Sequence[list[Row]], None]
"""A part of an analysis: it yields questions on `requests` that do not need each other's answers, and gets the rows."""


class Selected:
    """The selected requests: the table `requests` of a few, and of many a part of each question."""

    def __init__(
        self,
        dataset: Requests,
        query: Query,
        parameters: Named,
        more: Mapping[str, str],
        *,
        beginning: str | None = None,
    ) -> None:
        """Select.

        Args:
            dataset: All requests.
            query: Which of them.
            parameters: The values that `more` refers to.
            more: Columns beside those of every overview.
            beginning: Of an ID, to select from what may have it alone and for few questions.
        """
        self._dataset = dataset
        self._relation = dataset.relation if beginning is None else partial(dataset.may_have, beginning)
        self._in_time = _in_time(query)
        self._values = Named("q")
        where = None if query.where is None else compile_where(query.where).condition
        self._condition = " AND ".join(conditions_of(query, where, self._values)) or "true"
        self._last = query.last
        self._columns = {**_COLUMNS, **more}
        self._narrowed: list[str] = []
        self._bound = self._values.values | parameters.values
        ((self.count,),) = dataset.ask(f"SELECT count(*) FROM ({self._everything()})", self._values.values)
        """How many there are, `last` aside."""
        self.in_memory = False
        if beginning is None and dataset.keeps_tables and self.count <= IN_MEMORY:
            self._keep("true", {})

    def ask(self, query: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Return the rows of a query on `requests`."""
        bound = {**self._bound, **(values or {})}
        return self._dataset.ask(self._question(query), bound)

    def answer(self, *parts: Asking) -> None:
        """Answer what some parts of an analysis ask; what they want to know at the same time is asked together."""
        asking = together(*parts)
        try:
            questions = next(asking)
            while True:
                asked = [*map(self._question, questions)]
                questions = asking.send(self._dataset.ask_together(asked, self._bound))
        except StopIteration:
            return

    def narrow(self, condition: str, values: Mapping[str, Any], *, few: bool = False) -> None:
        """Leave only the requests that fit a condition, and keep their columns if they are few, as may be known."""
        if self._dataset.keeps_tables:
            counted = f"SELECT count(*) FROM requests WHERE {condition}"
            if few or self.in_memory or self.ask(counted, values)[0][0] <= IN_MEMORY:
                self._keep(condition, values)
                return
        self._bound = {**self._bound, **values}
        self._narrowed.append(condition)

    def _keep(self, condition: str, values: Mapping[str, Any]) -> None:
        rows = "FROM requests" if self.in_memory else self._rows(self._columns)
        which = f"CREATE OR REPLACE TABLE requests AS SELECT * FROM ({rows}) WHERE {condition}"
        self._dataset.ask(which, {**self._bound, **values})
        self._narrowed, self._bound, self.in_memory = [], {}, True

    def _question(self, query: str) -> str:
        """Return a query with what `requests` is in it: the columns that it names, since others take time to plan."""
        if self.in_memory:
            return query
        named = {*_WORD.findall(" ".join([query, *self._narrowed])), *_ALWAYS}
        return f"WITH requests AS ({self._rows({n: sql for n, sql in self._columns.items() if n in named})}) {query}"

    def _rows(self, chosen: Mapping[str, str]) -> str:
        names = ", ".join(f"{sql} AS {name}" for name, sql in chosen.items())
        rows = self._relation(lambda requests: f"SELECT {names} FROM ({self._fit(requests)})")
        if self._last is not None:
            newest = "ORDER BY start_unix_ns DESC, coalesce(span_id, '') DESC"
            rows = f"SELECT * FROM ({rows}) {newest} LIMIT {self._last:d}"
        return f"SELECT * FROM ({rows}) WHERE {' AND '.join(self._narrowed)}" if self._narrowed else rows

    def define(self, table: str, types: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> None:
        """Make rows known as a table."""
        self._dataset.define(table, types, rows)

    @property
    def read(self) -> str:
        """The question how many requests there are in the time asked for, selected or not."""
        return f"SELECT count(*) FROM ({self._relation()}) WHERE {self._in_time}"

    def records(self, chosen: Sequence[Key], *, timelines: bool) -> Iterator[RequestRecord]:
        """Yield the records of some of the requests."""
        if not chosen:
            return
        wanted = set(chosen)
        # By their starts the engine knows which parts of which files to read; what else began then is not wanted.
        starts = ", ".join(str(start) for start in sorted({start for start, _, _ in chosen}))
        query = f"SELECT * FROM ({self._relation()}) WHERE start_unix_ns IN ({starts})"
        for record in self._dataset.fetch(query, timelines=timelines):
            if (record.start_unix_ns, record.trace_id, record.span_id) in wanted:
                yield record

    def every_record(self, *, timelines: bool) -> Iterator[RequestRecord]:
        """Yield the records of all of them, `last` aside, in any order."""
        return self._dataset.fetch(self._everything(), self._values.values, timelines=timelines)

    def _everything(self) -> str:
        return self._relation(self._fit)

    def _fit(self, requests: str) -> str:
        return f"SELECT * FROM ({requests}) WHERE {self._in_time} AND {self._condition}"


def together(*parts: Asking) -> Asking:
    """Return parts of an analysis as one, which asks what each of them wants to know next."""
    waiting: list[tuple[Asking, Sequence[str]]] = []
    for part in parts:
        with suppress(StopIteration):
            waiting.append((part, next(part)))
    while waiting:
        answers = iter((yield [one for _, questions in waiting for one in questions]))
        asked, waiting = waiting, []
        for part, questions in asked:
            with suppress(StopIteration):
                waiting.append((part, part.send([next(answers) for _ in questions])))


def _in_time(query: Query) -> str:
    conditions = [f"start_unix_ns >= {query.since:d}"] if query.since is not None else []
    conditions += [f"start_unix_ns < {query.until:d}"] if query.until is not None else []
    return " AND ".join(conditions) or "true"


def conditions_of(query: Query, where: Condition | None, values: Named) -> Iterator[str]:
    """Yield what a query demands of a request, beside its time: `where` is its condition."""
    if query.models:
        model = columns.without_case("coalesce(model, '')")
        parts = (f"contains({model}, {columns.without_case(values.add(one))})" for one in query.models)
        yield f"({' OR '.join(parts)})"
    if query.services:
        yield f"({' OR '.join(f'service = {values.add(service)}' for service in query.services)})"
    if query.outcomes:
        yield f"({' OR '.join(f'outcome = {values.add(outcome)}' for outcome in query.outcomes)})"
    if where is not None:
        yield f"({condition_sql(where, values)})"
