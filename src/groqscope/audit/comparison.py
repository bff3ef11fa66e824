"""Compares two sets of requests, or of runs: what changed, and what chance explains.

For median and p95 of each measure, the ratio B / A gets a bootstrap confidence interval. Resampling n values and taking
the r-th smallest is the same as drawing its rank: the r-th smallest of n uniform numbers has the distribution
Beta(r, n - r + 1); multiplied by n and rounded up, it is the rank of the drawn value in the original set. So each draw
needs one random number, whatever n is, and nothing is approximated.

The confidence of each interval is chosen so that all of them together hold with 95% (Bonferroni): among tables without
any real change, one in twenty names a change. A measure is called slower or faster only if its interval excludes 1.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Final, Literal

from groqscope.audit.distribution import Sorted, Values, quantile_of_sorted, ranks_of
from groqscope.audit.execution import Watch, plain_of, sample_of, tables_of
from groqscope.audit.fields import find
from groqscope.audit.formatting import percent
from groqscope.audit.model import Certainty, Change, Comparison, ComparisonRow, Provenance, Unit
from groqscope.audit.records import Records
from groqscope.audit.run_fields import PREFIX, find_of_run, is_of_run
from groqscope.audit.runs import read_runs
from groqscope.audit.sample import COMPARED, COMPARED_OF_RUNS, PARTS, Sample
from groqscope.audit.sources import trace_source
from groqscope.audit.table import RecordTable, Table

DRAWS: Final = 2000
"""The least number of draws; with many intervals a hundred for each, so that their tails contain several draws."""
SEED: Final = 20_261
FAMILY: Final = 0.95
MIN_MEDIAN: Final = 20
MIN_P95: Final = 100
"""With fewer values in each set, an interval for p95 would be too narrow."""
_TOGETHER: Final = 256
"""Requests that are counted together."""
SHARE: Final = 0.02
"""A phase with a smaller share of the summed durations in both sets is not compared."""


@dataclass(frozen=True, slots=True)
class _Pair:
    models: "_Models"
    measure: str
    a: Sorted
    b: Sorted


_Models = tuple[str | None, str | None]
"""A model of the first set, and the one of the second with which it is compared: mostly the same."""


def compare(a: Records, b: Records, *, watch: Watch | None = None) -> Comparison:
    """Read two sets and compare them model by model.

    Raises:
        AuditError: one of them cannot be read, or has no request.
    """
    return _compared("requests", _read(a, watch), _read(b, watch))


def compare_runs(a: Records, b: Records) -> Comparison:
    """Read two sets of runs and compare them name by name.

    Raises:
        AuditError: one of them cannot be read, or has no run.
    """
    first, second = Sample(), Sample()
    from_a = read_runs(trace_source(a.source), a.coverage(), first.add_run)
    from_b = read_runs(trace_source(b.source), b.coverage(), second.add_run)
    return _compared("runs", (first, from_a), (second, from_b))


def _compared(
    of: Literal["requests", "runs"], a: tuple[Sample, Provenance], b: tuple[Sample, Provenance]
) -> Comparison:
    (first, from_a), (second, from_b) = a, b
    rows, confidence = compare_samples(first, second)
    return Comparison(
        of=of,
        a=from_a,
        b=from_b,
        rows=rows,
        only_a=_missing(first, second),
        only_b=_missing(second, first),
        sentence=_sentence(rows, of.removesuffix("s")),
        confidence=confidence,
        method=_method(rows, confidence, of.removesuffix("s")),
    )


def _read(records: Records, watch: Watch | None) -> tuple[Sample, Provenance]:
    scan = records.scan(listed=0)
    coverage = scan.coverage
    if (counted := sample_of(records.source, scan)) is not None:
        coverage.require_requests(records.source)
        return counted, coverage.provenance(records.source)
    sample = Sample()
    for table in tables_of(records.source, records.query, records.report) or _tables(records):
        coverage.extend(table)
        sample.add(table)
        if watch is not None:
            watch(len(table))
    coverage.require_requests(records.source)
    return sample, coverage.provenance(records.source)


def _tables(records: Records) -> Iterator[Table]:
    found = records.query.select(plain_of(records.source), records.report, timelines=False)
    while together := list(islice(found, _TOGETHER)):
        yield RecordTable(together)


def compare_samples(a: Sample, b: Sample) -> tuple[tuple[ComparisonRow, ...], float]:
    """Compare the models that are in both, or the only ones of each; also return the confidence of each interval."""
    pairs = [pair for models in _common(a, b) for pair in _pairs(models, a, b)]
    tests = sum((_enough(p, MIN_MEDIAN) + _enough(p, MIN_P95)) for p in pairs)
    confidence = 1 - (1 - FAMILY) / max(1, tests)
    for pair in pairs:
        _want(pair, a, b, confidence)
    a.fetch()
    b.fetch()
    return tuple(_row(pair, confidence) for pair in pairs), confidence


def _want(pair: _Pair, a: Sample, b: Sample, confidence: float) -> None:
    for quantile, least in ((0.5, MIN_MEDIAN), (0.95, MIN_P95)):
        drawn = drawn_ranks(len(pair.a), len(pair.b), quantile, confidence) if _enough(pair, least) else []
        a.want(pair.models[0], pair.measure, (*ranks_of(len(pair.a), quantile), *(rank for rank, _ in drawn)))
        b.want(pair.models[1], pair.measure, (*ranks_of(len(pair.b), quantile), *(rank for _, rank in drawn)))


def _common(a: Sample, b: Sample) -> list[_Models]:
    models = [model for model in a.models if model in b.models]
    if not models and len(a.models) == len(b.models) == 1:
        return [(next(iter(a.models)), next(iter(b.models)))]
    models.sort(key=lambda model: (-_total(a.models[model]), model or ""))
    return [(model, model) for model in models]


def _total(measures: dict[str, Values]) -> float:
    """Return the summed durations, of requests or of runs."""
    return next(measures[name].total for name in ("duration", f"{PREFIX}duration") if name in measures)


def _missing(a: Sample, b: Sample) -> tuple[str, ...]:
    compared = {model for models in _common(a, b) for model in models}
    return tuple(sorted(model or "-" for model in a.models if model not in compared))


def _pairs(models: _Models, a: Sample, b: Sample) -> list[_Pair]:
    pairs: list[_Pair] = []
    first, second = models
    for name in (*COMPARED, *COMPARED_OF_RUNS):
        left, right = a.models[first].get(name), b.models[second].get(name)
        if left is None or right is None:
            continue
        part = name.startswith("phase.") or name in PARTS
        if part and not (_matters(left, a, first) or _matters(right, b, second)):
            continue
        pairs.append(_Pair(models, name, left.sorted(), right.sorted()))
    return pairs


def _named(models: _Models) -> str | None:
    a, b = models
    return a if a == b else f"{b or 'unknown model'} instead of {a or 'unknown model'}"


def _matters(values: Values, sample: Sample, model: str | None) -> bool:
    return values.total >= SHARE * _total(sample.models[model])


def _enough(pair: _Pair, least: int) -> bool:
    return len(pair.a) >= least and len(pair.b) >= least


def _row(pair: _Pair, confidence: float) -> ComparisonRow:
    of_run = is_of_run(pair.measure)
    unit: Unit = (find_of_run if of_run else find)(pair.measure).unit
    noun = "run" if of_run else "request"
    return ComparisonRow(
        model=_named(pair.models),
        measure=pair.measure,
        unit=unit,
        n_a=len(pair.a),
        n_b=len(pair.b),
        median=_change(pair, unit, (0.5, MIN_MEDIAN), confidence, noun),
        p95=_change(pair, unit, (0.95, MIN_P95), confidence, noun),
    )


def _change(pair: _Pair, unit: Unit, needs: tuple[float, int], confidence: float, noun: str) -> Change:
    quantile, least = needs
    a, b = quantile_of_sorted(pair.a, quantile), quantile_of_sorted(pair.b, quantile)
    ratio = b / a if a > 0 else None
    if not _enough(pair, least):
        return Change(a=a, b=b, ratio=ratio, note=f"needs {least} {noun}s in each set")
    if ratio is None:
        return Change(a=a, b=b, note="nothing to compare with: it is 0 in the first set")
    low, high = interval(pair.a, pair.b, quantile, confidence)
    return Change(a=a, b=b, ratio=ratio, low=low, high=high, certainty=_certainty(low, high, unit))


def _certainty(low: float, high: float, unit: Unit) -> Certainty:
    if unit == "ns":
        return "slower" if low > 1 else "faster" if high < 1 else "inconclusive"
    return "more" if low > 1 else "less" if high < 1 else "inconclusive"


def interval(a: Sorted, b: Sorted, quantile: float, confidence: float) -> tuple[float, float]:
    """Return the bootstrap interval of the ratio of a quantile of `b` to that of `a`; both are sorted."""
    drawn = drawn_ranks(len(a), len(b), quantile, confidence)
    draws = len(drawn)
    ratios = sorted(_ratio(a[rank], b[other]) for rank, other in drawn)
    outside = math.floor((1 - confidence) / 2 * draws)
    return ratios[outside], ratios[draws - 1 - outside]


def _draws(confidence: float) -> int:
    tests = (1 - FAMILY) / (1 - confidence)
    return max(DRAWS, 100 * round(tests))


def _ratio(a: float, b: float) -> float:
    if a:
        return b / a
    return math.inf if b else 1.0


@lru_cache(maxsize=128)
def drawn_ranks(n_a: int, n_b: int, quantile: float, confidence: float) -> list[tuple[int, int]]:
    """Return the ranks, counted from 0, that the draws from two sets have."""
    draw = random.Random(SEED)  # noqa: S311 - the same answer each time
    return [(_drawn(n_a, quantile, draw), _drawn(n_b, quantile, draw)) for _ in range(_draws(confidence))]


def _drawn(n: int, quantile: float, draw: random.Random) -> int:
    rank = min(n, math.floor((n - 1) * quantile) + 1 + (draw.random() < ((n - 1) * quantile) % 1))
    position = math.ceil(n * draw.betavariate(rank, n - rank + 1))
    return min(n, max(1, position)) - 1


def _tests(rows: tuple[ComparisonRow, ...]) -> int:
    return sum((row.median.low is not None) + (row.p95.low is not None) for row in rows)


def _level(confidence: float) -> str:
    return f"{confidence * 100:.4g}%"


def _method(rows: tuple[ComparisonRow, ...], confidence: float, noun: str) -> str:
    tests = _tests(rows)
    if not tests:
        return f"no interval: it takes {MIN_MEDIAN} completed {noun}s in each set for a median, {MIN_P95} for a p95"
    return (
        f"bootstrap of median and p95, {_draws(confidence):,} draws, seed {SEED}; each interval at "
        f"{_level(confidence)}, so that all {tests:,} hold together with 95%; completed {noun}s only"
    )


def _sentence(rows: tuple[ComparisonRow, ...], noun: str) -> str:
    what = "model" if noun == "request" else "name"
    if not rows:
        return f"Nothing to compare: no {what} has completed {noun}s in both sets."
    if not _tests(rows):
        return f"Too few {noun}s to tell: each set needs {MIN_MEDIAN} completed ones for a {what}."
    words = [
        _word(model, [row for row in rows if row.model == model]) for model in dict.fromkeys(r.model for r in rows)
    ]
    changed = [word for word in words if word]
    return f"{'; '.join(changed)}." if changed else "No change is larger than chance explains."


def _word(model: str | None, rows: list[ComparisonRow]) -> str:
    """Describe the first change of a model: measures in their order, the median before the p95."""
    for row in rows:
        for change, statistic in ((row.median, "median"), (row.p95, "p95")):
            if change.certainty != "inconclusive" and change.ratio is not None:
                size = f"{'+' if change.ratio > 1 else '-'}{percent(abs(change.ratio - 1))}"
                name = row.measure.removeprefix(PREFIX)
                if change.certainty in ("more", "less"):
                    return f"{model or 'unknown model'} takes {change.certainty} {name}: {statistic} {size}"
                return f"{model or 'unknown model'} is {change.certainty}: {name} {statistic} {size}"
    return ""
