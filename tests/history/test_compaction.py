"""Closed files become columns, each request once, and the rest stays as it is."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from support.files import write_store
from support.runs import request as asked
from support.runs import span, tool, write_traces
from support.spans import span_of
from support.traffic import START, request, traffic

from groqscope import audit, history
from groqscope.history import compaction
from groqscope.store import LocalSpanExporter, ReadReport, read_records


def _files(store):
    return sorted(path.name for path in store.glob("*.jsonl"))


def _stored(store):
    return list(history.Dataset([str(store)], ReadReport()).records())


def test_the_files_of_a_store_become_columns(tmp_path, much_later):
    """Records in, records out, by day and service; the files are gone."""
    written = [replace(request(n), service=f"s{n % 2}", start_unix_ns=START + n * 10**14) for n in range(20)]
    write_store(tmp_path, written)

    done = history.compact(tmp_path, now_ns=much_later)

    assert (done.requests, done.files, done.repeats, _files(tmp_path)) == (20, 1, 0, [])
    assert _stored(tmp_path) == written
    partitions = {path.parent.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("requests/**/*.parquet")}
    assert len(partitions) == 20
    assert "history/requests/day=2026-09-21/service=s0" in partitions


def test_a_service_of_any_name(tmp_path, much_later):
    """What means something to a file system does not in the name of a partition."""
    names = [None, "", "a/b", "..", "x" * 400, "name=1", "*?'\"", "ü"]
    write_store(tmp_path, [replace(request(n), service=name) for n, name in enumerate(names)])
    expected = [record.service for record in audit.load(tmp_path)]

    history.compact(tmp_path, now_ns=much_later)

    assert [record.service for record in audit.load(tmp_path)] == expected
    assert [r.service for r in audit.load(tmp_path, service="a/b")] == ["a/b"]


def test_a_file_that_is_written_to_stays(tmp_path):
    """The last file of a live process is not closed; those before it are."""
    exporter = LocalSpanExporter(tmp_path, segment_bytes=1)
    for number in range(3):
        exporter.export([span_of(request(number))])

    done = history.compact(tmp_path)

    assert (done.requests, done.open_files, len(_files(tmp_path))) == (2, 1, 1)
    assert len(list(audit.load(tmp_path))) == 3


@pytest.mark.parametrize(
    ("idle_s", "lives", "closed"), [(30, False, 0), (90, False, 1), (90, True, 0), (90_000, True, 1)]
)
def test_when_the_last_file_is_closed(idle_s, lives, closed, tmp_path):
    """Its process is gone and nothing was written for a minute, or nothing was written for a day."""
    process = os.getpid() if lives else 2**22 + 1  # beyond the greatest process id of Linux
    path = tmp_path / f"traces-20260101T000000000000Z-{process}-abcd.0001.jsonl"
    path.touch()
    now = path.stat().st_mtime_ns + idle_s * 10**9

    assert [len(found) if isinstance(found, list) else found for found in history.closed_files(tmp_path, now)] == [
        closed,
        1 - closed,
    ]


def test_twice_is_once(tmp_path, much_later):
    """Copies of a request, in one file, in another, and in the history, count once."""
    write_store(tmp_path, [request(1), request(2), request(1)])
    first = history.compact(tmp_path, now_ns=much_later)
    write_store(tmp_path, [request(2), request(3)])

    second = history.compact(tmp_path, now_ns=much_later)

    assert (first.requests, first.repeats, second.requests, second.repeats) == (2, 1, 1, 1)
    assert len(_stored(tmp_path)) == 3


def test_what_a_newer_version_wrote_stays(tmp_path, much_later):
    """A file of which a later version reads more is left as it is, and said so."""
    path = write_store(tmp_path, [request(1)])
    path.write_bytes(
        path.read_bytes()
        .replace(b'"groqscope.record","value":{"intValue":"1"}', b'"groqscope.record","value":{"intValue":"2"}')
        .replace(b'"groqscope.record","value":{"intValue":1}', b'"groqscope.record","value":{"intValue":2}')
    )
    write_store(tmp_path, [request(2)])

    done = history.compact(tmp_path, now_ns=much_later)

    assert (done.requests, _files(tmp_path)) == (1, [path.name])
    assert "update groqscope" in done.read.warnings[0].reason


def test_killed_after_the_decision(tmp_path, much_later, monkeypatch):
    """The next run goes on from the journal: nothing is lost, nothing doubled."""
    path = write_store(tmp_path, [request(9)])

    class Killed(BaseException):
        pass

    def put(*_: object) -> None:
        raise Killed

    monkeypatch.setattr("groqscope.history.places.Directory.put", put)
    with pytest.raises(Killed):
        history.compact(tmp_path, now_ns=much_later)
    monkeypatch.undo()
    assert _files(tmp_path) == [path.name]
    assert json.loads((tmp_path / compaction.ASIDE / "journal.json").read_text())["sources"] == [str(path)]

    done = history.compact(tmp_path, now_ns=much_later)

    assert (done.requests, _files(tmp_path), len(_stored(tmp_path))) == (0, [], 1)


def test_old_days_make_room(tmp_path, much_later):
    """By age whole days, by size the oldest."""
    day = 86_400 * 10**9
    write_store(tmp_path, [replace(request(n), start_unix_ns=START + n * day) for n in range(10)])
    now = START + 10 * day

    history.compact(tmp_path, now_ns=much_later, retention=history.Retention(max_age_ns=200 * 365 * day))
    done = history.compact(tmp_path, now_ns=now, retention=history.Retention(max_age_ns=4 * day))
    assert [r.start_unix_ns for r in _stored(tmp_path)] == [START + n * day for n in range(6, 10)]
    assert done.removed == 18

    size = sum(path.stat().st_size for path in tmp_path.rglob("*.parquet"))
    history.compact(tmp_path, now_ns=now, retention=history.Retention(max_bytes=size // 2))
    assert [r.start_unix_ns for r in _stored(tmp_path)] == [START + n * day for n in (8, 9)]
    assert not list(tmp_path.rglob("day=2026-09-21"))


def test_each_directory_and_file_of_a_history(tmp_path, much_later):
    """A store, its history, one day, one service, and one file are all read."""
    write_store(tmp_path, [request(n) for n in range(3)])
    history.compact(tmp_path, now_ns=much_later)
    (part,) = tmp_path.glob("history/requests/**/*.parquet")

    for place in (part, *part.parents[:5]):
        assert len(list(audit.load(place))) == audit.load(place).overview().total.requests == 3
        assert audit.load(place).request(str(request(1).span_id)).record.span_id == request(1).span_id
    assert part.parents[4] == tmp_path


def test_one_request_is_looked_up(tmp_path):
    """Only parts with such an ID are read; one without the file of its IDs is read in any case."""
    for number in range(4):
        history.write([replace(r, trace_id=f"{number}{'0' * 30}1") for r in traffic(3, seed=number)], tmp_path)
    parts = sorted(str(path) for path in tmp_path.glob("requests/**/*.parquet"))
    assert len(parts) == 4
    indexes = sorted(tmp_path.glob("ids/**/*.parquet"))
    assert [path.name for path in indexes] == [path.rpartition("/")[2] for path in parts]

    def read(beginning):
        query = history.Dataset([str(tmp_path)], ReadReport()).may_have(beginning)
        return [number for number, part in enumerate(parts) if part in query]

    assert read("2" + "0" * 30 + "1") == [2]
    assert read("30000") == [3]
    assert read("nobody' OR '1'='1") == []
    indexes[0].unlink()
    assert read("2" + "0" * 30 + "1") == [0, 2]


def test_one_at_a_time(tmp_path, much_later):
    """A second process leaves the work to the first."""
    write_store(tmp_path, [request(1)])
    (tmp_path / compaction.ASIDE).mkdir()
    code = (
        "import sys; from pathlib import Path; from groqscope.store.locks import locked\n"
        "with locked(Path(sys.argv[1])) as alone: print(alone, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / compaction.ASIDE / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        # A process that asks twice would be given the lock twice, so another one holds it.
        assert history.compact(tmp_path, now_ns=much_later).busy
        other.communicate("")
    assert history.compact(tmp_path, now_ns=much_later).requests == 1


def test_copies_leave_the_files(tmp_path, much_later):
    """Files of other writers can be copied into a history, more than once."""
    path = write_store(tmp_path / "files", traffic(30))

    first = history.copy([path], str(tmp_path / "target"))
    second = history.copy([tmp_path / "files"], str(tmp_path / "target"))

    assert (first.requests, second.requests, second.repeats, path.exists()) == (30, 0, 30, True)
    assert list(audit.load(tmp_path / "target")) == list(read_records([path]))


def test_runs_are_kept(tmp_path, much_later):
    """The spans around requests come along: an agent's run is the same run."""
    agent = [
        span("a", 1_000, 3_000, name="invoke_agent planner"),
        asked("b1", 1_000, "a", receive=300, messages=1, calls=[("c1", "search", "h")]),
        tool("c1", "search", 1_300, 1_900, "a", "c1"),
    ]
    write_traces(tmp_path, [agent])
    before = audit.list_runs(audit.FileSource([tmp_path]), audit.Query())

    history.compact(tmp_path, now_ns=much_later)
    after = audit.list_runs(audit.FileSource([tmp_path]), audit.Query())

    assert before.runs == 1
    assert after.entries == before.entries
    assert replace(after, provenance=before.provenance) == before


@pytest.mark.parametrize("cut", [0, 2, 4])
def test_runs_of_both_forms(cut, tmp_path, much_later):
    """Runs whose spans lie in lines of JSON, partly or wholly in Parquet, are the same: listed, and one by one."""
    traces = [_trace(number) for number in range(8)]
    write_traces(tmp_path / "json", traces)
    write_traces(tmp_path / "mixed", [trace[:cut] for trace in traces if cut])
    history.compact(tmp_path / "mixed", now_ns=much_later)
    write_traces(tmp_path / "mixed", [trace[cut:] or trace for trace in traces])
    expected, found = (audit.FileSource([tmp_path / form]) for form in ("json", "mixed"))

    for order in ("newest", "slowest"):
        one, other = (audit.list_runs(source, audit.Query(), order=order, listed=5) for source in (expected, found))
        assert one.runs == 8
        assert replace(other, provenance=one.provenance) == one
    one, other = (audit.one_run(source, audit.Query(), f"{3:032x}"[::-1]) for source in (expected, found))
    assert other.entry == one.entry
    assert other.entry.run.requests[0].timeline_us


def _trace(number: int):
    agent = [
        span("a", 1_000, 3_000 + number, name="invoke_agent planner"),
        asked("b1", 1_000, "a", receive=300 + number, messages=1, calls=[("c1", "search", "h")]),
        tool("c1", "search", 1_300, 1_900, "a", "c1"),
        asked("b2", 2_000, "a", receive=200, messages=3),
    ]
    asked_first = agent[1].record
    assert asked_first is not None
    record = replace(asked_first, chunks=2, timeline_us=(1_000, 2_000), timeline_stride=1)
    agent[1] = replace(agent[1], record=record)
    return [replace(one, trace_id=f"{number:032x}"[::-1] if number else "f" * 32) for one in agent]
