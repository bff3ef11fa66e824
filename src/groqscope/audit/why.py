"""Sums up causes over many requests: over a whole group for its verdict, over the slow ones for `--why`."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from groqscope.audit.baseline import Rows
from groqscope.audit.formatting import count, duration, percent
from groqscope.audit.model import GroupCause, Why
from groqscope.audit.rules import BY_CODE, INDEX, MIN_NS, SLOW_TIMES, USUAL_NEEDS
from groqscope.audit.verdict import comparison, is_slow, named, usual_of

EXAMPLES: Final = 3
_MIN_SHARE: Final = 0.2
"""A group's verdict names a cause from this share of its time on."""
_MIN_GROUP_SHARE: Final = 0.01
"""`--why` lists a cause from this share of the slow requests' time on."""

_CALLER_IS_LEAST: Final = INDEX["caller_is_least"]

RULE: Final = (
    f"slow: at least {SLOW_TIMES:g} times the median duration of completed requests for the same model in the same "
    f"data (streamed or not), and {MIN_NS // 1_000_000} ms more"
)


@dataclass(slots=True)
class CauseTally:
    """One cause, counted over requests."""

    requests: float = 0
    ns: float = 0
    usual_ns: float = 0
    is_lower_bound: bool = False
    """Whether a summand is a lower bound, so that the sum is one too."""
    worst: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])

    def add(self, other: "CauseTally") -> None:
        """Add the same cause, counted of other requests."""
        self.requests += other.requests
        self.ns += other.ns
        self.usual_ns += other.usual_ns
        self.is_lower_bound |= other.is_lower_bound
        self.worst = heapq.nlargest(EXAMPLES, self.worst + other.worst)


@dataclass(slots=True)
class CauseTallies:
    """All causes, counted over requests."""

    requests: float = 0
    ns: float = 0
    unexplained: float = 0
    by_code: dict[str, CauseTally] = field(default_factory=dict[str, CauseTally])

    def count(self, row: Sequence[float], causes: Sequence[tuple[str, float]], rows: Rows, request: str) -> None:
        """Count the causes of one request."""
        weight = rows.weight
        self.requests += weight
        self.ns += weight * row[0]
        self.unexplained += weight * (not causes)
        for code, ns in causes:
            one = self.by_code.setdefault(code, CauseTally())
            one.requests += weight
            one.ns += weight * ns
            one.usual_ns += weight * (usual_of(code, rows.medians) or 0)
            one.is_lower_bound |= code == "caller" and bool(row[_CALLER_IS_LEAST])
            if len(one.worst) < EXAMPLES:
                heapq.heappush(one.worst, (ns, request))
            else:
                heapq.heappushpop(one.worst, (ns, request))

    def add(self, other: "CauseTallies") -> None:
        """Add what was counted of other requests."""
        self.requests += other.requests
        self.ns += other.ns
        self.unexplained += other.unexplained
        for code, one in other.by_code.items():
            self.by_code.setdefault(code, CauseTally()).add(one)


class Causes:
    """The causes in each group of rows, over all of them and over the slow ones; each computed once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[CauseTallies, CauseTallies]] = {}

    def know(self, rows: Rows, everything: CauseTallies, slow: CauseTallies) -> None:
        """Use what was counted elsewhere for one group, instead of counting its rows."""
        self._known[id(rows)] = everything, slow

    def over(self, groups: Iterable[Rows], *, only_slow: bool) -> CauseTallies:
        """Sum up over groups."""
        total = CauseTallies()
        for rows in groups:
            known = self._known.get(id(rows))
            if known is None:
                known = self._known[id(rows)] = _count(rows)
            total.add(known[only_slow])
        return total


def _count(rows: Rows) -> tuple[CauseTallies, CauseTallies]:
    everything, slow = CauseTallies(), CauseTallies()
    usual = rows.medians
    for row, request in rows:
        causes = named(row, usual)
        everything.count(row, causes, rows, request)
        if is_slow(row[0], usual):
            slow.count(row, causes, rows, request)
    return everything, slow


def explain(groups: Sequence[Rows], found: Causes) -> Why:
    """List the causes over all slow requests, biggest share first."""
    total = found.over(groups, only_slow=True)
    seen = sum(rows.seen for rows in groups)
    unjudged = sum(rows.seen for rows in groups if not rows.medians)
    causes = tuple(
        sorted(_causes(total, any(rows.medians for rows in groups)), key=lambda cause: (-cause.ns, cause.code))
    )
    slow = round(total.requests)
    return Why(
        requests=seen,
        slow=slow,
        slow_ns=round(total.ns),
        unexplained=round(total.unexplained),
        unjudged=unjudged,
        causes=causes,
        sentence=slow_sentence(
            "request",
            seen,
            slow,
            unjudged,
            because=f"{USUAL_NEEDS} completed ones for the same model are needed to say what is slow",
            why=_biggest(causes),
        ),
        rule=RULE,
    )


def _causes(total: CauseTallies, usual_known: bool) -> Iterable[GroupCause]:  # noqa: FBT001 - private
    for code, one in total.by_code.items():
        share = one.ns / total.ns
        if share < _MIN_GROUP_SHARE:
            continue
        rule = BY_CODE[code]
        mean, usual = one.ns / one.requests, one.usual_ns / one.requests if usual_known else None
        facts = [f"{duration(mean)} on average", comparison(mean, usual)]
        yield GroupCause(
            code=code,
            title=rule.title,
            requests=round(one.requests),
            ns=round(one.ns),
            share=share,
            is_lower_bound=one.is_lower_bound,
            usual_ns=None if usual is None else round(usual),
            sentence=f"{_share(share, one.is_lower_bound)} {rule.title}: {count(round(one.requests), 'request')}, "
            f"{', '.join(f for f in facts if f)}",
            advice=rule.advice,
            examples=tuple(request for _, request in sorted(one.worst, reverse=True)),
        )


def _share(share: float, is_lower_bound: bool) -> str:  # noqa: FBT001 - private
    return f"at least {percent(share)}" if is_lower_bound else percent(share)


def _biggest(causes: Sequence[GroupCause]) -> str:
    if not causes:
        return "No measurement explains it."
    return f"The biggest cause: {_share(causes[0].share, causes[0].is_lower_bound)} of their time {causes[0].title}."


def slow_sentence(noun: str, seen: int, slow: int, unjudged: int, *, because: str, why: str) -> str:
    """Return how many requests or runs are slow and why, and how many could not be judged and why."""
    left = f"{unjudged:,} of {count(seen, noun)} could not be judged: {because}." if unjudged else ""
    if seen == unjudged:
        return left
    if slow:
        head = f"{slow:,} of {count(seen, noun)} {'is' if slow == 1 else 'are'} slow. {why}"
    else:
        head = f"None of {count(seen - unjudged, noun)} is slow."
    return f"{head} {left}".rstrip()


def group_sentence(groups: Sequence[Rows], found: Causes, biggest: tuple[str, float] | None) -> str:
    """Return where a group's time went: its causes or, if none stands out, its biggest phase with its share."""
    total = found.over(groups, only_slow=False)
    if not total.requests:
        return ""
    causes = sorted(total.by_code.items(), key=lambda item: (-item[1].ns, item[0]))
    words = [
        f"{_share(one.ns / total.ns, one.is_lower_bound)} {BY_CODE[code].title} "
        f"({round(one.requests):,} of {count(round(total.requests), 'request')})"
        for code, one in causes
        if one.ns >= _MIN_SHARE * total.ns
    ]
    if words:
        return f"Of the time: {'; '.join(words)}."
    if biggest is None:
        return "Their phases are not known: another instrumentation recorded them."
    return f"Nothing stands out: {percent(biggest[1])} of the time {biggest[0]}."
