"""Budgets: `ttfc.p95 < 400ms`, `errors < 1%`, `cost.sum < 2usd where model ~ 'llama'`, and goodput.

    budget := measure operator limit ['where' expression]
    measure := FIELD.STATISTIC | errors | abandoned | retried | requests | goodput
    statistic := p50 … p99.9 | median | min | max | mean | sum | count
    operator := < <= > >=

`errors`, `abandoned` and `retried` are shares when the limit is in %, else counts. A percentile that the number of
requests cannot support is "cannot tell", never "ok".
"""

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from groqscope.audit.distribution import Values, needed
from groqscope.audit.errors import AuditError, ExpressionError
from groqscope.audit.expression import compile_where
from groqscope.audit.fields import FAILED, LEFT, Field, UnknownField, numeric
from groqscope.audit.lexer import Token, tokenize
from groqscope.audit.model import BudgetResult, BudgetVerdict, Unit
from groqscope.audit.words import count
from groqscope.timeline import RequestRecord

Operator = Literal["<", "<=", ">", ">="]
Predicate = Callable[[RequestRecord], bool]
_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_STATISTIC: Final = re.compile(r"(?P<field>.+)\.(?P<statistic>p\d{1,2}(?:\.\d{1,3})?|median|min|max|mean|sum|count)")
_TALLIES: Final[dict[str, Predicate]] = {
    "errors": lambda r: r.outcome in FAILED,
    "abandoned": lambda r: r.outcome in LEFT,
    "retried": lambda r: r.retries > 0,
    "requests": lambda _: True,
}
GOODPUT: Final = "goodput"


@dataclass(frozen=True, slots=True)
class Budget:
    """One budget, understood."""

    expression: str
    source: str
    measure: str
    """A field's name, `goodput`, or one of `errors`, `abandoned`, `retried`, `requests`."""
    statistic: str
    """Of a field; `share` or `count` of a tally."""
    operator: Operator
    limit: float
    unit: Unit
    where: Predicate | None


@dataclass(frozen=True, slots=True)
class Goodput:
    """Limits that a good request meets, all of them."""

    limits: tuple[tuple[Field, float], ...]
    """Field and nanoseconds."""
    source: str = "--goodput"

    @property
    def expression(self) -> str:
        """The limits in vLLM's words."""
        return " ".join(f"{field.name}:{ns / 1e6:g}" for field, ns in self.limits)

    def good(self, record: RequestRecord) -> bool:
        """Whether the request succeeded and met every limit that applies to it."""
        if record.outcome in FAILED:
            return False
        for field, limit in self.limits:
            value = field.get(record)
            if isinstance(value, int | float) and value > limit:
                return False
        return True


def parse_goodput(texts: Iterable[str], source: str = "--goodput") -> Goodput:
    """Read limits as vLLM writes them: `ttft:400`, in milliseconds.

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
            raise AuditError(f"{source} {text!r}: {field.name} is no duration; use ttft, tpot or e2el")
        limits.append((field, limit))
    return Goodput(tuple(limits), source)


def parse_budget(text: str, source: str = "--budget") -> Budget:
    """Understand one budget.

    Raises:
        ExpressionError: it cannot be understood; its text points at the place.
    """
    tokens = tokenize(_before_where(text))
    if [token.kind for token in tokens[:3]] != ["name", "op", "number"] or tokens[1].text not in _COMPARE:
        raise ExpressionError(
            "expected a measure, < or > and a limit, for example ttfc.p95<400ms", text, _stray(tokens)
        )
    if tokens[3].kind != "end":
        raise ExpressionError("expected the end, or where and a condition", text, tokens[3].position)
    name, sign, limit = tokens[:3]
    measure, statistic, unit = _measure(text, name, limit)
    return Budget(
        expression=text.strip(),
        source=source,
        measure=measure,
        statistic=statistic,
        operator=cast("Operator", sign.text),
        limit=limit.value,
        unit=unit,
        where=_where(text),
    )


def _stray(tokens: Sequence[Token]) -> int:
    for token, kind in zip(tokens, ("name", "op", "number"), strict=False):
        if token.kind != kind or (kind == "op" and token.text not in _COMPARE):
            return token.position
    return tokens[-1].position


_WHERE: Final = re.compile(r"\bwhere\b", re.IGNORECASE)


def _before_where(text: str) -> str:
    match = _WHERE.search(text)
    return text if match is None else text[: match.start()]


def _where(text: str) -> Predicate | None:
    match = _WHERE.search(text)
    if match is None:
        return None
    try:
        return compile_where(text[match.end() :])
    except ExpressionError as error:
        raise ExpressionError(error.message, text, match.end() + error.position) from None


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


@dataclass(frozen=True, slots=True)
class BudgetsState:
    """What some budgets have measured; it can travel between processes, which conditions cannot."""

    seen: list[int]
    matched: list[int]
    unknown: list[int]
    values: list[Values]
    good: int
    all: int


class Budgets:
    """Budgets being measured while records pass by."""

    def __init__(self, budgets: Iterable[Budget] = (), goodput: Goodput | None = None) -> None:
        """Begin to measure.

        Raises:
            AuditError: a budget is on goodput, and no limits say what is good.
        """
        self.budgets: tuple[Budget, ...] = tuple(budgets)
        self.goodput = goodput
        if goodput is None and any(b.measure == GOODPUT for b in self.budgets):
            raise AuditError("a budget on goodput needs to know what is good: add for example --goodput ttft:400")
        self._seen = [0] * len(self.budgets)
        self._matched = [0] * len(self.budgets)
        self._unknown = [0] * len(self.budgets)
        self._values = [Values() for _ in self.budgets]
        self._fields = [numeric(b.measure) if b.measure not in {GOODPUT, *_TALLIES} else None for b in self.budgets]
        self._good = self._all = 0

    def add(self, record: RequestRecord) -> None:
        """Measure one record."""
        if self.goodput is not None:
            self._all += 1
            self._good += self.goodput.good(record)
        for number, budget in enumerate(self.budgets):
            if budget.where is None or budget.where(record):
                self._seen[number] += 1
                self._measure(number, budget, record)

    def _measure(self, number: int, budget: Budget, record: RequestRecord) -> None:
        field = self._fields[number]
        if field is not None:
            value = field.get(record)
            if isinstance(value, int | float):
                self._values[number].add(value)
            else:
                self._unknown[number] += 1
        elif budget.measure == GOODPUT:
            self._matched[number] += self.goodput is not None and self.goodput.good(record)
        else:
            self._matched[number] += _TALLIES[budget.measure](record)

    def fresh(self) -> "Budgets":
        """Give the same budgets, with nothing measured."""
        return Budgets(self.budgets, self.goodput)

    def state(self) -> "BudgetsState":
        """Give what was measured, without the budgets."""
        return BudgetsState(self._seen, self._matched, self._unknown, self._values, self._good, self._all)

    def merge(self, other: "BudgetsState") -> None:
        """Add what the same budgets measured elsewhere."""
        for mine, theirs in ((self._seen, other.seen), (self._matched, other.matched), (self._unknown, other.unknown)):
            mine[:] = [a + b for a, b in zip(mine, theirs, strict=True)]
        for values, more in zip(self._values, other.values, strict=True):
            values.merge(more)
        self._good += other.good
        self._all += other.all

    def results(self) -> tuple[BudgetResult, ...]:
        """Give every budget's verdict; goodput alone, without a limit, is only measured."""
        results = [self._result(number, budget) for number, budget in enumerate(self.budgets)]
        if self.goodput is not None and not any(b.measure == GOODPUT for b in self.budgets):
            results.append(
                BudgetResult(
                    expression=f"goodput {self.goodput.expression}",
                    source=self.goodput.source,
                    measured=self._good / self._all if self._all else None,
                    limit=None,
                    operator=">=",
                    unit="share",
                    n=self._all,
                    verdict="measured",
                    note=_GOODPUT_NOTE,
                )
            )
        return tuple(results)

    def _result(self, number: int, budget: Budget) -> BudgetResult:
        measured, n, note = self._measured(number, budget)
        verdict: BudgetVerdict = "cannot tell"
        if measured is not None:
            verdict = "ok" if _COMPARE[budget.operator](measured, budget.limit) else "over"
        return BudgetResult(
            expression=budget.expression,
            source=budget.source,
            measured=measured,
            limit=budget.limit,
            operator=budget.operator,
            unit=budget.unit,
            n=n,
            verdict=verdict,
            note=note,
        )

    def _measured(self, number: int, budget: Budget) -> tuple[float | None, int, str]:
        seen = self._seen[number]
        if self._fields[number] is None:
            note = _GOODPUT_NOTE if budget.measure == GOODPUT else ""
            if budget.statistic == "count":
                return self._matched[number], seen, note
            return (self._matched[number] / seen, seen, note) if seen else (None, 0, "no request to measure")
        values = self._values[number]
        unknown = self._unknown[number]
        note = f"{count(unknown, 'request')} without {budget.measure} left out" if unknown else ""
        if budget.statistic == "count":
            return values.n, values.n, note
        if not values.n:
            return None, 0, f"no request has {budget.measure}"
        if budget.statistic.startswith("p"):
            return self._percentile(values, budget, note)
        value = {"min": values.min, "max": values.max, "sum": values.total, "mean": values.total / values.n}
        return value[budget.statistic], values.n, note

    @staticmethod
    def _percentile(values: Values, budget: Budget, note: str) -> tuple[float | None, int, str]:
        quantile = float(budget.statistic[1:]) / 100
        least = needed(quantile)
        if values.n < least:
            return None, values.n, f"{budget.statistic} needs {least:,} values, there are {values.n:,}"
        return values.quantile(quantile), values.n, note


_GOODPUT_NOTE: Final = "failed requests are not good; a limit that does not apply (no stream, one token) is met"


def parse_table(table: Mapping[str, Any], source: str) -> tuple[list[Budget], Goodput | None]:
    """Read `[tool.groqscope.budgets]`: names with expressions, and `goodput` with limits in ms and `at_least`.

    Raises:
        AuditError: an entry of another form, or one that cannot be understood.
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
                budgets.append(parse_budget(value, source))
            except ExpressionError as error:
                raise ExpressionError(f"{source}: {name}: {error.message}", error.text, error.position) from None
        else:
            raise AuditError(
                f"{source}: {name} = {value!r} is no budget; write for example {name} = 'ttfc.p95 < 400ms'"
            )
    if not budgets and goodput is None:
        raise AuditError(f"{source} holds no budget; write for example first_token = 'ttfc.p95 < 400ms'")
    return budgets, goodput
