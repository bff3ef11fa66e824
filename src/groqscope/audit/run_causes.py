"""Why runs took as long as they did, over many of them: over all, and over the slow ones."""

import heapq
import random
from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from groqscope.audit.distribution import EXACT_LIMIT, quantile_of_sorted
from groqscope.audit.formatting import percent
from groqscope.audit.why import slow_sentence
from groqscope.runs import NOTICEABLE_NS, FindingKind

SLOW_TIMES: Final = 2.0
"""Multiple of the median duration of its name from which a run is slow."""
USUAL_NEEDS: Final = 5
"""Completed runs of one name that it takes to say what is usual."""
RULE: Final = (
    f"slow: at least {SLOW_TIMES:g} times the median duration of completed runs of the same name in the same data, and "
    f"{NOTICEABLE_NS // 1_000_000} ms more; interrupted runs are not judged"
)
_EXAMPLES: Final = 3

TITLES: Final[dict[FindingKind, str]] = {
    "tool": "waiting for a tool",
    "sequential_requests": "requests one after the other that did not need each other's answers",
    "repeated_tool": "the same tool with the same arguments again",
    "growing_context": "prefill of a context that grew",
    "own_code": "the program's own code between its steps",
    "late_end": "after the last answer was complete",
    "retry": "failed attempts and their back-off",
    "queue": "Groq's queue",
    "idle": "nothing was running",
}
ADVICE: Final[dict[FindingKind, str]] = {
    "tool": "Make the tool faster, cache what it finds, or let the model call it together with others.",
    "sequential_requests": "Send them at the same time (asyncio.gather, a thread pool).",
    "repeated_tool": "Cache the tool's result for the run, or tell the model that it has it already.",
    "growing_context": "Trim or summarise earlier messages and tool results; keep what stays the same at the front.",
    "own_code": "Look at what the program does between a result and the next request.",
    "late_end": "Return the answer first; do what is left behind it.",
    "retry": "See the attempts of the requests: a rate limit asks for fewer tokens a minute, or another service tier.",
    "queue": "Try another service tier, or spread the requests over time.",
    "idle": "Nothing in the trace says what it waited for: a span around it would.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCause:
    """What one kind of finding took of all runs."""

    kind: FindingKind
    title: str
    runs: int
    lost_ns: int
    share: float
    """Of the time of all runs."""
    advice: str
    examples: tuple[str, ...]
    """Trace IDs of those that lost most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsWhy:
    """The causes over all slow runs, the largest first."""

    runs: int
    slow: int
    slow_ns: int
    """Summed durations of the slow ones."""
    unexplained: int
    """Slow runs in which nothing stands out."""
    unjudged: int
    """Runs that were interrupted, or with too few of their name to say whether they are slow."""
    causes: tuple[RunCause, ...]
    sentence: str
    rule: str
    """What counts as slow, in words."""


Lost = tuple[tuple[FindingKind, int], ...]
"""What each finding of a run took, nanoseconds."""


class RunCauses:
    """What each kind of finding took of several runs."""

    def __init__(self) -> None:
        self.lost: defaultdict[FindingKind, int] = defaultdict(int)
        self.runs: defaultdict[FindingKind, int] = defaultdict(int)
        self.worst: defaultdict[FindingKind, list[tuple[int, str]]] = defaultdict(list)

    def add(self, lost: Lost, run: str) -> None:
        """Count the findings of one run, by its ID."""
        for kind in dict(lost):
            self.runs[kind] += 1
        for kind, ns in lost:
            self.lost[kind] += ns
            heapq.heappush(self.worst[kind], (ns, run))
            if len(self.worst[kind]) > _EXAMPLES:
                heapq.heappop(self.worst[kind])

    def merge(self, other: "RunCauses") -> None:
        """Add what was counted of other runs."""
        for kind, lost in other.lost.items():
            self.lost[kind] += lost
            self.runs[kind] += other.runs[kind]
            self.worst[kind] = heapq.nlargest(_EXAMPLES, [*self.worst[kind], *other.worst[kind]])
            heapq.heapify(self.worst[kind])

    def result(self, total_ns: float) -> tuple[RunCause, ...]:
        """Return the causes, the largest first, with their shares of the time of all runs."""
        return tuple(
            RunCause(
                kind=kind,
                title=TITLES[kind],
                runs=self.runs[kind],
                lost_ns=lost,
                share=lost / total_ns if total_ns else 0.0,
                advice=ADVICE[kind],
                examples=tuple(name for _, name in sorted(self.worst[kind], reverse=True)),
            )
            for kind, lost in sorted(self.lost.items(), key=lambda item: (-item[1], item[0]))
        )


@dataclass(frozen=True, slots=True)
class _Row:
    duration_ns: int
    completed: bool
    lost: Lost
    run: str


class SlowRuns:
    """Runs by name, all of them up to a limit, then a uniform sample: which are slow, and why."""

    def __init__(self, limit: int = EXACT_LIMIT) -> None:
        self._limit = limit
        self.rows: defaultdict[str, list[_Row]] = defaultdict(list)
        self.seen: defaultdict[str, int] = defaultdict(int)
        self._random = random.Random(0)  # noqa: S311 - a sample that is the same each time
        self.interrupted = 0

    def add(self, name: str, run: str, duration_ns: int, lost: Lost, *, completed: bool, interrupted: bool) -> None:
        """Add one run; how long an interrupted one lasted says nothing."""
        if interrupted:
            self.interrupted += 1
            return
        self._add(name, _Row(duration_ns, completed, lost, run))

    def _add(self, name: str, row: _Row) -> None:
        self.seen[name] += 1
        rows = self.rows[name]
        if len(rows) < self._limit:
            rows.append(row)
        elif (place := self._random.randrange(self.seen[name])) < self._limit:
            rows[place] = row

    def merge(self, other: "SlowRuns") -> None:
        """Add what was counted of other runs."""
        self.interrupted += other.interrupted
        for name, rows in other.rows.items():
            for row in rows:
                self._add(name, row)
            self.seen[name] += other.seen[name] - len(rows)

    def result(self) -> RunsWhy:
        """Return the causes over the slow runs."""
        causes, slow, unexplained, unjudged = RunCauses(), list[_Row](), 0, self.interrupted
        for name, rows in self.rows.items():
            usual = sorted(float(row.duration_ns) for row in rows if row.completed)
            if len(usual) < USUAL_NEEDS:
                unjudged += self.seen[name]
                continue
            median = quantile_of_sorted(usual, 0.5)
            slow += [r for r in rows if r.duration_ns >= max(SLOW_TIMES * median, median + NOTICEABLE_NS)]
        for row in slow:
            causes.add(row.lost, row.run)
            unexplained += not row.lost
        total = sum(row.duration_ns for row in slow)
        found = causes.result(total)
        seen = sum(self.seen.values()) + self.interrupted
        return RunsWhy(
            runs=seen,
            slow=len(slow),
            slow_ns=total,
            unexplained=unexplained,
            unjudged=unjudged,
            causes=found,
            sentence=slow_sentence(
                "run",
                seen,
                len(slow),
                unjudged,
                because=f"interrupted, or fewer than {USUAL_NEEDS} completed ones of the same name",
                why=f"The biggest cause: {percent(found[0].share)} of their time {found[0].title}."
                if found
                else "Nothing stands out in their time.",
            ),
            rule=RULE,
        )
