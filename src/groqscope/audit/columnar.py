"""The same analysis, executed by an engine over columns: it fills a `Scan`, whose result is made as ever.

Quantiles have the same definition, to the last digit: the engine is asked for the two nearest ranks, between which
`distribution` interpolates. They are exact however many values there are, and causes are counted over every request,
not over a sample.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Self

from groqscope.audit import columns
from groqscope.audit.baseline import Key as Kind
from groqscope.audit.baseline import Rows
from groqscope.audit.budgets import GOODPUT, Budget, Budgets, Goodput, Tally
from groqscope.audit.columns import Named, condition_sql, sql_of
from groqscope.audit.conditions import Predicate
from groqscope.audit.distribution import QUANTILES, Ranked, Values, needed, range_of, ranks_of, shares_of
from groqscope.audit.fields import numeric
from groqscope.audit.groups import COUNTS, DOLLARS, MAX_GROUPS, PICO, Grouping, GroupTally
from groqscope.audit.model import ModelSummary
from groqscope.audit.prompt_cache import EXAMPLES as MISSES_SHOWN
from groqscope.audit.prompt_cache import MOSTLY, CacheSum, MissSum, PromptCacheTally
from groqscope.audit.rules import INDEX, MIN_EXCESS, MIN_NS, NOTICEABLE_NS, RULES, SLOW_TIMES, TIMES_USUAL, USUAL_NEEDS
from groqscope.audit.sample import COMPARED, Sample
from groqscope.audit.scan import MAX_SERVICES, NEAREST, Scan
from groqscope.audit.selected import PHASED, Asking, Key, Requests, Selected, together
from groqscope.audit.tally import MEASURES, ModelTally, ToolTally
from groqscope.audit.verdict import usual_of
from groqscope.audit.why import EXAMPLES, Causes, CauseTallies, CauseTally
from groqscope.history import number
from groqscope.timeline import PHASE_NAMES, RequestRecord

RANKED_AT_ONCE: Final = 60_000_000
"""Values that are ranked in one reading of the requests: the engine holds them in memory, 8 bytes each."""
KINDS_AT_ONCE: Final = 64
"""Models, streamed and not, whose usual values are sent with one question."""
_SUMS: Final[Mapping[str, str]] = {
    "requests": "1",
    "streamed": "stream::INT",
    "errors": "failed::INT",
    "abandoned": "left_early::INT",
    "retries": "http_retries",
    "retried": "(http_retries > 0)::INT",
    "input_tokens": "CASE WHEN usage_known THEN input_tokens END",
    "output_tokens": "CASE WHEN usage_known THEN tokens END",
    "cached_tokens": "CASE WHEN usage_known THEN cached_tokens END",
    "cacheable_tokens": "CASE WHEN usage_known THEN cacheable_tokens END",
    "reasoning_tokens": "CASE WHEN usage_known THEN reasoning_tokens END",
    "usage_unknown": "(NOT usage_known)::INT",
    "cost_unknown": "(cost IS NULL)::INT",
    "tool_calls": "called",
    "clamped": "phases_clamped::INT",
}
_GROUP_SUMS: Final[Mapping[str, str]] = {name: _SUMS[name] for name in COUNTS}
_USUAL: Final = tuple(name for name in INDEX if name not in {"completed", "reported", "caller_is_least"})
"""Measurements whose medians say what is usual."""
_COUNTED: Final = tuple(dict.fromkeys([*MEASURES, *PHASED, *_USUAL]))
"""The columns of which count, sum, least and greatest value are asked."""
_TALLIES: Final = {
    "errors": columns.IS_FAILED,
    "abandoned": columns.IS_LEFT,
    "retried": "measured_retries > 0",
    "requests": "true",
}
_REACHES_NS: Final = (*(600 * 10**9 * 8**n for n in range(7)), 2**64)
"""How far before and after a request others are looked for: ten minutes to five years, and everything."""
_ORDER: Final = "start_unix_ns DESC, coalesce(span_id, '') DESC"
_PRICED: Final = ("cost", "cost_estimate")
_WHOLE: Final = ()
_IDS: Final = ("request_id", "span_id", "trace_id", "response_id")
_Ranked = Mapping[tuple[Any, ...], Mapping[str, Ranked]]


class ColumnScan(Scan):
    """A scan whose counts come from DuckDB."""

    _whole: ModelTally | None = None
    _kinds: Mapping[Kind, tuple[int, Mapping[str, Ranked]]] = {}
    """Of each kind of request how many there are, and the measurements whose medians say what is usual."""
    _causes: Causes | None = None

    def causes(self) -> Causes:
        """Return the causes that DuckDB counted."""
        return self._causes or super().causes()

    def total(self, causes: Causes) -> ModelSummary:
        """Return the summary of all requests."""
        if self._whole is None:
            return super().total(causes)
        return self._whole.summary(None, list(self.baseline.rows.values()), causes)

    def fill(self, requests: Requests, *, timelines: bool = True) -> Self:
        """Query everything that an overview shows."""
        parameters = Named()
        selected = Selected(requests, self.query, parameters, self._more(parameters))
        if not selected.count:
            selected.answer(self.cover(selected))
            return self
        keys: list[Key] = []
        selected.answer(
            self.cover(selected),
            self.summarise(selected),
            self._count_tools(selected),
            _tell_cache(self.cache),
            *([] if self.budgets is None else [_measure(selected, self.budgets)]),
            *([] if self.groups is None else [_group(self.groups)]),
            self._choose(keys),
        )
        limited = self.top.limit is not None or self.query.last is not None
        for record in (
            selected.records(keys, timelines=timelines) if limited else selected.every_record(timelines=timelines)
        ):
            self.top.add(record)
        return self

    def find(self, requests: Requests, wanted: str, most: int) -> tuple[list[RequestRecord], int]:
        """Find requests by an ID or its beginning; count those of its model, of the nearest in time, when it is one.

        Return the first of them, and how many there are: with exactly this ID, or else with one that begins so.
        """
        parameters = Named()
        given = parameters.add(wanted)
        more = {
            "exact": f"coalesce({' OR '.join(f'{name} = {given}' for name in _IDS)}, false)",
            "begun": f"coalesce({' OR '.join(f'starts_with({name}, {given})' for name in _IDS)}, false)",
        }
        selected = few = Selected(requests, self.query, parameters, more)
        if not selected.in_memory and self.query.last is None:
            few = Selected(requests, self.query, parameters, more, beginning=wanted)
        (counts,) = few.ask("SELECT count(*) FILTER (WHERE exact), count(*) FILTER (WHERE begun) FROM requests")
        how, number = ("exact", counts[0]) if counts[0] else ("begun", counts[1])
        chosen = (
            f"SELECT start_unix_ns, trace_id, span_id FROM requests WHERE {how} ORDER BY start_unix_ns LIMIT {most:d}"
        )
        keys: list[Key] = few.ask(chosen) if number else []
        found = sorted(few.records(keys, timelines=True), key=lambda record: record.start_unix_ns)
        self.coverage.requests = min(selected.count, self.query.last or selected.count)
        if number == 1:
            if self.coverage.requests > NEAREST:
                _only_near(selected, found[0].start_unix_ns)
            selected.answer(self.cover(selected))
            selected.narrow("model IS NOT DISTINCT FROM $narrowed", {"narrowed": found[0].model})
            selected.answer(self.summarise(selected), _tell_cache(self.cache))
        return found, number

    def sample(self, requests: Requests) -> "ColumnSample":
        """Count what a comparison needs."""
        selected = Selected(requests, self.query, Named(), {})
        selected.answer(self.cover(selected))
        return ColumnSample(selected)

    def _more(self, parameters: Named) -> dict[str, str]:
        """Return the columns that this query and these budgets need beside the usual ones."""
        more = {"sorting": "start_unix_ns" if self.top.by is None else sql_of(numeric(self.top.by), parameters)}
        if self.query.grouping is not None:
            more["grouped"] = f"CAST({sql_of(self.query.grouping, parameters)} AS VARCHAR)"
        if self.budgets is not None:
            more |= _budget_columns(self.budgets, parameters)
        return more

    def cover(self, selected: Selected) -> Asking:
        """Count what was read and selected."""
        coverage, query = self.coverage, self.query
        counted = (
            "SELECT count(*), count(*) FILTER (WHERE NOT phased), min(start_unix_ns), max(start_unix_ns) FROM requests"
        )
        services = f"SELECT DISTINCT service FROM requests WHERE service IS NOT NULL ORDER BY ALL LIMIT {MAX_SERVICES}"
        narrowed = query.models or query.services or query.outcomes or query.where or query.last
        (row,), found, *read = yield [counted, services, *([selected.read] if narrowed else [])]
        coverage.requests, coverage.foreign, coverage.first, coverage.last = row
        coverage.services = {service for (service,) in found}
        coverage.report.records = read[0][0][0] if read else selected.count

    def summarise(self, selected: Selected) -> Asking:
        """Summarise each model, and all of them together; say what is usual, and count the causes of slowness."""
        counted = ", ".join(f"count({name}), sum({name}), min({name}), max({name})" for name in _COUNTED)
        phased = "sum(duration) FILTER (WHERE phased)"
        numbers = ", ".join([*(f"sum({sql})" for sql in _SUMS.values()), phased, *map(_pico, _PRICED), counted])
        rows: dict[Kind, dict[bool, Sequence[Any]]] = {}
        texts = "SELECT model, {}, count(*) FROM requests WHERE {} GROUP BY ALL".format
        sums, outcomes, errors = yield [
            f"SELECT model, stream, completed, {numbers} FROM requests GROUP BY model, stream, completed",
            texts("outcome", "outcome IS NOT NULL"),
            texts("kind_of_error", "failed"),
        ]
        for model, stream, completed, *row in sums:
            rows.setdefault((model, stream), {})[completed] = row
        self._kinds = {kind: _kind(by_completed) for kind, by_completed in rows.items()}
        by_model: dict[str | None, list[Sequence[Any]]] = {}
        for (model, _), by_completed in rows.items():
            by_model.setdefault(model, []).extend(by_completed.values())
        totals = {model: _total(some) for model, some in by_model.items()}
        self.models = {model: _model_tally(row) for model, row in totals.items()}
        for model, outcome, count in outcomes:
            self.models[model].outcomes[outcome] = count
        for model, error, count in errors:
            self.models[model].error_types[error] = count
        self._whole = whole = _model_tally(_total(list(totals.values())))
        for tally in self.models.values():
            whole.outcomes.update(tally.outcomes)
            whole.error_types.update(tally.error_types)
        ranked = {(model,): _ranked(tally) for model, tally in self.models.items()}
        parts = [_rank(selected, ("model",), ranked), self.judge(selected)]
        if len(self.models) > 1:
            parts.append(_rank(selected, (), {_WHOLE: _ranked(whole)}))
        else:
            (only,) = self.models.values()
            whole.measures, whole.phases = only.measures, only.phases
        yield from together(*parts)

    def judge(self, selected: Selected) -> Asking:
        """Say what is usual for each model, streamed and not, and count the causes of slowness."""
        medians = {kind: values for kind, (_, values) in self._kinds.items()}
        yield from _rank(selected, ("model", "stream"), medians, quantiles=(0.5,), where="completed")
        usual = {
            kind: {name: ranked.quantile(0.5) or 0.0 for name, ranked in values.items()}
            for kind, values in medians.items()
        }
        self.baseline.rows = {kind: _rows(count, usual[kind]) for kind, (count, _) in self._kinds.items()}
        self._causes = Causes()
        counted: dict[Kind, tuple[CauseTallies, CauseTallies]] = {}
        yield from _causes(selected, usual, counted)
        for kind, (everything, slow) in counted.items():
            self._causes.know(self.baseline.rows[kind], everything, slow)

    def _count_tools(self, selected: Selected) -> Asking:
        calls = (
            "(SELECT place, unnest(tools) AS tool FROM "
            "(SELECT row_number() OVER () AS place, tools FROM requests WHERE len(tools) > 0))"
        )
        columns_of_tool = ", ".join(f"tool.{name} AS {name}" for name in ("name", "valid", "size", "assembly"))
        tools = f"(SELECT place, {columns_of_tool} FROM {calls})"
        values = ", ".join(f"count({name}), sum({name}), min({name}), max({name})" for name in ("size", "assembly"))
        ranked: dict[tuple[Any, ...], dict[str, Ranked]] = {}
        (counted,) = yield [
            (
                "SELECT name, count(*), count(DISTINCT place), count(*) FILTER (WHERE NOT valid), "
                f"count(*) FILTER (WHERE valid IS NULL), {values} FROM {tools} GROUP BY name"
            )
        ]
        for name, called, requests, invalid, unchecked, *numbers in counted:
            tally = self.tools[name] = ToolTally()
            tally.calls, tally.requests, tally.invalid, tally.unchecked = called, requests, invalid, unchecked
            tally.size, tally.assembly = size, assembly = [_values(numbers[i : i + 4]) for i in (0, 4)]
            ranked[name,] = {"size": size, "assembly": assembly}
        yield from _rank(selected, ("name",), ranked, source=tools)

    def _choose(self, keys: list[Key]) -> Asking:
        """Find out which requests are listed, unless all of them are, or none."""
        limit = self.top.limit
        if limit == 0 or (limit is None and self.query.last is None):
            return
        most = "" if limit is None else f"LIMIT {limit:d}"
        (found,) = yield [
            (
                "SELECT start_unix_ns, trace_id, span_id FROM requests WHERE sorting IS NOT NULL "
                f"ORDER BY sorting DESC, {_ORDER} {most}"
            )
        ]
        keys.extend((start, trace_id, span_id) for start, trace_id, span_id in found)


class ColumnSample(Sample):
    """The values of one set, as counted by DuckDB."""

    def __init__(self, selected: Selected) -> None:
        super().__init__()
        self._selected = selected
        names = {_column(name): name for name in COMPARED}
        counted = ", ".join(f"count({name}), sum({name}), min({name}), max({name})" for name in names)
        for model, *row in selected.ask(f"SELECT model, {counted} FROM requests WHERE completed GROUP BY model"):
            values = [_values(row[place : place + 4]) for place in range(0, len(row), 4)]
            self.models[model] = {name: one for name, one in zip(names.values(), values, strict=True) if one.n}

    def want(self, model: str | None, measure: str, ranks: Iterable[int]) -> None:
        """Note which values of a measure are needed, by their rank."""
        values = self.models[model][measure]
        if isinstance(values, Ranked):
            values.wanted.update(ranks)

    def fetch(self) -> None:
        """Ask for the values that are needed."""
        ranked = {
            (model,): {_column(name): one for name, one in by_name.items() if isinstance(one, Ranked) and one.wanted}
            for model, by_name in self.models.items()
        }
        self._selected.answer(_fetch(self._selected, ("model",), ranked, "completed"))


def _only_near(selected: Selected, start: int) -> None:
    """Keep only the requests that are nearest to a moment, of which there are more than enough.

    Of a long history only the files and rows around that moment are read, for as long a time as it takes.
    """
    for reach in _REACHES_NS:
        distance = f"abs(start_unix_ns - {start:d})"
        farthest = selected.ask(
            f"SELECT {distance} AS distance FROM requests WHERE {_within(start, reach)} "
            f"ORDER BY distance LIMIT 1 OFFSET {NEAREST - 1:d}"
        )
        if farthest:
            selected.narrow(_within(start, farthest[0][0]), {}, few=True)
            return


def _within(start: int, reach: int) -> str:
    return f"start_unix_ns BETWEEN {start - reach:d} AND {start + reach:d}"


def _column(measure: str) -> str:
    return measure.replace("phase.", "phase_")


def _model_tally(row: Sequence[Any]) -> ModelTally:
    tally = ModelTally()
    counts, (phased, *rest) = row[: len(_SUMS)], row[len(_SUMS) :]
    usd, values = rest[: len(_PRICED)], rest[len(_PRICED) :]
    tally.counts.update({name: int(count or 0) for name, count in zip(_SUMS, counts, strict=True)})
    tally.phased_ns = int(phased or 0)
    tally.pico_usd = _known(**dict(zip(_PRICED, usd, strict=True)))
    counted = _counted(values)
    tally.measures = dict[str, Values]((name, counted[name]) for name in MEASURES)
    phases = ((name, counted[f"phase_{name}"]) for name in PHASE_NAMES)
    tally.phases = dict[str, Values]((name, values) for name, values in phases if values.n)
    return tally


def _kind(by_completed: Mapping[bool, Sequence[Any]]) -> tuple[int, Mapping[str, Ranked]]:
    """Return how many requests of a kind there are, and what is usual of those that completed, if they are enough."""
    seen = sum(row[0] for row in by_completed.values())
    if True not in by_completed or by_completed[True][0] < USUAL_NEEDS:
        return seen, {}
    counted = _counted(by_completed[True][len(_SUMS) + 1 + len(_PRICED) :])
    return seen, {name: counted[name] for name in _USUAL if counted[name].n >= USUAL_NEEDS}


def _counted(values: Sequence[Any]) -> dict[str, Ranked]:
    return {name: _values(values[4 * at : 4 * at + 4]) for at, name in enumerate(_COUNTED)}


def _total(rows: Sequence[Sequence[Any]]) -> list[Any]:
    """Return the numbers of all models together: sums, and for each measure count, sum, least and greatest value."""
    sums = len(_SUMS) + 1 + len(_PRICED)
    total: list[Any] = []
    for place, values in enumerate(zip(*rows, strict=True)):
        known = [value for value in values if value is not None]
        how = sum if place < sums else (sum, sum, min, max)[(place - sums) % 4]
        total.append(how(known) if known else None)
    return total


def _values(row: Sequence[Any]) -> Ranked:
    n, total, least, greatest = row
    return Ranked(n, float(total or 0), least, greatest)


def _ranked(tally: ModelTally) -> dict[str, Ranked]:
    """Return the values of a model whose order is needed, by column."""
    every = {**tally.measures, **{f"phase_{name}": values for name, values in tally.phases.items()}}
    return {name: values for name, values in every.items() if isinstance(values, Ranked) and values.n}


def _rank(
    selected: Selected,
    keys: Sequence[str],
    ranked: _Ranked,
    *,
    quantiles: Sequence[float] = QUANTILES,
    where: str = "true",
    source: str = "requests",
) -> Asking:
    """Ask for the ranks that quantiles are made of, for each group and column."""
    for by_column in ranked.values():
        for one in by_column.values():
            one.wanted = {rank for q in quantiles if one.n >= needed(q) for rank in ranks_of(one.n, q)}
    yield from _fetch(selected, keys, ranked, where, source)


def _fetch(selected: Selected, keys: Sequence[str], ranked: _Ranked, where: str, source: str = "requests") -> Asking:
    """Find out the ranks that are wanted of each group and column."""
    by_name: dict[str, dict[tuple[Any, ...], Ranked]] = {}
    for key, by_column in ranked.items():
        for name, one in by_column.items():
            if not one.wanted:
                continue
            if one.min == one.max:  # then nobody needs to be asked
                one.by_rank |= dict.fromkeys(one.wanted, float(one.min))
            else:
                by_name.setdefault(name, {})[key] = one
    names = sorted(by_name)
    asked = {name: shares_of((rank, one.n) for one in by_name[name].values() for rank in one.wanted) for name in names}
    group = f" GROUP BY {', '.join(keys)}" if keys else ""
    step = len(names) if selected.in_memory else max(1, RANKED_AT_ONCE // max(1, selected.count))
    for place in range(0, len(names), step or 1):
        some = names[place : place + step]
        values = (f"quantile_disc({name}, {asked[name]})" for name in some)
        (rows,) = yield [f"SELECT {', '.join([*keys, *values])} FROM {source} WHERE {where}{group}"]
        for row in rows:
            key = tuple(row[: len(keys)])
            for name, found in zip(some, row[len(keys) :], strict=True):
                one = by_name[name].get(key)
                if one is not None:
                    places = {rank: bisect_left(asked[name], range_of(rank, one.n)[0]) for rank in one.wanted}
                    one.by_rank |= {rank: float(found[place]) for rank, place in places.items()}


def _rows(seen: int, medians: dict[str, float]) -> Rows:
    rows = Rows()
    rows.seen = seen
    rows.medians = medians
    return rows


def _causes(
    selected: Selected,
    usual: Mapping[Kind, dict[str, float]],
    found: dict[Kind, tuple[CauseTallies, CauseTallies]],
) -> Asking:
    """Count the causes as `verdict.named` names them: in all requests of each kind, and in the slow ones."""
    types = {"usual_model": "VARCHAR", "usual_stream": "BOOLEAN", **{f"usual_{name}": "DOUBLE" for name in _USUAL}}
    rows = [
        {"usual_model": model, "usual_stream": stream, **{f"usual_{name}": value for name, value in medians.items()}}
        for (model, stream), medians in usual.items()
    ]
    named = {rule.code: (rule.code, _stands_out(rule.code, rule.absolute)) for rule in RULES if rule.code in INDEX}
    generation = f"slow AND {_exceeds('generation', f'{number(MIN_EXCESS)} * duration')}"
    named["long_answer"] = "generation", f"{generation} AND {_IS_LONG}"
    named["slow_generation"] = "generation", f"{generation} AND NOT {_IS_LONG}"
    # In a CASE the engine stops at the first condition that does not hold; most causes are too short to be one.
    lengths = ", ".join(
        f"CASE WHEN duration > 0 AND {stands_out} THEN {length} END AS {code}_ns"
        for code, (length, stands_out) in named.items()
    )
    causes = (
        f"SELECT *, {lengths} FROM (SELECT *, {_IS_SLOW} AS slow FROM requests JOIN usual "
        f"ON model IS NOT DISTINCT FROM usual_model AND stream = usual_stream)"
    )
    counted = ", ".join(f"count({code}_ns), sum({code}_ns)" for code in named)
    explained = f"count(coalesce({', '.join(f'{code}_ns' for code in named)}))"
    found.update({kind: (CauseTallies(), CauseTallies()) for kind in usual})
    for place in range(0, len(rows), KINDS_AT_ONCE):
        selected.define("usual", types, rows[place : place + KINDS_AT_ONCE])
        seen: set[str] = set()
        (judged,) = yield [
            (
                f"SELECT model, stream, slow, count(*), sum(duration), {explained}, "
                f"bool_or(caller_is_least AND caller_ns IS NOT NULL), {counted} "
                f"FROM ({causes}) GROUP BY model, stream, slow"
            )
        ]
        for model, stream, slow, count, ns, some, is_least, *numbers in judged:
            by_code = {
                code: CauseTally(times, float(length), times * (usual_of(code, usual[model, stream]) or 0))
                for code, times, length in zip(named, numbers[::2], numbers[1::2], strict=True)
                if times
            }
            if "caller" in by_code:
                by_code["caller"].is_lower_bound = is_least
            for tallies in found[model, stream][: 1 + slow]:
                tallies.add(CauseTallies(count, float(ns), count - some, by_code))
            if slow:
                seen |= by_code.keys()
        # Examples are shown of slow requests only: fewer to be sorted, by fewer causes.
        if codes := sorted(seen):
            worst = ", ".join(
                f"max({{'ns': {code}_ns, 'id': id}}, {EXAMPLES}) FILTER (WHERE {code}_ns IS NOT NULL)" for code in codes
            )
            (slowest,) = yield [f"SELECT model, stream, {worst} FROM ({causes}) WHERE slow GROUP BY model, stream"]
            for model, stream, *examples in slowest:
                by_code = found[model, stream][1].by_code
                for code, some in zip(codes, examples, strict=True):
                    if some:
                        by_code[code].worst = [(float(each["ns"]), each["id"]) for each in some]


_IS_SLOW: Final = (
    f"coalesce(duration >= {number(SLOW_TIMES)} * usual_duration AND duration - usual_duration >= {MIN_NS}, false)"
)
_IS_LONG: Final = (
    "coalesce(usual_tokens <> 0 AND tokens > 0 AND tokens / usual_tokens >= CASE WHEN usual_generation <> 0 THEN "
    "(generation / tokens) / (usual_generation / usual_tokens) ELSE 1 END, false)"
)


def _exceeds(column: str, least: str) -> str:
    usual = f"usual_{column}"
    return (
        f"coalesce({column} >= {number(TIMES_USUAL)} * {usual} "
        f"AND {column} - {usual} >= greatest({least}, CAST({MIN_NS} AS DOUBLE)), false)"
    )


def _stands_out(code: str, absolute: float | None) -> str:
    alone = (
        "false"
        if absolute is None
        else f"({code} >= {number(absolute)} * duration{' AND reported' * (code == 'network')})"
    )
    least = f"CASE WHEN {alone} THEN 0 ELSE {number(MIN_EXCESS)} * duration END"
    return (
        f"{code} >= {MIN_NS} AND (({alone} AND {code} >= {NOTICEABLE_NS}) "
        f"OR (({alone} OR slow) AND {_exceeds(code, least)}))"
    )


def _budget_columns(budgets: Budgets, parameters: Named) -> dict[str, str]:
    good = "true" if budgets.goodput is None else _good(budgets.goodput, parameters)
    more = {"good": good}
    for place, budget in enumerate(budgets.budgets):
        if budget.of_runs or not (budget.where is None or isinstance(budget.where, Predicate)):
            continue
        where = "true" if budget.where is None else condition_sql(budget.where.condition, parameters)
        more[f"budget_{place}"] = f"coalesce({where}, false)"
        more[f"budget_{place}_value"] = _measured(budget, good, parameters)
    return more


def _measured(budget: Budget, good: str, parameters: Named) -> str:
    if budget.measure == GOODPUT:
        return good
    return _TALLIES.get(budget.measure) or sql_of(numeric(budget.measure), parameters)


def _good(goodput: Goodput, parameters: Named) -> str:
    over = (f"coalesce({sql_of(field, parameters)} > {number(limit)}, false)" for field, limit in goodput.limits)
    return f"NOT ({' OR '.join([columns.IS_FAILED, *over])})"


def _measure(selected: Selected, budgets: Budgets) -> Asking:
    yield from together(
        *([] if budgets.goodput is None else [_measure_goodput(budgets)]),
        *(
            _measure_one(selected, place, budget, tally)
            for place, (budget, tally) in enumerate(zip(budgets.budgets, budgets.tallies, strict=True))
            if not budget.of_runs
        ),
    )


def _measure_goodput(budgets: Budgets) -> Asking:
    (counted,) = yield ["SELECT count(*), count(*) FILTER (WHERE good) FROM requests"]
    ((budgets.good.seen, budgets.good.matched),) = counted


def _measure_one(selected: Selected, place: int, budget: Budget, tally: Tally) -> Asking:
    value, where = f"budget_{place}_value", f"budget_{place}"
    if budget.measure == GOODPUT or budget.measure in _TALLIES:
        (counted,) = yield [f"SELECT count(*), count(*) FILTER (WHERE {value}) FROM requests WHERE {where}"]
        ((tally.seen, tally.matched),) = counted
        return
    (counted,) = yield [
        f"SELECT count(*), count({value}), sum({value}), min({value}), max({value}) FROM requests WHERE {where}"
    ]
    ((tally.seen, *numbers),) = counted
    tally.values = values = _values(numbers)
    tally.unknown = tally.seen - values.n
    if values.n and budget.statistic.startswith("p"):
        quantile = float(budget.statistic[1:]) / 100
        yield from _rank(selected, (), {_WHOLE: {value: values}}, quantiles=(quantile,), where=where)


def _group(grouping: Grouping) -> Asking:
    first = f"(SELECT grouped FROM requests GROUP BY grouped ORDER BY min(start_unix_ns) LIMIT {MAX_GROUPS})"
    is_first = (
        f"CASE WHEN grouped IS NULL THEN (SELECT count(*) > count(grouped) FROM {first}) ELSE grouped IN {first} END"
    )
    groups, total = yield [_of_groups("grouped", is_first), _of_groups("NULL", "true")]
    grouping.groups = {value: _group_tally(row) for value, *row in groups}
    grouping.total = _group_tally(total[0][1:])
    if len(grouping.groups) == MAX_GROUPS:
        (others,) = yield [_of_groups("NULL", f"NOT {is_first}")]
        grouping.others = _group_tally(others[0][1:]) if others else GroupTally()


def _of_groups(by: str, where: str) -> str:
    sums = ", ".join(f"sum({sql})" for sql in _GROUP_SUMS.values())
    dollars = ", ".join(map(_pico, DOLLARS))
    ranks = ", ".join(
        f"CAST(floor((n - 1) * {number(q)}) AS BIGINT) + 1, least(CAST(floor((n - 1) * {number(q)}) AS BIGINT) + 2, n)"
        for q in QUANTILES
    )
    return (
        f"SELECT * EXCLUDE (ordered), list_select(ordered, [{ranks}]) FROM (SELECT {by} AS value, {sums}, "
        f"{dollars}, count(*) AS n, "
        "sum(duration), min(duration), max(duration), "
        f"list_sort(list(duration)) AS ordered FROM requests WHERE {where} GROUP BY value)"
    )


def _group_tally(row: Sequence[Any]) -> GroupTally:
    tally = GroupTally()
    counts, rest = row[: len(_GROUP_SUMS)], row[len(_GROUP_SUMS) :]
    usd, (*numbers, found) = rest[: len(DOLLARS)], rest[len(DOLLARS) :]
    tally.counts.update({name: int(count or 0) for name, count in zip(_GROUP_SUMS, counts, strict=True)})
    tally.pico_usd = _known(**dict(zip(DOLLARS, usd, strict=True)))
    tally.duration = values = _values(numbers)
    for place, quantile in enumerate(QUANTILES):
        values.by_rank |= dict(
            zip(ranks_of(values.n, quantile), map(float, found[2 * place : 2 * place + 2]), strict=True)
        )
    return tally


def _pico(usd: str) -> str:
    """Return the sum of an amount in whole millionths of a millionth of a dollar; null where none is known."""
    return f"sum(TRY_CAST({usd} * {PICO}e0 AS HUGEINT))"


def _known(**pico_usd: int | None) -> Counter[str]:
    return Counter({name: int(pico) for name, pico in pico_usd.items() if pico is not None})


def _tell_cache(cache: PromptCacheTally) -> Asking:
    known = "cacheable_tokens IS NOT NULL"
    cached = "coalesce(cached_tokens, 0)"
    mostly = f"{cached} >= {number(MOSTLY)} * cacheable_tokens"
    sums, prefills, misses_by_reason = yield [
        (
            f"SELECT model, count(*), count(*) FILTER (WHERE {cached} > 0), count(miss_reason), sum(cacheable_tokens), "
            f"sum({cached}), sum(coalesce(missed_tokens, 0)), {_pico('cache_saved')}, {_pico('cache_lost')} "
            f"FROM requests WHERE {known} GROUP BY model"
        ),
        (
            f"SELECT model, length(ltrim(bin(cacheable_tokens), '0')) AS size, {mostly} AS mostly, count(*), "
            f"sum(prompt_ns) FROM requests WHERE cacheable_tokens <> 0 AND prompt_ns IS NOT NULL "
            f"AND ({mostly} OR {cached} = 0) GROUP BY ALL"
        ),
        (
            f"SELECT miss_reason, count(*), sum(coalesce(missed_tokens, 0)), {_pico('cache_lost')}, sum(cache_miss), "
            f"max({{'tokens': coalesce(missed_tokens, 0), 'id': id}}, {MISSES_SHOWN}) "
            f"FROM requests WHERE {known} AND miss_reason IS NOT NULL GROUP BY miss_reason"
        ),
    ]
    for model, requests, hits, misses, tokens, from_cache, missed, saved, lost in sums:
        one = cache.models[model] = CacheSum(pico_usd=_known(cache_saved=saved, cache_lost=lost))
        one.counts.update(
            requests=requests,
            hits=hits,
            misses=misses,
            input_tokens=int(tokens),
            cached_tokens=int(from_cache),
            missed_tokens=int(missed),
        )
    for model, size, is_cached, count, ns in prefills:
        cache.models[model].prefill[size, is_cached] = count, int(ns)
    for reason, requests, tokens, lost, ns, worst in misses_by_reason:
        examples = [(each["tokens"], each["id"]) for each in worst]
        cache.misses[reason] = MissSum(requests, int(tokens), _known(cache_lost=lost), int(ns), examples)
