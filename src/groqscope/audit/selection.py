"""Which requests are selected: by time, model, service, outcome and an expression; the newest or slowest of them."""

import heapq
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Final, get_args

from groqscope._visible import is_text, visible
from groqscope.audit.conditions import without_case
from groqscope.audit.errors import AuditError
from groqscope.audit.expression import compile_where
from groqscope.audit.fields import Field, find, groupable, numeric
from groqscope.audit.lexer import DURATION_UNITS, unix_ns
from groqscope.audit.model import Selection
from groqscope.audit.run_fields import find_in_runs, of_any_request
from groqscope.audit.sources import Source
from groqscope.runs import Run
from groqscope.store import ReadReport
from groqscope.timeline import Outcome, RequestRecord

_AGO: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)")
_WEEK: Final = 7 * DURATION_UNITS["d"]
OUTCOMES: Final[tuple[str, ...]] = get_args(Outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which requests to look at, and which of them to list; times are Unix nanoseconds."""

    since: int | None = None
    until: int | None = None
    models: tuple[str, ...] = ()
    """Parts of a model's name, in any case; one of them has to be in it."""
    services: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    where: str | None = None
    last: int | None = None
    """Only this many of the newest."""
    slowest: int | None = None
    """List this many of the slowest instead of the newest; statistics are over all of them."""
    by: str = "duration"
    """A number or duration: what `slowest` sorts by. A text, such as `tag.feature`: what is grouped by."""

    def __post_init__(self) -> None:
        """Reject contradictions and unknown names.

        Raises:
            AuditError: a text that is none, an unknown outcome or field, a count below 1, or an empty time range.
        """
        for text in (*self.models, *self.services, self.where or "", self.by):
            if not is_text(text):
                raise AuditError(f"'{visible(text)}' is not valid text: it is not UTF-8")
        for outcome in self.outcomes:
            if outcome not in OUTCOMES:
                raise AuditError(f"unknown outcome {outcome!r}: use one of {', '.join(OUTCOMES)}")
        for name, number in (("--last", self.last), ("--slowest", self.slowest)):
            if number is not None and number < 1:
                raise AuditError(f"{name} has to be at least 1, not {number}")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise AuditError("--since is not before --until: no request can be between them")
        if self.grouping is not None:
            groupable(self.by)

    @property
    def grouping(self) -> Field | None:
        """The field to group by."""
        if "," in self.by:
            return groupable(self.by)
        found = find(self.by)
        return None if found.kind in {"duration", "number"} else found

    @property
    def sorting(self) -> str:
        """The field by which the slowest are the slowest."""
        return "duration" if self.grouping is not None else numeric(self.by).name

    def predicate(self) -> Callable[[RequestRecord], bool]:
        """Return the test of everything but time and `last`.

        Raises:
            ExpressionError: `where` cannot be understood.
        """
        test, where = self._request_test(), self.where
        if where is None:
            return test
        holds = compile_where(where)
        return lambda record: test(record) and holds(record)

    def predicate_of_runs(self) -> Callable[[Run], bool]:
        """Return the test of everything but time and `last`: it holds for a run when it does with one of its requests.

        Raises:
            ExpressionError: `where` cannot be understood.
        """
        test, where = self._request_test(), self.where
        if where is None:
            return lambda run: any(map(test, run.requests))
        holds = compile_where(where, find_in_runs)
        return of_any_request(lambda pair: test(pair[1]) and holds(pair))

    def _request_test(self) -> Callable[[RequestRecord], bool]:
        tests: list[Callable[[RequestRecord], bool]] = []
        if self.models:
            tests.append(self._model_test())
        if self.services:
            tests.append(lambda r: r.service in self.services)
        if self.outcomes:
            tests.append(lambda r: r.outcome in self.outcomes)
        return tests[0] if len(tests) == 1 else lambda record: all(test(record) for test in tests)

    def _model_test(self) -> Callable[[RequestRecord], bool]:
        parts, known = [without_case(model) for model in self.models], dict[str | None, bool]()

        def test(record: RequestRecord) -> bool:
            model = record.model
            if model not in known:
                name = without_case(model or "")
                known[model] = any(part in name for part in parts)
            return known[model]

        return test

    def in_time(self, one: RequestRecord | Run) -> bool:
        """Whether the request or run started in the time range."""
        start = one.start_unix_ns
        return (self.since is None or start >= self.since) and (self.until is None or start < self.until)

    def apply(self, records: Iterable[RequestRecord]) -> Iterator[RequestRecord]:
        """Return the records that are selected, ignoring `last`."""
        test = self.predicate()
        return (record for record in records if self.in_time(record) and test(record))

    def select(self, source: Source, report: ReadReport, *, timelines: bool = True) -> Iterator[RequestRecord]:
        """Return the selected records of a source.

        Raises:
            SourceError: nothing can be read at all.
            ExpressionError: `where` cannot be understood.
        """
        found = source.read(report, since=self.since, until=self.until, timelines=timelines)
        selected = self.apply(found)
        return selected if self.last is None else iter(newest(selected, self.last)[::-1])

    def selection(self) -> Selection:
        """Return the selection in words, for a report."""
        words = [
            *([f"since {_moment(self.since)}"] if self.since is not None else []),
            *([f"until {_moment(self.until)}"] if self.until is not None else []),
            *(["model " + " or ".join(self.models)] if self.models else []),
            *(["service " + " or ".join(self.services)] if self.services else []),
            *(["outcome " + " or ".join(self.outcomes)] if self.outcomes else []),
            *([f"where {self.where}"] if self.where is not None else []),
            *([f"the last {self.last:,}"] if self.last is not None else []),
        ]
        return Selection(words=tuple(words), listed="slowest" if self.slowest else "newest", by=self.sorting)


def parse_moment(text: str, option: str, now_ns: int) -> int:
    """Read a time: `30m`, `1.5h`, `2d` ago, or ISO form (without a zone it is local time), as Unix nanoseconds.

    A time before 1970 is 0.

    Raises:
        AuditError: the text is neither.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        unit = _WEEK if ago[2] == "w" else DURATION_UNITS[ago[2]]
        return max(0, now_ns - round(float(ago[1]) * unit))
    try:
        return max(0, unix_ns(text))
    except ValueError:
        raise AuditError(
            f"{option} {text!r} is not a time: write how long ago (30m, 1h, 2d) or a moment (2026-11-22T14:03)"
        ) from None


def _moment(moment_ns: int) -> str:
    return datetime.fromtimestamp(moment_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


class Top:
    """Keeps the newest records, or those with the greatest values of a field."""

    def __init__(self, limit: int | None, by: str | None = None) -> None:
        self.limit = limit
        self.by = by
        self._get = None if by is None else numeric(by).get
        self._heap: list[tuple[float, int, str, int, RequestRecord]] = []
        self._order = count()

    def add(self, record: RequestRecord) -> None:
        """Keep the record if its value is among the greatest; one whose value is not known is never kept."""
        value = record.start_unix_ns if self._get is None else self._get(record)
        if not isinstance(value, int | float):
            return
        # Of equals the later one, whoever reads them and in which order.
        item = (value, record.start_unix_ns, record.span_id or "", next(self._order), record)
        if self.limit is None or len(self._heap) < self.limit:
            heapq.heappush(self._heap, item)
        elif self.limit:
            heapq.heappushpop(self._heap, item)

    def merge(self, other: "Top") -> None:
        """Add the records that another one kept."""
        for record in reversed(other.records()):
            self.add(record)

    def __getstate__(self) -> dict[str, object]:
        """Leave out the counter and the function that gets a field's value: they cannot be pickled."""
        return {"limit": self.limit, "by": self.by, "_heap": self._heap}

    def records(self) -> list[RequestRecord]:
        """Return the records that were kept, greatest first."""
        return [item[-1] for item in sorted(self._heap, key=lambda item: item[:-1], reverse=True)]


def newest(records: Iterable[RequestRecord], limit: int) -> list[RequestRecord]:
    """Return the newest records, newest first."""
    top = Top(limit)
    for record in records:
        top.add(record)
    return top.records()
