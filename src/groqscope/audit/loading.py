"""The audit in code: records to iterate over, and the analysis the command line shows."""

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from groqscope.audit.budgets import Budgets, parse_budget, parse_goodput
from groqscope.audit.model import Audit, BudgetResult, RequestAudit, Why
from groqscope.audit.one import one_request
from groqscope.audit.reading import Reading
from groqscope.audit.selection import Query, parse_moment
from groqscope.audit.sources import ReadReport, Source, StoreSource, file_source
from groqscope.audit.summary import LISTED, overview
from groqscope.timeline import RequestRecord


class Records:
    """Records of a source that were selected; each iteration reads the source anew."""

    def __init__(self, source: Source, query: Query) -> None:
        self.source = source
        self.query = query
        self.report: ReadReport = ReadReport()
        """What the latest reading passed over."""

    def __repr__(self) -> str:
        """Name source and selection; nothing is read for it."""
        return f"<Records of {', '.join([*self.source.names, *self.query.selection().words])}>"

    def __iter__(self) -> Iterator[RequestRecord]:
        return self._reading().records()

    def overview(self, *, listed: int | None = LISTED, budgets: Iterable[str] = (), goodput: Iterable[str] = (),
                 why: bool = True) -> Audit:  # fmt: skip
        """Sum up: what `groqscope audit` shows.

        Raises:
            AuditError: nothing can be read, nothing is selected, or a budget cannot be understood.
        """
        return overview(self._reading(), listed=listed, budgets=parse_budgets(budgets, goodput), why=why)

    def request(self, wanted: str) -> RequestAudit:
        """Find one request: what `groqscope audit ID` shows.

        Raises:
            NotFound: no request has the ID, or several do.
        """
        return one_request(self._reading(), wanted)

    def budgets(self, *budgets: str, goodput: Iterable[str] = ()) -> tuple[BudgetResult, ...]:
        """Hold the records against budgets such as `ttfc.p95 < 400ms`.

        Raises:
            AuditError: a budget cannot be understood, or nothing is selected.
        """
        return self.overview(listed=0, budgets=budgets, goodput=goodput, why=False).budgets

    def why(self) -> Why:
        """Explain the slow requests.

        Raises:
            AuditError: nothing can be read, or nothing is selected.
        """
        why = self.overview(listed=0).why
        if why is None:
            raise AssertionError
        return why

    def to_polars(self) -> Any:
        """Give a polars.DataFrame, a row per request, a column per field of the vocabulary.

        Raises:
            ImportError: polars is not installed.
        """
        from groqscope.audit.frames import to_polars

        return to_polars(self)

    def to_pandas(self) -> Any:
        """Give a pandas.DataFrame, a row per request, a column per field of the vocabulary.

        Raises:
            ImportError: pandas is not installed.
        """
        from groqscope.audit.frames import to_pandas

        return to_pandas(self)

    def _reading(self) -> Reading:
        self.report = ReadReport()
        return Reading(self.source, self.query, self.report)


def load(
    *paths: Path | str,
    tempo: str | None = None,
    since: str | None = None,
    until: str | None = None,
    model: str | Sequence[str] = (),
    service: str | Sequence[str] = (),
    outcome: str | Sequence[str] = (),
    where: str | None = None,
    last: int | None = None,
) -> Records:
    """Give the records of files, directories, Tempo, or, when nothing is named, of the local store.

    Args:
        paths: Files and directories of OTLP JSON; `-` is standard input.
        tempo: Address of a Tempo, for example `http://127.0.0.1:3200`.
        since: How long ago (`1h`, `30m`, `2d`), or a moment in ISO form.
        until: The same.
        model: A part of the model's name, or several.
        service: A service's name, or several.
        outcome: One or several of `completed`, `closed`, `abandoned`, `cancelled`, `error`, `truncated`.
        where: An expression such as `ttfc > 1s and retries > 0`.
        last: Only so many of the newest.

    Raises:
        AuditError: a path that does not exist, or a condition that cannot be understood.
    """
    now = time.time_ns()
    query = Query(
        since=None if since is None else parse_moment(since, "since", now),
        until=None if until is None else parse_moment(until, "until", now),
        models=_several(model),
        services=_several(service),
        outcomes=_several(outcome),
        where=where,
        last=last,
    )
    query.predicate()
    return Records(source_of(paths, tempo), query)


def source_of(paths: Sequence[Path | str], tempo: str | None = None) -> Source:
    """Give the source that was named.

    Raises:
        SourceError: a path does not exist, or an address is none.
    """
    if tempo is not None:
        from groqscope.audit.tempo import TempoSource

        return TempoSource(tempo)
    return file_source(paths) if paths else StoreSource()


def parse_budgets(budgets: Iterable[str], goodput: Iterable[str]) -> Budgets | None:
    """Understand budgets; `None` when there are none.

    Raises:
        AuditError: one cannot be understood.
    """
    parsed = [parse_budget(text) for text in budgets]
    limits = list(goodput)
    good = parse_goodput(limits) if limits else None
    return Budgets(parsed, good) if parsed or good else None


def _several(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
