"""The requests in memory: those stored before and those that arrive, each once, in bounded memory."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from support.files import write_store
from support.report_samples import broken, many, queued, streamed
from support.ui import MINUTE, numbered
from support.waiting import wait_for

from groqscope.audit import ReadReport
from groqscope.timeline import Phases, RateLimits
from groqscope.ui.active import ActiveRequests
from groqscope.ui.collection import CollectedSource, Collection
from groqscope.ui.kept import in_order
from groqscope.ui.series import WINDOWS, Series

Collect = Callable[..., Any]


def ids_in(collection: Collection) -> list[str | None]:
    """Return the IDs of the requests in memory, in order of their start."""
    return [record.span_id for record in in_order(collection.parts())]


def test_stored_and_new_requests(collect: Collect, tmp_path: Path) -> None:
    """Those stored before and those written later are there, each once."""
    old, new = numbered(many(5)), numbered(many(3), start=100, ago_ns=0)
    collection = collect(tmp_path, old)
    before = collection.version
    write_store(tmp_path, [*new, old[0]])
    wait_for(lambda: collection.total == 8)

    assert ids_in(collection) == [record.span_id for record in [*old, *new]]
    assert collection.version > before
    assert [record.span_id for record in collection.newest][-1] == new[-1].span_id


def test_a_store_that_is_made_later(collect: Collect, tmp_path: Path) -> None:
    """The directory need not exist yet."""
    collection = collect(tmp_path / "store")
    write_store(tmp_path / "store", numbered([streamed()]))
    wait_for(lambda: collection.total == 1)


def test_listeners(collect: Collect, tmp_path: Path) -> None:
    """They are told of each change until they are removed."""
    heard: list[int] = []
    collection = collect(tmp_path)
    quiet = collection.listen(lambda: heard.append(1))
    write_store(tmp_path, numbered([streamed()]))
    wait_for(lambda: heard)
    quiet()
    del heard[:]
    write_store(tmp_path, numbered([streamed()], start=50))
    wait_for(lambda: collection.total == 2)

    assert heard == []


def test_memory_is_bounded(collect: Collect, tmp_path: Path) -> None:
    """Only the newest are kept; what reaches back further is read from the files, completely."""
    records = numbered(many(30))
    collection = collect(tmp_path, records, kept=10)
    source = CollectedSource(collection)

    assert ids_in(collection) == [record.span_id for record in records[20:]]
    assert collection.total == 30
    assert not collection.reaches(None)
    assert collection.reaches(records[20].start_unix_ns)

    def read(since: int | None) -> list[str | None]:
        return [r.span_id for r in source.read(ReadReport(), since=since, until=None, timelines=False)]

    assert read(None) == [record.span_id for record in records]
    assert read(records[25].start_unix_ns) == [record.span_id for record in records[25:]]


def test_series_counts_by_the_time_of_the_end() -> None:
    """A request counts at the time of its end; phases are those of a mean request, in milliseconds."""
    series, now = Series(), int(time.time())
    one = replace(queued(), start_unix_ns=(now - 60) * 10**9, duration_ns=2 * 10**9)
    for record in (one, replace(one, outcome="error"), replace(one, phases=Phases())):
        series.add(record)
    (row,) = series.rows("5m", now)

    assert row[0] == (now - 58) // 2 * 2
    assert row[1:3] == [3, 1]
    assert row[5] == 2000
    assert row[10][6] == (one.phases.queue or 0) / 1e6
    assert series.whole("5m", now).requests == 3
    assert series.rows("5m", now, since=now - 10) == []


def test_series_forgets() -> None:
    """Each window keeps no more buckets than it shows, whatever comes, early or late."""
    series = Series()
    now = int(time.time())
    for second in [*range(now - 9_000, now, 7), *range(now - 9_000, now, 1_000)]:
        series.add(replace(streamed(), start_unix_ns=second * 10**9))

    for window, (length, width) in WINDOWS.items():
        rows = series.rows(window, now)

        assert 0 < len(rows) <= length // width + 2
        assert all(row[0] > now - length - width for row in rows)


def test_series_knows_the_latest_limits() -> None:
    """The latest rate limits of a model count; a failed answer without any changes nothing."""
    series = Series()
    first = streamed()
    assert first.rate_limits.requests_remaining is not None
    later = replace(first, rate_limits=replace(first.rate_limits, requests_remaining=7))
    series.add(replace(later, start_unix_ns=first.start_unix_ns + MINUTE))
    series.add(first)
    silent = replace(broken(), model=first.model, rate_limits=RateLimits())
    series.add(replace(silent, start_unix_ns=first.start_unix_ns + 2 * MINUTE))

    assert [(model, limits.requests_remaining) for model, _, limits in series.limits()][:1] == [(first.model, 7)]


def metrics(number: int, at: float, program: str = "a") -> str:
    point = {"asInt": str(number), "timeUnixNano": str(int(at * 1e9))}
    metric = {"name": "groqscope.requests.active", "sum": {"dataPoints": [point]}}
    resource = {"attributes": [{"key": "service.instance.id", "value": {"stringValue": program}}]}
    return json.dumps({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": [metric]}]}]}) + "\n"


def test_in_flight(tmp_path: Path) -> None:
    """The number is the sum of what each program reported last; old or damaged reports are ignored."""
    now = [1000.0]
    active = ActiveRequests(tmp_path, clock=lambda: now[0])

    assert (active.look(), active.now()) == (False, None)

    file = tmp_path / "metrics-1.jsonl"
    file.write_text(metrics(9, 900) + metrics(2, 990) + metrics(3, 980, "b") + '{"groqscope.requests.active"\n')

    assert (active.look(), active.now()) == (True, (5, 990.0))

    with file.open("a") as stream:
        stream.write(metrics(0, 995) + '"groqscope.requests.active"\n' + metrics(1, 996)[:40])

    assert (active.look(), active.now()) == (True, (3, 995.0))
    assert not active.look()
    now[0] = 1140

    assert active.now() == (0, 995.0)
    now[0] = 2000

    assert active.now() is None
