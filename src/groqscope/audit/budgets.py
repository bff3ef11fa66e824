"""Budgets: `ttfc.p95 < 400ms`, `errors < 1%`, `cost.sum < 2usd where model ~ 'llama'`, and goodput.

The grammar is in `expression`; a measure is one of these:

    measure := FIELD.STATISTIC | errors | abandoned | retried | requests | goodput | run.FIELD[.STATISTIC]
    statistic := p50 … p99.9 | median | min | max | mean | sum | count

`errors`, `abandoned` and `retried` are shares when the limit is in %, else counts. A percentile that the number of
requests cannot support makes a budget inconclusive, never ok. Without a statistic, `run.cost < 0.02usd` is a limit that
every run has to keep.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, cast

from groqscope.audit.conditions import ORDER, Predicate
from groqscope.audit.distribution import Values, needed
from groqscope.audit.errors import AuditError, ExpressionError, SourceError
from groqscope.audit.expression import Limit, parse_limit
from groqscope.audit.fields import Field, UnknownField, find, numeric
from groqscope.audit.formatting import count
from groqscope.audit.lexer import Token
from groqscope.audit.model import BudgetResult, BudgetVerdict, Unit
from groqscope.audit.run_fields import find_in_runs, find_of_run, is_of_run, of_any_request
from groqscope.runs import Run
from groqscope.timeline import FAILED, LEFT, RequestRecord

Operator = Literal["<", "<=", ">", ">="]
_STATISTIC: Final = re.compile(r"(?P<field>.+)\.(?P<statistic>p\d{1,2}(?:\.\d{1,3})?|median|min|max|mean|sum|count)")
_TALLIES: Final[dict[str, Callable[[RequestRecord], bool]]] = {
    "errors": lambda r: r.outcome in FAILED,
    "abandoned": lambda r: r.outcome in LEFT,
    "retried": lambda r: r.retries > 0,
    "requests": lambda _: True,
}
GOODPUT: Final = "goodput"


@dataclass(frozen=True, slots=True)
class Budget:
    """One budget, parsed."""

    expression: str
    source: str
    measure: str
    """A field's name, `goodput`, `errors`, `abandoned`, `retried` or `requests`."""
    statistic: str
    """Such as `p95` for a field, else `share` or `count`."""
    operator: Operator
    limit: float
    unit: Unit
    where: Predicate | Callable[[Any], bool] | None
    of_runs: bool = False
    """Whether it measures runs; `where` is then a predicate of a run."""


@dataclass(frozen=True, slots=True)
class Goodput:
    """The limits that a good request meets, all of them."""

    limits: tuple[tuple[Field, float], ...]
    """Field and nanoseconds."""
    source: str = "--goodput"

    @property
    def expression(self) -> str:
        """The limits in vLLM's notation."""
        return " ".join(f"{field.name}:{ns / 1e6:g}" for field, ns in self.limits)

    def good(self, record: RequestRecord) -> bool:
        """Return whether the request succeeded and met every limit that applies to it."""
        if record.outcome in FAILED:
            return False
        for field, limit in self.limits:
            value = field.get(record)
            if isinstance(value, int | float) and value > limit:
                return False
        return True


def parse_goodput(texts: Iterable[str], source: str = "--goodput") -> Goodput:
    """Parse limits in vLLM's notation: `ttft:400`, in milliseconds.

    Raises:
        AuditError: not of that form, or an unknown duration.
    """
    limits: list[tuple[Field, float]] = []
    for text in texts:
        name, colon, number = text.partition(":")
        try:
            limit = float(number) * 1e6
        except ValueError:
            limit = -1.0
        if not colon or not limit >= 0:  # neither negative nor nan
            raise AuditError(
                f"{source} {text!r}: expected KEY:MILLISECONDS, for example ttft:400, tpot:10 or e2el:3000"
            )
        field = numeric(name.strip())
        if field.kind != "duration":
            raise AuditError(f"{source} {text!r}: {field.name} is not a duration; use ttft, tpot or e2el")
        limits.append((field, limit))
    return Goodput(tuple(limits), source)


def parse_budget(text: str, source: str = "--budget") -> Budget:
    """Parse one budget.

    Raises:
        ExpressionError: the text is no budget; the message points at the place.
    """
    parsed = parse_limit(text, lambda measure: find_in_runs if is_of_run(measure) else find)
    of_runs = is_of_run(parsed.measure.text)
    measured = _measure_of_runs(text, parsed) if of_runs else _measure(text, parsed.measure, parsed.number)
    measure, statistic, unit = measured
    return Budget(
        expression=text.strip(),
        source=source,
        measure=measure,
        statistic=statistic,
        operator=cast("Operator", parsed.operator.text),
        limit=parsed.number.value,
        unit=unit,
        where=parsed.where if parsed.where is None or not of_runs else of_any_request(parsed.where),
        of_runs=of_runs,
    )


def _measure_of_runs(text: str, parsed: Limit) -> tuple[str, str, Unit]:
    """Return measure, statistic and unit of a budget on runs; without a statistic, every run has to keep the limit."""
    name, limit = parsed.measure, parsed.number
    match = _STATISTIC.fullmatch(name.text)
    try:
        field = find_of_run(match["field"] if match else name.text)
    except UnknownField as error:
        raise ExpressionError(str(error), text, name.position) from None
    if field.kind == "flag" and match is None:
        return field.name, "share" if limit.unit == "share" else "count", "share" if limit.unit == "share" else "1"
    if field.kind not in {"duration", "number"}:
        raise ExpressionError(f"{field.name} has no {match['statistic'] if match else 'limit'}", text, name.position)
    statistic = match["statistic"].lower() if match else "max" if parsed.operator.text.startswith("<") else "min"
    statistic = "p50" if statistic == "median" else statistic
    return field.name, statistic, _fitting("1" if statistic == "count" else field.unit, text, limit)


def _measure(text: str, name: Token, limit: Token) -> tuple[str, str, Unit]:
    word = name.text.lower()
    if word == GOODPUT:
        return GOODPUT, "share", _fitting("share", text, limit)
    if word in _TALLIES:
        if limit.unit == "share" and word != "requests":
            return word, "share", "share"
        return word, "count", _fitting("1", text, limit)
    match = _STATISTIC.fullmatch(word)
    try:
        field = numeric(match["field"] if match else word)
    except UnknownField as error:
        raise ExpressionError(str(error), text, name.position) from None
    if match is None:
        raise ExpressionError(
            f"which of all values of {field.name}? write {field.name}.p95, .max, .mean or .sum", text, name.position
        )
    statistic = "p50" if match["statistic"] == "median" else match["statistic"]
    unit: Unit = "1" if statistic == "count" else field.unit
    return field.name, statistic, _fitting(unit, text, limit)


def _fitting(unit: Unit, text: str, limit: Token) -> Unit:
    plain = limit.unit is None and (unit != "ns" or limit.value == 0)
    if plain or limit.unit == unit:
        return unit
    wants = {"ns": "a duration such as 400ms", "share": "a share such as 95%", "usd": "an amount such as 2usd"}
    raise ExpressionError(f"expected {wants.get(unit, 'a plain number')}", text, limit.position)


class Tally:
    """The measurements for one budget."""

    def __init__(self) -> None:
        self.seen = self.matched = self.unknown = self.interrupted = 0
        self.values = Values()

    def merge(self, other: "Tally") -> None:
        """Add what was measured elsewhere."""
        self.seen += other.seen
        self.matched += other.matched
        self.unknown += other.unknown
        self.interrupted += other.interrupted
        self.values.merge(other.values)


class Budgets:
    """Budgets, and the measurements of the records added so far."""

    def __init__(self, budgets: Iterable[Budget] = (), goodput: Goodput | None = None) -> None:
        """Begin to measure.

        Raises:
            AuditError: there is a budget on goodput, but no limits define it.
        """
        self.budgets: tuple[Budget, ...] = tuple(budgets)
        self.goodput = goodput
        if goodput is None and any(b.measure == GOODPUT for b in self.budgets):
            raise AuditError("a budget on goodput needs limits that define it: add for example --goodput ttft:400")
        self._fields = [_field_of(budget) for budget in self.budgets]
        self.tallies = [Tally() for _ in self.budgets]
        self.good = Tally()

    def __getstate__(self) -> dict[str, object]:
        """Leave out the conditions: they are functions, which cannot be pickled."""
        return {"tallies": self.tallies, "good": self.good}

    def add(self, record: RequestRecord) -> None:
        """Measure one request."""
        if self.goodput is not None:
            self.good.seen += 1
            self.good.matched += self.goodput.good(record)
        for budget, field, tally in zip(self.budgets, self._fields, self.tallies, strict=True):
            if not budget.of_runs and (budget.where is None or budget.where(record)):
                tally.seen += 1
                self._measure(budget, field, tally, record)

    @property
    def measure_runs(self) -> bool:
        """Whether any of them is on runs."""
        return any(budget.of_runs for budget in self.budgets)

    def add_run(self, run: Run) -> None:
        """Measure one run, except for the duration of an interrupted one, which says nothing."""
        for budget, field, tally in zip(self.budgets, self._fields, self.tallies, strict=True):
            if field is None or not budget.of_runs or not (budget.where is None or budget.where(run)):
                continue
            tally.seen += 1
            value = field.get(run)
            if field.kind == "flag":
                tally.matched += value is True
            elif field.kind == "duration" and run.interrupted:
                tally.interrupted += 1
            elif isinstance(value, int | float):
                tally.values.add(value)
            else:
                tally.unknown += 1

    def _measure(self, budget: Budget, field: Field | None, tally: Tally, record: RequestRecord) -> None:
        if field is not None:
            value = field.get(record)
            if isinstance(value, int | float):
                tally.values.add(value)
            else:
                tally.unknown += 1
        elif budget.measure == GOODPUT:
            tally.matched += self.goodput is not None and self.goodput.good(record)
        else:
            tally.matched += _TALLIES[budget.measure](record)

    def fresh(self) -> "Budgets":
        """Return the same budgets with nothing measured."""
        return Budgets(self.budgets, self.goodput)

    def merge(self, other: "Budgets") -> None:
        """Add the measurements of the same budgets for other requests."""
        self.good.merge(other.good)
        for mine, theirs in zip(self.tallies, other.tallies, strict=True):
            mine.merge(theirs)

    def results(self) -> tuple[BudgetResult, ...]:
        """Return the verdict on each budget; goodput without a limit is only measured."""
        results = [self._result(*each) for each in zip(self.budgets, self._fields, self.tallies, strict=True)]
        if self.goodput is not None and not any(b.measure == GOODPUT for b in self.budgets):
            good = self.good
            results.append(
                BudgetResult(
                    expression=f"goodput {self.goodput.expression}",
                    source=self.goodput.source,
                    measured=good.matched / good.seen if good.seen else None,
                    limit=None,
                    operator=">=",
                    unit="share",
                    n=good.seen,
                    verdict="measured",
                    note=_GOODPUT_NOTE,
                )
            )
        return tuple(results)

    def _result(self, budget: Budget, field: Field | None, tally: Tally) -> BudgetResult:
        counted = field is None or field.kind == "flag"
        measured, n, note = _counted(budget, tally) if counted else _statistic(budget, tally)
        verdict: BudgetVerdict = "inconclusive"
        if measured is not None:
            verdict = "ok" if ORDER[budget.operator](measured, budget.limit) else "over"
        return BudgetResult(
            expression=budget.expression,
            source=budget.source,
            measured=measured,
            limit=budget.limit,
            operator=budget.operator,
            unit=budget.unit,
            n=n,
            verdict=verdict,
            of_runs=budget.of_runs,
            note=note,
        )


def _counted(budget: Budget, tally: Tally) -> tuple[float | None, int, str]:
    note = _GOODPUT_NOTE if budget.measure == GOODPUT else ""
    if budget.statistic == "count":
        return tally.matched, tally.seen, note
    noun = "run" if budget.of_runs else "request"
    return (tally.matched / tally.seen, tally.seen, note) if tally.seen else (None, 0, f"no {noun} to measure")


def _field_of(budget: Budget) -> Field | None:
    if budget.of_runs:
        return find_of_run(budget.measure)
    return None if budget.measure in {GOODPUT, *_TALLIES} else numeric(budget.measure)


def _statistic(budget: Budget, tally: Tally) -> tuple[float | None, int, str]:
    values, statistic = tally.values, budget.statistic
    noun = "run" if budget.of_runs else "request"
    notes = [f"{count(tally.unknown, noun)} without {budget.measure} left out"] if tally.unknown else []
    if tally.interrupted:
        notes.append(f"{count(tally.interrupted, 'interrupted run')} left out")
    note = "; ".join(notes)
    if statistic == "count":
        return values.n, values.n, note
    if not values.n:
        return None, 0, "; ".join([f"no {noun} has {budget.measure}", *notes])
    if statistic.startswith("p"):
        quantile = float(statistic[1:]) / 100
        least = needed(quantile)
        if values.n < least:
            return None, values.n, f"{statistic} needs {least:,} values, there are {values.n:,}"
        return values.quantile(quantile), values.n, note
    value = {"min": values.min, "max": values.max, "sum": values.total, "mean": values.total / values.n}
    return value[statistic], values.n, note


_GOODPUT_NOTE: Final = "failed requests are not good; a limit that does not apply (no stream, one token) is met"


def parse_budgets(
    budgets: Iterable[str],
    goodput: Iterable[str] = (),
    *,
    source: str = "--budget",
    goodput_source: str = "--goodput",
    project: tuple[list[Budget], Goodput | None] = ([], None),
) -> Budgets | None:
    """Parse budgets and limits of goodput, and add those of a project; `None` if there are none.

    Raises:
        AuditError: one cannot be understood.
    """
    more, theirs = project
    parsed = [*(parse_budget(text, source) for text in budgets), *more]
    limits = list(goodput)
    good = parse_goodput(limits, goodput_source) if limits else theirs
    return Budgets(parsed, good) if parsed or good else None


def parse_table(table: Mapping[str, Any], source: str) -> tuple[list[Budget], Goodput | None]:
    """Read `[tool.groqscope.budgets]`: names with expressions, and `goodput` with limits in ms and `at_least`.

    Raises:
        AuditError: an entry has another form, or cannot be understood.
    """
    budgets: list[Budget] = []
    goodput: Goodput | None = None
    for name, value in table.items():
        if name == GOODPUT and isinstance(value, Mapping):
            limits = {str(key): limit for key, limit in cast("Mapping[str, Any]", value).items()}
            at_least = limits.pop("at_least", None)
            goodput = parse_goodput((f"{key}:{limit}" for key, limit in limits.items()), source)
            if at_least is not None:
                budgets.append(parse_budget(f"goodput >= {at_least}", source))
        elif isinstance(value, str):
            try:
                budgets.append(replace(parse_budget(value, source), expression=f"{name}: {value}"))
            except ExpressionError as error:
                raise ExpressionError(f"{source}: {name}: {error.message}", error.text, error.position) from None
        else:
            raise AuditError(
                f"{source}: {name} = {value!r} is not a budget; write for example {name} = 'ttfc.p95 < 400ms'"
            )
    if not budgets and goodput is None:
        raise AuditError(f"{source} holds no budget; write for example first_token = 'ttfc.p95 < 400ms'")
    return budgets, goodput


def project_budgets(path: Path | None = None) -> tuple[list[Budget], Goodput | None]:
    """Read the budgets of a file, or of the nearest pyproject.toml in this directory or above it.

    Raises:
        SourceError: the file does not exist, cannot be read, or has no such table.
        AuditError: a budget cannot be understood.
    """
    file = path or _nearest(Path.cwd())
    try:
        with file.open("rb") as stream:
            content = tomllib.load(stream)
    except OSError as error:
        raise SourceError(f"{file} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SourceError(f"{file} is not TOML: {error}") from error
    table: Any = content
    for key in ("tool", "groqscope", "budgets"):
        table = cast("dict[str, Any]", table).get(key) if isinstance(table, dict) else None
    if not isinstance(table, dict):
        raise SourceError(f"{file} has no [tool.groqscope.budgets]; add it, for example errors = 'errors < 1%'")
    return parse_table(cast("dict[str, Any]", table), f"[tool.groqscope.budgets] in {file.name}")


def _nearest(directory: Path) -> Path:
    for folder in (directory, *directory.parents):
        if (folder / "pyproject.toml").is_file():
            return folder / "pyproject.toml"
    raise SourceError(f"there is no pyproject.toml in {directory} or above it; name one with --config")
