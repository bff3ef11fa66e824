"""Asks a ClickHouse, into which the collector writes spans: counts, and what is to be shown, are all that travels.

The questions are those that are asked of columns (`columnar`), translated by `clickhouse_sql`.
"""

from collections.abc import Iterator
from copy import copy
from typing import TYPE_CHECKING, Self

from groqscope.audit.clickhouse_requests import ClickHouseRequests, begun
from groqscope.audit.clickhouse_schema import column_name
from groqscope.audit.clickhouse_server import TIMEOUT, Server
from groqscope.audit.clickhouse_sql import STORED
from groqscope.audit.clickhouse_traces import traces
from groqscope.audit.sources import a_day_around
from groqscope.history import Having
from groqscope.runs import TraceSpan
from groqscope.store import ReadReport, Share
from groqscope.timeline import RequestRecord

if TYPE_CHECKING:
    import httpx


class ClickHouseSource:
    """The table of a ClickHouse by its HTTP address."""

    def __init__(self, url: str, *, client: "httpx.Client | None" = None, timeout: float = TIMEOUT) -> None:
        self._how = url, client, timeout
        self.server = Server(url, client=client, timeout=timeout)
        self._share: Share | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The address and the table, without its password."""
        return (self.server.name,)

    @property
    def when_empty(self) -> str:
        """Why there can be nothing."""
        return (
            f"no Groq request in {self.names[0]} in that time: the collector's exporter writes spans there some "
            "seconds after they ended"
        )

    def read(
        self, report: ReadReport, *, since: int | None, until: int | None, timelines: bool
    ) -> Iterator[RequestRecord]:
        """Yield records in order of start.

        Raises:
            SourceError: ClickHouse does not answer, or not as ClickHouse.
        """
        with self.server.understood():
            stored = self.requests(report, since, until, timelines=timelines)
            for record in stored.fetch(f"SELECT * FROM {STORED}", timelines=timelines):
                report.records += 1
                yield record

    @property
    def column_addresses(self) -> tuple[str, ...]:
        """All requests lie as columns."""
        return self.names

    def requests(
        self, report: ReadReport, since: int | None, until: int | None, *, timelines: bool
    ) -> ClickHouseRequests:
        """Return the requests of a time, of which questions can be asked.

        Raises:
            SourceError: ClickHouse does not answer, or not as ClickHouse.
        """
        del timelines  # each question says which columns it reads
        return ClickHouseRequests(self.server, report, since, until, self._share)

    def traces(
        self,
        report: ReadReport,
        *,
        since: int | None,
        until: int | None,
        trace_id: str | None = None,
        having: Having | None = None,
    ) -> Iterator[list[TraceSpan]]:
        """Yield traces in the order of their IDs.

        Raises:
            SourceError: ClickHouse does not answer, or not as ClickHouse.
        """
        with self.server.understood():
            stored = ClickHouseRequests(self.server, report, *a_day_around(since, until), self._share)
            report.records += stored.count(begun(since, until))
            yield from traces(stored, in_time=begun(since, until), trace_id=trace_id, having=having or Having())

    def requests_about(self) -> int:
        """Return how many requests there are, at any time."""
        with self.server.understood():
            counted = f"SELECT countIf({column_name('record')} >= 1) FROM {self.server.everywhere}"
            ((count,),) = self.server.ask(counted, {})
            return count + 0

    def shares(self, number: int) -> list[Self]:
        """Return so many sources that have its traces between them, each with connections of its own."""
        return [self._share_of(Share(one, number)) for one in range(number)]

    def _share_of(self, share: Share) -> Self:
        one = copy(self)
        url, client, timeout = self._how
        one.server = Server(url, client=client, timeout=timeout)
        one._share = share  # noqa: SLF001 - a copy of this
        return one
