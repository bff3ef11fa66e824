"""Records in a Tempo: traces that hold a Groq request are searched by TraceQL, then fetched one by one.

A search has no pages, only a limit. Where it is reached, the time asked for is halved until each part is below it, so
that nothing is missed; the parts are read in order of time.
"""

import math
import re
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from groqscope.audit.errors import SourceError
from groqscope.store import ReadReport, decode_traces
from groqscope.store.address import is_http
from groqscope.timeline import RequestRecord

if TYPE_CHECKING:
    import httpx

QUERY: Final = '{ span.groqscope.record > 0 || span.gen_ai.provider.name = "groq" || span.gen_ai.system = "groq" }'
LIMIT: Final = 500
"""Traces of one search."""
TIMEOUT: Final = 30.0
"""Seconds for one answer."""
PERIOD: Final = 3600
"""Seconds back, when no time is asked for."""
_TOGETHER: Final = 4
_TRIES: Final = 2
"""For one trace of many: a busy Tempo lets single ones wait."""
_SECOND: Final = 1_000_000_000
_AROUND: Final = 3600
"""Seconds around a trace's start in which its spans are looked for."""
_Found = tuple[str, int]
"""ID and start of a trace, Unix nanoseconds; 0 when the search did not say."""
_BATCH: Final = 64


class TempoSource:
    """A Tempo by its HTTP address, for example `http://127.0.0.1:3200`."""

    def __init__(self, url: str, *, client: "httpx.Client | None" = None, limit: int = LIMIT) -> None:
        if not is_http(url):
            raise SourceError(f"--tempo {url!r} is no address: write for example http://127.0.0.1:3200")
        self._url = url.rstrip("/")
        self._given = client
        self._limit = limit

    @property
    def names(self) -> tuple[str, ...]:
        """The address, without a password in it."""
        parts = urlsplit(self._url)
        return (f"Tempo at {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}",)

    @property
    def when_empty(self) -> str:
        """Where else to look."""
        return (
            f"no Groq request in {self.names[0]} in that time (without --since, the last hour): ask for more with "
            "--since; Tempo shows a trace some seconds after it was sent"
        )

    def read(
        self, report: ReadReport, *, since: int | None, until: int | None, timelines: bool
    ) -> Iterator[RequestRecord]:
        """Yield the records that start in a time, the earliest traces first.

        Raises:
            SourceError: Tempo does not answer, or not as Tempo.
        """
        del timelines
        now = time.time()
        end = math.ceil(until / 1e9 if until is not None else now) + 1
        start = math.floor(since / 1e9) if since is not None else end - PERIOD
        with self._client() as client, ThreadPoolExecutor(_TOGETHER) as pool:
            seen: set[str] = set()
            for traces in self._windows(client, start, end, report):
                fresh = iter([trace for trace in traces if trace[0] not in seen])
                seen.update(trace_id for trace_id, _ in traces)
                while batch := list(islice(fresh, _BATCH)):
                    for records in pool.map(partial(self._trace, client, report), batch):
                        yield from (r for r in records if _within(r, since, until))

    def _client(self) -> "httpx.Client":
        if self._given is not None:
            return self._given
        import httpx

        return httpx.Client(timeout=TIMEOUT)

    def _windows(self, client: "httpx.Client", start: int, end: int, report: ReadReport) -> Iterator[list[_Found]]:
        """Yield traces, part of the time by part, earliest first."""
        waiting = [(start, end)]
        while waiting:
            begin, stop = waiting.pop()
            traces = self._search(client, begin, stop)
            if len(traces) >= self._limit and stop - begin > 1:
                middle = (begin + stop) // 2
                waiting += [(middle, stop), (begin, middle)]
                continue
            if len(traces) >= self._limit:
                report.warn(self.names[0], None, f"{self._limit} traces or more in one second; not all were found")
            found = [(str(trace["traceID"]), _start_of(trace)) for trace in traces if trace.get("traceID")]
            yield sorted(found, key=lambda trace: trace[1])

    def _search(self, client: "httpx.Client", begin: int, stop: int) -> list[dict[str, Any]]:
        query = {"q": QUERY, "start": str(begin), "end": str(stop), "limit": str(self._limit), "spss": "1"}
        answer = self._get(client, "/api/search", query)
        try:
            traces = answer.json().get("traces") or []
        except (ValueError, AttributeError):
            raise SourceError(f"{self.names[0]} did not answer as Tempo does: is the address right?") from None
        return [cast("dict[str, Any]", trace) for trace in traces if isinstance(trace, dict)]

    def _trace(self, client: "httpx.Client", report: ReadReport, found: _Found) -> Iterable[RequestRecord]:
        trace_id, start = found
        # Without a time Tempo looks through everything it has.
        around = {"start": str(start // _SECOND - _AROUND), "end": str(start // _SECOND + _AROUND)} if start else {}
        try:
            answer = self._get(client, f"/api/traces/{trace_id}", around, tries=_TRIES)
            return decode_traces(answer.content, source=f"trace {trace_id}", report=report)
        except (SourceError, ValueError) as error:
            report.warn(self.names[0], None, f"trace {trace_id} cannot be read: {error}")
            return ()

    def _get(self, client: "httpx.Client", path: str, query: dict[str, str], tries: int = 1) -> "httpx.Response":
        import httpx

        try:
            answer = client.get(self._url + path, params=query, headers={"accept": "application/json"})
        except httpx.TimeoutException:
            if tries > 1:
                return self._get(client, path, query, tries - 1)
            raise SourceError(
                f"{self.names[0]} did not answer in {TIMEOUT:g} s: ask for less time, or try again"
            ) from None
        except httpx.HTTPError as error:
            raise SourceError(
                f"{self.names[0]} cannot be reached ({_reason(error)}): is it running, and the address right?"
            ) from error
        if answer.is_success:
            return answer
        said = answer.text.strip().replace("\n", " ")[:200]
        raise SourceError(f"{self.names[0]} answered {answer.status_code}{f': {said}' if said else ''}")


def _start_of(trace: dict[str, Any]) -> int:
    try:
        return int(trace.get("startTimeUnixNano") or 0)
    except (TypeError, ValueError):
        return 0


def _within(record: RequestRecord, since: int | None, until: int | None) -> bool:
    return (since is None or record.start_unix_ns >= since) and (until is None or record.start_unix_ns < until)


def _reason(error: Exception) -> str:
    """`Connection refused`, without the number that stands before it."""
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error)).lower()
