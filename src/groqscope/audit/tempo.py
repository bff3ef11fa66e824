"""Reads records from a Tempo: searches traces with Groq requests by TraceQL, then fetches them one by one.

A search has a limit, but no pages. If the limit is reached, the time range is halved until each part is below it, so
that nothing is missed; the parts are read in order of time. Whatever the server does, answers are limited in time and
size, and searches and traces in number.
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

from groqscope import semconv
from groqscope._exchange import AnswerTooLongError, exchange, is_http
from groqscope._visible import visible
from groqscope.audit.errors import SourceError
from groqscope.history import Having
from groqscope.runs import TraceSpan
from groqscope.store import ReadReport, TraceCollector, decode_traces, once
from groqscope.timeline import RequestRecord

if TYPE_CHECKING:
    import httpx

QUERY: Final = (
    f"{{ span.{semconv.RECORD} > 0"
    f' || span.{semconv.PROVIDER_NAME} = "{semconv.PROVIDER}" || span.{semconv.SYSTEM} = "{semconv.PROVIDER}" }}'
)
LIMIT: Final = 500
"""Traces of one search."""
TIMEOUT: Final = 30.0
"""Seconds for one answer, from the connection to its last byte."""
MAX_SEARCH_BYTES: Final = 16 * 1024 * 1024
MAX_TRACE_BYTES: Final = 64 * 1024 * 1024
MAX_SEARCHES: Final = 256
"""Number of searches after which time ranges are not halved any more."""
MAX_TRACES: Final = 100_000
PERIOD: Final = 3600
"""Seconds before now that are searched without a time range."""
_TOGETHER: Final = 4
_TRIES: Final = 2
"""For each trace, because a busy Tempo may answer single ones late."""
_SECOND: Final = 1_000_000_000
_AROUND: Final = 3600
"""Seconds before and after its start in which the spans of a trace are looked for."""
_LATEST: Final = 2**31 - 1
"""The last second that Tempo's API accepts."""
_ID: Final = re.compile(r"[0-9a-fA-F]{1,32}")
_Found = tuple[str, int]
"""ID and start of a trace, Unix nanoseconds; 0 if the search did not return it."""
_BATCH: Final = 64
_ACCEPT: Final = {"accept": "application/json"}


class TempoSource:
    """A Tempo by its HTTP address, for example `http://127.0.0.1:3200`."""

    def __init__(
        self, url: str, *, client: "httpx.Client | None" = None, limit: int = LIMIT, timeout: float = TIMEOUT
    ) -> None:
        if not is_http(url):
            raise SourceError(f"--tempo {url!r} is not an address: write for example http://127.0.0.1:3200")
        self._url = url.rstrip("/")
        self._given = client
        self._limit = limit
        self._timeout = timeout

    @property
    def names(self) -> tuple[str, ...]:
        """The address, without its password."""
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
        """Yield the records that start in a time range, each once, the earliest traces first.

        Raises:
            SourceError: Tempo does not answer, or not as Tempo.
        """
        del timelines
        start, end = self._period(since, until)
        return once(self._records(report, start, end, since, until), report) if start < end else iter(())

    @staticmethod
    def _period(since: int | None, until: int | None) -> tuple[int, int]:
        """Return the time range in seconds."""
        end = min(_LATEST, math.ceil(until / 1e9 if until is not None else time.time()) + 1)
        return max(0, math.floor(since / 1e9) if since is not None else end - PERIOD), end

    def _records(
        self, report: ReadReport, start: int, end: int, since: int | None, until: int | None
    ) -> Iterator[RequestRecord]:
        with self._client() as client, ThreadPoolExecutor(_TOGETHER) as pool:
            traces = self._traces(client, start, end, report)
            while batch := list(islice(traces, _BATCH)):
                for records in pool.map(partial(self._trace, client, report), batch):
                    yield from (r for r in records if _within(r, since, until))

    def _client(self) -> "httpx.Client":
        if self._given is not None:
            return self._given
        import httpx

        return httpx.Client(timeout=self._timeout)

    def _traces(self, client: "httpx.Client", start: int, end: int, report: ReadReport) -> Iterator[_Found]:
        """Yield each trace once, in parts of the time range, earliest first."""
        seen: set[str] = set()
        for found in self._windows(client, start, end, report):
            for trace in found:
                if trace[0] in seen:
                    continue
                if len(seen) >= MAX_TRACES:
                    report.warn(self.names[0], None, f"more than {MAX_TRACES:,} traces; ask for less time")
                    return
                seen.add(trace[0])
                yield trace

    def _windows(self, client: "httpx.Client", start: int, end: int, report: ReadReport) -> Iterator[list[_Found]]:
        waiting = [(start, end)]
        searches = incomplete = 0
        odd: set[str] = set()
        while waiting:
            begin, stop = waiting.pop()
            traces = self._search(client, begin, stop)
            searches += 1
            if len(traces) >= self._limit and stop - begin > 1 and searches < MAX_SEARCHES:
                middle = (begin + stop) // 2
                waiting += [(middle, stop), (begin, middle)]
                continue
            incomplete += len(traces) >= self._limit
            ids = [(str(trace.get("traceID") or ""), _start_of(trace)) for trace in traces]
            odd.update(trace_id[:40] for trace_id, _ in ids if not _ID.fullmatch(trace_id))
            yield sorted((trace for trace in ids if _ID.fullmatch(trace[0])), key=lambda trace: trace[1])
        if odd:
            report.warn(self.names[0], None, f"invalid trace IDs, for example {visible(min(odd))!r}; skipped")
        if incomplete:
            part = "in one second" if searches < MAX_SEARCHES else f"in a part of it, after {MAX_SEARCHES} searches"
            report.warn(
                self.names[0], None, f"{self._limit} traces or more {part}; not all were found: ask for less time"
            )

    def _search(self, client: "httpx.Client", begin: int, stop: int) -> list[dict[str, Any]]:
        query = {"q": QUERY, "start": str(begin), "end": str(stop), "limit": str(self._limit), "spss": "1"}
        answer = self._get(client, "/api/search", query, MAX_SEARCH_BYTES)
        try:
            traces = answer.json().get("traces") or []
            found = [cast("dict[str, Any]", trace) for trace in traces if isinstance(trace, dict)]
        except (ValueError, AttributeError, TypeError, RecursionError):
            raise SourceError(f"{self.names[0]} did not answer as Tempo does: is the address right?") from None
        return found[: self._limit]

    def traces(
        self,
        report: ReadReport,
        *,
        since: int | None,
        until: int | None,
        trace_id: str | None = None,
        having: Having | None = None,
    ) -> Iterator[list[TraceSpan]]:
        """Yield the traces that start in a time range, the earliest first; or the one with an ID, at any time.

        Raises:
            SourceError: Tempo does not answer, or not as Tempo.
        """
        del having  # it has no such question
        start, end = self._period(since, until)
        if start >= end:
            return
        with self._client() as client, ThreadPoolExecutor(_TOGETHER) as pool:
            found = self._traces(client, start, end, report) if trace_id is None else iter([(trace_id, 0)])
            while batch := list(islice(found, _BATCH)):
                answers = pool.map(partial(self._document, client, report), batch)
                for (found_id, _), answer in zip(batch, answers, strict=True):
                    collector = TraceCollector(report, trace_id=found_id.lower().zfill(32))
                    collector.read(answer or b"{}", f"trace {found_id}")
                    yield from collector.traces()

    def _trace(self, client: "httpx.Client", report: ReadReport, found: _Found) -> Iterable[RequestRecord]:
        trace_id, _ = found
        content = self._document(client, report, found)
        try:
            return () if content is None else decode_traces(content, source=f"trace {trace_id}", report=report)
        except ValueError as error:
            report.warn(self.names[0], None, f"trace {trace_id} cannot be read: {error}")
            return ()

    def _document(self, client: "httpx.Client", report: ReadReport, found: _Found) -> bytes | None:
        trace_id, start = found
        # Without a time range, Tempo searches all its data.
        around = {"start": str(start // _SECOND - _AROUND), "end": str(start // _SECOND + _AROUND)} if start else {}
        try:
            return self._get(client, f"/api/traces/{trace_id}", around, MAX_TRACE_BYTES, tries=_TRIES).content
        except SourceError as error:
            report.warn(self.names[0], None, f"trace {trace_id} cannot be read: {error}")
            return None

    def _get(
        self, client: "httpx.Client", path: str, query: dict[str, str], max_bytes: int, tries: int = 1
    ) -> "httpx.Response":
        import httpx

        name = self.names[0]
        try:
            request = client.build_request("GET", self._url + path, params=query, headers=_ACCEPT)
            answer = exchange(client, request, seconds=self._timeout, max_bytes=max_bytes)
        except httpx.TimeoutException:
            if tries > 1:
                return self._get(client, path, query, max_bytes, tries - 1)
            raise SourceError(f"{name} did not answer in {self._timeout:g} s: ask for less time, or again") from None
        except AnswerTooLongError as error:
            raise SourceError(f"{name}: {error}: ask for less time; is it a Tempo?") from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise SourceError(
                f"{name} cannot be reached ({_reason(error)}): is it running, and the address right?"
            ) from error
        if answer.is_success:
            return answer
        said = visible(answer.text.strip().replace("\n", " "), limit=200)
        raise SourceError(f"{name} answered {answer.status_code}{f': {said}' if said else ''}")


def _start_of(trace: dict[str, Any]) -> int:
    """Return when a trace starts, Unix nanoseconds; 0 if that is not a time that Tempo accepts."""
    try:
        start = int(trace.get("startTimeUnixNano") or 0)
    except (TypeError, ValueError, OverflowError):
        return 0
    return start if _AROUND <= start // _SECOND < _LATEST - _AROUND else 0


def _within(record: RequestRecord, since: int | None, until: int | None) -> bool:
    return (since is None or record.start_unix_ns >= since) and (until is None or record.start_unix_ns < until)


def _reason(error: Exception) -> str:
    """Return `Connection refused`, without the error number before it."""
    return visible(re.sub(r"^\[Errno -?\d+\] ", "", str(error)).lower(), limit=200)
