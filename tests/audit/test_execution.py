"""Large stores read by several processes."""

import pickle
import subprocess
import sys
from dataclasses import replace

import pytest
from support.files import write_store
from support.report_samples import SAMPLES, many
from support.runs import readable, span
from support.runs import request as run_request
from support.traffic import MS, failed, request, traffic

from groqscope.audit import FileSource, MemorySource, Query, Records
from groqscope.audit.baseline import Baseline, Rows
from groqscope.audit.execution import WORTH_IT, files_to_share, processors
from groqscope.audit.reports.json import to_data
from groqscope.audit.scan import Scan
from groqscope.audit.table import RecordTable, Some
from groqscope.store import encode_span_line

# A process of its own: it forks, which a test run with its threads must not.
_COMPARE = """
import dataclasses
import math
import sys
from groqscope import audit
from groqscope.audit import execution
execution.WORTH_IT = 0

def overview(workers, **query):
    records = audit.Records(audit.FileSource([sys.argv[1]]), audit.Query(**query))
    budgets = audit.Budgets(
        [audit.parse_budget(b) for b in ("ttfc.p95<1s", "errors<1%", "goodput>90%", "cost.sum<1 where not failed")],
        audit.parse_goodput(["ttft:400"]),
    )
    seen = []
    report = audit.overview(records, budgets=budgets, why=True, workers=workers, watch=seen.append)
    return report, sum(seen), len(seen)

def alike(a, b, path=""):
    # Sums of floats may differ by the order in which they were added.
    if dataclasses.is_dataclass(a):
        for field in dataclasses.fields(a):
            alike(getattr(a, field.name), getattr(b, field.name), f"{path}.{field.name}")
    elif isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        for number, pair in enumerate(zip(a, b)):
            alike(*pair, f"{path}[{number}]")
    else:
        assert a == b or (isinstance(a, float) and math.isclose(a, b)), (path, a, b)

for query in ({}, {"slowest": 7, "by": "queue"}, {"where": "duration > 400ms", "models": ("llama",)}):
    alone, counted_alone, _ = overview(1, **query)
    shared, counted, calls = overview(2, **query)
    assert calls == 5, calls
    assert counted == counted_alone == alone.total.requests
    alike(alone, shared)
print("equal")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are shared out by fork on Linux only")
@pytest.mark.parametrize("copies", [False, True])
def test_several_processes_say_what_one_says(copies, tmp_path):
    """The overview does not depend on which process read which file, and copies count once."""
    records = list(traffic(500))
    for number in range(5):
        begin = number * 60 if copies else number * 100
        write_store(tmp_path / "store", records[begin : begin + 100])
    with max((tmp_path / "store").iterdir()).open("a") as file:
        file.write("{broken\n")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _COMPARE, str(tmp_path / "store")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert (done.stdout, done.stderr) == ("equal\n", "")


_COMPARE_RUNS = """
import dataclasses
import sys
from groqscope import audit
from groqscope.audit import execution
execution.SHARED_FROM = 0

def runs(workers, order="newest", **query):
    budgets = audit.Budgets(list(map(audit.parse_budget, ("run.duration.p95<1s", "run.requests<3", "ttfc.p95<1s"))))
    source, query = audit.file_source([sys.argv[1]]), audit.Query(**query)
    return audit.list_runs(source, query, order=order, listed=5, budgets=budgets, workers=workers)

for asked in ({}, {"order": "slowest", "by": "user"}, {"order": "dearest", "where": 'run.agent = "planner"'}):
    alone, shared = runs(1, **asked), runs(3, **asked)
    for field in dataclasses.fields(alone):
        assert getattr(alone, field.name) == getattr(shared, field.name), field.name
    assert len(alone.provenance.warnings) == 3, alone.provenance.warnings
source = audit.file_source([sys.argv[1]])
found = execution.by_traces(source, lambda share: len(list(share.traces(audit.ReadReport(), since=None, until=None))),
                            listed=5, workers=3)
assert len(found) == 3 and all(found) and sum(found) == 60, found
print("equal")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are shared out by fork on Linux only")
def test_several_processes_list_the_runs_that_one_lists(tmp_path):
    """Each trace is in one process whole, although its spans are in several files."""
    agents, requests = [], []
    for number in range(60):
        top, below = f"{2 * number + 1:016x}", f"{2 * number + 2:016x}"
        attributes = {"gen_ai.agent.name": "planner" if number % 3 else "writer", "user.id": f"u{number % 4}"}
        agent = span(top, 1_000, 1_900 + number % 7, name="invoke_agent", attributes=attributes)
        asked = run_request(below, 1_000, top, receive=100 + 9 * number, messages=1)
        agents.append(readable(in_trace(agent, number)))
        requests.append(readable(in_trace(asked, number)))
    for number, part in enumerate((agents[:30], requests, agents[30:])):
        (tmp_path / f"{number}.jsonl").write_bytes((encode_span_line(part) or b"") + b"\n{broken\n")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _COMPARE_RUNS, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert (done.stdout, done.stderr) == ("equal\n", "")


def in_trace(one, number):
    """The span, and its record, in a trace of that number."""
    trace_id = f"{number + 1:032x}"
    record = None if one.record is None else replace(one.record, trace_id=trace_id, cost=number / 1000)
    return replace(one, trace_id=trace_id, record=record)


def shared(source, listed, workers, **query):
    return files_to_share(source, Scan(Query(**query), listed=listed), workers)


def test_one_process_is_enough(tmp_path):
    """One process reads small stores, standard input and single files, and does so on a single processor."""
    write_store(tmp_path, [request(1)])
    write_store(tmp_path, [request(2)])

    assert processors() >= 1
    assert shared(FileSource([tmp_path]), 20, 2) == []
    assert shared(MemorySource([]), 20, 2) == []
    assert FileSource(["-"]).files() == []
    assert FileSource([tmp_path / "none"]).files() == []


@pytest.mark.skipif(sys.platform != "linux", reason="processes are shared out by fork on Linux only")
def test_large_stores_are_shared_out(tmp_path):
    """Several processes read a large store, unless every record is listed or only the newest are selected."""
    for name in ("a.jsonl", "b.jsonl"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(WORTH_IT)
    source = FileSource([tmp_path])

    assert shared(source, 20, 2) == [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    assert shared(source, 20, 1) == []
    assert shared(source, None, 2) == []
    assert shared(source, 20, 2, last=5) == []


def test_samples_are_put_together():
    """Two baselines merge into what one would be; rows that a sample left out still count as seen."""
    whole, left, right = Baseline(50), Baseline(50), Baseline(50)
    for number in range(80):
        record = request(number, queue=(number % 3) * 10 * MS) if number % 9 else failed(number)
        whole.add(record)
        (left if number < 40 else right).add(record)
    left.merge(right)
    (rows,), (expected,) = left.rows.values(), whole.rows.values()

    assert (rows.seen, len(list(rows))) == (expected.seen, 50) == (80, 50)
    assert rows.medians["duration"] == pytest.approx(expected.medians["duration"], rel=0.1)


def test_a_sample_weighs_what_it_stands_for():
    """A sample of 50 of 500 rows still counts for 500 when it is merged into another."""
    from groqscope.audit.rules import measure

    a, b = Rows(50), Rows(50)
    for number in range(500):
        b.add(measure(request(number)), str(number))
    a.merge(b)

    assert (a.seen, a.weight) == (500, 10)


def test_what_a_child_does(tmp_path, monkeypatch):
    """Files scanned one by one and merged give the same overview as all of them at once."""
    from groqscope.audit import Budgets, execution, overview, parse_budget, parse_goodput

    records = list(traffic(200))
    for part in (records[:100], records[100:]):
        write_store(tmp_path, part)
    budgets = Budgets([parse_budget("ttfc.p95 < 1s"), parse_budget("goodput > 50%")], parse_goodput(["ttft:400"]))
    source, scan = FileSource([tmp_path]), Scan(Query(), budgets, listed=5)
    monkeypatch.setattr(execution, "_job", execution._Job(scan, timelines=True))
    for file in source.files():
        scan.merge(pickle.loads(pickle.dumps(execution._scan_file(file))))
    report = scan.result(source)
    expected = overview(Records(FileSource([tmp_path]), Query()), listed=5)

    assert report.provenance == expected.provenance
    assert report.total.duration == expected.total.duration
    assert report.tools == expected.tools
    assert [entry.record for entry in report.entries] == [entry.record for entry in expected.entries]
    assert [result.n for result in report.budgets] == [expected.total.ttfc.n, 200]


def test_many_at_once() -> None:
    """Requests that are counted as one table, or as some of a larger one, count as one by one."""
    records = [make() for make in SAMPLES.values() for _ in range(3)]
    one_by_one, at_once = Scan(Query(by="model"), listed=0), Scan(Query(by="model"), listed=0)
    for record in records:
        one_by_one.add(record)
        one_by_one.settle()
    at_once.extend(Some(RecordTable(records), range(20)))
    at_once.extend(Some(RecordTable(records), range(20, len(records))))
    source = MemorySource(records)

    assert to_data(at_once.result(source, why=True)) == to_data(one_by_one.result(source, why=True))
    assert at_once.verdict(records[0]) == one_by_one.verdict(records[0])


def test_beyond_what_is_exact() -> None:
    """With more requests than are counted exactly, counts stay exact, and quantiles are near."""
    records = many(400)
    rough, exact = Scan(Query(), listed=0, exact=100), Scan(Query(), listed=0)
    for scan in (rough, exact):
        scan.extend(RecordTable(records))
    about, true = (scan.result(MemorySource(records), why=True).total for scan in (rough, exact))

    assert (about.requests, about.cost, about.errors) == (true.requests, true.cost, true.errors)
    assert about.duration.p95 == pytest.approx(true.duration.p95, rel=0.011)
    assert not about.duration.exact
    assert all(len(rows) <= 100 for rows in rough.baseline.rows.values())
