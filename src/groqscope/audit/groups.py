"""Groups requests or runs by a text that they have in common: a tag, user, agent, conversation, service or model.

Each is in exactly one group, so that the counts, the tokens and the cost of all groups add up to the total.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from typing import Any, Final

from groqscope.audit.distribution import Values
from groqscope.audit.fields import ABSENT, BETWEEN, Field, Value
from groqscope.audit.model import Distribution, Group, Groups
from groqscope.audit.table import RecordTable, Table, known, split, where
from groqscope.runs import Run
from groqscope.timeline import FAILED, RequestRecord

UNKNOWN_VALUE: Final = "(none)"
"""Shown in place of a value that is not known."""
MAX_GROUPS: Final = 10_000
"""Limit of values that have a group of their own; later ones share one."""
_EXACT: Final = 10_000
"""Number of durations up to which the quantiles of a group are exact."""
PICO: Final = 10**12
"""Cost is summed in millionths of a millionth of a dollar: whole numbers, whose sum does not depend on the order."""
COUNTS: Final = tuple(field.name for field in fields(Group) if field.type is int and field.name != "runs")
DOLLARS: Final = ("cost", "cost_estimate", "cache_saved", "cache_lost")


_TOKENS: Final = {
    "input_tokens": "usage.input_tokens",
    "cached_tokens": "usage.cached_tokens",
    "cacheable_tokens": "cacheable_tokens",
    "output_tokens": "usage.output_tokens",
    "reasoning_tokens": "usage.reasoning_tokens",
}


def count_usage(counts: Counter[str], table: Table) -> None:
    """Count the tokens of requests, how often their usage never came, and how often their cost is not known."""
    counts["cost_unknown"] += len(table) - len(known(table.column("cost")))
    amounts = zip(table.column("usage.input_tokens"), table.column("usage.output_tokens"), strict=True)
    used = where(table, [sent is not None or got is not None for sent, got in amounts])
    counts["usage_unknown"] += len(table) - len(used)
    for name, path in _TOKENS.items():
        counts[name] += sum(filter(None, used.column(path)))


def count_dollars(pico_usd: Counter[str], table: Table, names: Iterable[str]) -> None:
    """Sum those amounts of requests that are known."""
    for name in names:
        amounts = known(table.column(name))
        if amounts:
            pico_usd[name] += sum(map(pico, amounts))


def pico(usd: float) -> int:
    """Return dollars as they are summed; a damaged amount is bounded, since what is infinite is no whole number."""
    return round(min(usd * PICO, 1e38))


def dollars_of(pico_usd: Counter[str], name: str) -> float | None:
    """Return a sum in dollars; `None` if no request knows the amount."""
    return pico_usd[name] / PICO if name in pico_usd else None


class GroupTally:
    """What is counted of one group."""

    def __init__(self) -> None:
        self.runs = 0
        self.pico_usd: Counter[str] = Counter()
        """By name; if no request knows an amount, its name is absent."""
        self.counts: Counter[str] = Counter()
        self.duration = Values(_EXACT)

    def add(self, table: Table) -> None:
        """Count requests, except for their duration."""
        counts = self.counts
        counts["requests"] += len(table)
        counts["errors"] += sum(outcome in FAILED for outcome in table.column("outcome"))
        counts["retries"] += sum(table.column("retries"))
        count_usage(counts, table)
        count_dollars(self.pico_usd, table, DOLLARS)

    def merge(self, other: "GroupTally") -> None:
        """Add what was counted elsewhere."""
        self.runs += other.runs
        self.pico_usd.update(other.pico_usd)
        self.counts.update(other.counts)
        self.duration.merge(other.duration)

    def group(self, value: str | None) -> Group:
        """Return what reports show."""
        counts: dict[str, Any] = {name: self.counts[name] for name in COUNTS}
        dollars: dict[str, Any] = {name: self.pico_usd[name] / PICO for name in DOLLARS if name in self.pico_usd}
        values = () if value is None else tuple(None if part == ABSENT else part for part in value.split(BETWEEN))
        if len(values) > 1:
            value = ", ".join(UNKNOWN_VALUE if part is None else part for part in values)
        duration = self.duration.distribution("ns")
        return Group(value=value, values=values, runs=self.runs, duration=duration, **counts, **dollars)


class Grouping:
    """Groups by a field, to which requests or runs are added."""

    def __init__(self, by: Field) -> None:
        self.by = by.name
        self._field = by
        self.groups: dict[str | None, GroupTally] = {}
        self.others = GroupTally()
        self.total: GroupTally | None = None
        """The sum of all groups, if the database counted it; else computed from the groups."""

    def __getstate__(self) -> dict[str, object]:
        """Leave out what cannot travel between processes: the function that gets a field's value."""
        return {name: value for name, value in self.__dict__.items() if name != "_field"}

    def add(self, table: Table) -> None:
        """Count requests."""
        for value, these in split(table, list(map(_text, table.values(self._field)))):
            tally = self._of(value)
            tally.add(these)
            tally.duration.extend(these.column("duration_ns"))

    def add_run(self, run: Run) -> None:
        """Count a run, its requests and its own duration."""
        tally = self._of(value_of_run(run, self.by, self._field.get))
        tally.runs += 1
        tally.add(RecordTable(run.requests))
        tally.duration.add(run.duration_ns)

    def _of(self, value: str | None) -> GroupTally:
        tally = self.groups.get(value)
        if tally is not None:
            return tally
        if len(self.groups) >= MAX_GROUPS:
            return self.others
        tally = self.groups[value] = GroupTally()
        return tally

    def merge(self, other: "Grouping") -> None:
        """Add groups that were counted elsewhere."""
        for value, tally in other.groups.items():
            self._of(value).merge(tally)
        self.others.merge(other.others)

    def _sum(self) -> GroupTally:
        total = GroupTally()
        for tally in (*self.groups.values(), self.others):
            total.merge(tally)
        return total

    def result(self) -> Groups:
        """Return the groups, the dearest first."""
        total = self.total or self._sum()
        groups = (tally.group(value) for value, tally in self.groups.items())
        others = self.others.group(None) if self.others.counts["requests"] else None
        return Groups(by=self.by, groups=tuple(sorted(groups, key=_place)), others=others, total=total.group(None))


def _place(group: Group) -> tuple[float, int, str]:
    return -(group.cost or 0.0), -group.requests, group.value or ""


def _text(value: Value) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


_OF_RUN: Final[dict[str, Callable[[Run], str | None]]] = {
    "run": lambda run: run.name,
    "agent": lambda run: run.agent,
    "conversation": lambda run: run.conversation,
    "user": lambda run: run.user,
    "service": lambda run: run.service,
    "trace_id": lambda run: run.trace_id,
}


def value_of_run(run: Run, by: str, get: Callable[[RequestRecord], Value]) -> str | None:
    """Return a run's own value of a field; of what only requests have, such as the model, the values of all of them."""
    if by in _OF_RUN:
        return _OF_RUN[by](run)
    if by.startswith("tag."):
        return run.tags.get(by.removeprefix("tag."))
    values = sorted({text for text in (_text(get(record)) for record in run.requests) if text is not None})
    return ", ".join(values) or None


def first_of(groups: Groups, most: int | None) -> tuple[list[Group], Group | None]:
    """Return the first groups and the sum of the rest, for a list of limited length."""
    shown = list(groups.groups[:most])
    rest = [*groups.groups[len(shown) :], *([groups.others] if groups.others is not None else [])]
    return shown, sum_of(rest) if rest else None


def sum_of(groups: Iterable[Group]) -> Group:
    """Return the sums over groups, without quantiles, which cannot be computed from those of the parts."""
    several = list(groups)
    counts: dict[str, Any] = {name: sum(getattr(one, name) for one in several) for name in (*COUNTS, "runs")}
    for name in DOLLARS:
        known = [pico(usd) for usd in (getattr(one, name) for one in several) if usd is not None]
        counts[name] = sum(known) / PICO if known else None
    duration = Distribution(unit="ns", n=sum(one.duration.n for one in several))
    return replace(several[0], value=None, values=(), duration=duration, **counts)
