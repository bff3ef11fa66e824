"""Runs are the same however their spans are stored, and of columns only what is asked for is read."""

import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.many_runs import DAY, many_traces
from support.runs import readable, write_traces
from support.same import same
from support.traffic import START

from groqscope import audit, history
from groqscope.audit.run_selection import having
from groqscope.runs import TraceSpan
from groqscope.store import ReadReport, Share, encode_span_line

QUERIES: tuple[dict[str, Any], ...] = (
    {},
    {"since": START + DAY, "until": START + 2 * DAY},
    {"models": ("llama",), "services": ("worker", "shop"), "by": "tag.feature"},
    {"outcomes": ("error", "closed")},
    {"where": "run.duration > 1s and ttfc > 100ms"},
    {"where": "run.agent = 'planner' or model ~ 'gpt'"},
    {"where": "not (retries = 0 or run.tools > 2) and tag.feature = 'a'"},
    {"where": "not (run.failed and retries > 0)", "by": "agent"},
    {"where": "run.tool.search > 100ms or duration > run.tool"},
)
BUDGETS = ("run.duration.p95 < 2s", "run.cost.sum < 1usd where run.agent = 'planner'", "ttfc.p95 < 1s", "errors < 1%")


def listed(source: audit.Source, *, order: str = "newest", **query: Any) -> audit.RunsAudit | str:
    """Return the list of runs, or why there is none."""
    budgets = audit.Budgets([*map(audit.parse_budget, BUDGETS)])
    try:
        found = audit.list_runs(audit.trace_source(source), audit.Query(**query), order=order, budgets=budgets)
    except audit.NoRequests as nothing:
        return str(nothing).partition(" ")[0]
    # Lines of JSON are read whole whatever the time, and what is repeated is read twice.
    return replace(found, provenance=replace(found.provenance, read=0))


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same traces as lines of JSON, as Parquet, and as a part of each, with traces and spans in both."""
    folder = tmp_path_factory.mktemp("stores")
    made = many_traces(150)
    write_traces(folder / "json", made)
    write_traces(folder / "parquet", made)
    write_halves(folder / "mixed", made, random.Random(1))
    history.compact(folder / "parquet", now_ns=4 * 10**18)
    return folder


def write_halves(folder: Path, made: list[list[TraceSpan]], chance: random.Random) -> None:
    """Write a part of the spans, compact them, then write the others and some again."""
    folder.mkdir()
    every = [span for trace in made for span in trace]
    early = [span for span in every if chance.random() < 0.6]
    late = [span for span in every if span not in early or chance.random() < 0.1]
    for number, some in enumerate((early, late)):
        line = encode_span_line([readable(span) for span in some])
        (folder / f"traces-20260921T000000000000Z-1-000{number}.0001.jsonl").write_bytes((line or b"") + b"\n")
        if number == 0:
            assert history.compact(folder, now_ns=4 * 10**18).requests or not made


@pytest.mark.parametrize("query", QUERIES, ids=str)
@pytest.mark.parametrize("form", ["parquet", "mixed"])
def test_the_list_is_that_of_the_files(stores: Path, form: str, query: dict[str, Any]):
    """Selection, findings, quantiles, groups, budgets, and the runs with all their spans."""
    expected = listed(audit.source_of([stores / "json"]), order="slowest", **query)
    assert isinstance(expected, audit.RunsAudit)

    same(expected, listed(audit.source_of([stores / form]), order="slowest", **query))


@pytest.mark.slow
@settings(
    phases=(Phase.explicit, Phase.generate),
    deadline=None,
    max_examples=6,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.integers(1, 30), st.integers(0, 2**32), st.sampled_from(QUERIES))
def test_any_traces(tmp_path_factory: pytest.TempPathFactory, number: int, seed: int, query: dict[str, Any]):
    """Whatever of a trace is already compacted."""
    folder = tmp_path_factory.mktemp("drawn")
    made = many_traces(number, seed)
    write_traces(folder / "json", made)
    write_halves(folder / "mixed", made, random.Random(seed))

    same(
        listed(audit.source_of([folder / "json"]), **query),
        listed(audit.source_of([folder / "mixed"]), **query),
    )


def test_one_run_by_its_id(stores: Path):
    """By its trace, by its span, by the beginning of either; with the arrival times of its chunks."""
    here, there = (audit.trace_source(audit.source_of([stores / one])) for one in ("json", "mixed"))
    run = next(e.run for e in audit.list_runs(here, audit.Query()).entries if e.run.span_id is not None)

    for wanted in (run.trace_id, run.trace_id[:12], run.span_id or "", (run.span_id or "")[:15]):
        expected, found = (audit.one_run(source, audit.Query(), wanted) for source in (here, there))
        same(replace(expected, provenance=replace(found.provenance)), found)
    with pytest.raises(audit.NotFound, match="no run with the ID 'fffffff0'"):
        audit.one_run(there, audit.Query(), "fffffff0")


def test_only_what_is_asked_for_is_read(stores: Path):
    """Of other traces not a span leaves the engine; a share has its own."""
    source = audit.trace_source(audit.source_of([stores / "parquet"]))

    def read(query: audit.Query, wanted: str = "", **more: Any) -> list[list[TraceSpan]]:
        fits = having(query, wanted)
        return list(source.traces(ReadReport(), since=query.since, until=query.until, having=fits, **more))

    every = read(audit.Query())
    assert [trace[0].trace_id for trace in every] == sorted(trace[0].trace_id for trace in every)
    wanted = every[40][0].trace_id
    assert [trace[0].trace_id for trace in read(audit.Query(), wanted[:8])] == [wanted]
    slow = read(audit.Query(where="duration > 500ms and run.duration > 1h"))
    assert 0 < len(slow) < len(every)
    assert all(any(s.record is not None and s.record.duration_ns > 5 * 10**8 for s in trace) for trace in slow)
    day = read(audit.Query(since=START, until=START + DAY))
    assert 0 < len(day) < len(every)
    assert all(any(START <= s.start_unix_ns < START + DAY for s in trace) for trace in day)


def test_what_of_a_condition_an_engine_can_tell():
    """What is about the run is left out, and never makes the condition stricter."""
    told = {
        "ttfc > 1s": True,
        "run.duration > 1s": False,
        "run.duration > 1s and ttfc > 1s": True,
        "run.duration > 1s or ttfc > 1s": False,
        "not (run.duration > 1s or ttfc > 1s)": True,
        "not (run.duration > 1s and ttfc > 1s)": False,
        "duration > run.duration": False,
    }

    assert {where: having(audit.Query(where=where)).condition != "true" for where in told} == told


def test_spans_that_cannot_be_read(stores: Path, tmp_path: Path):
    """The file is named with what to do, the others are read, and the exit status is 2."""
    write_traces(tmp_path / "store", many_traces(40))
    history.compact(tmp_path / "store", now_ns=4 * 10**18)
    part = min((tmp_path / "store/history/spans").rglob("*.parquet"))
    data = part.read_bytes()
    for broken in (data[:-100], data[:8] + bytes(len(data) - 200) + data[-192:]):
        part.write_bytes(broken)
        report = ReadReport()
        found = audit.list_runs(audit.trace_source(audit.source_of([tmp_path / "store"])), audit.Query(), report=report)

        assert 0 < found.runs < 40
        assert report.damaged
        assert str(report.warnings[0]).startswith(f"{part}: ")
        assert "replace it or remove it" in str(report.warnings[0])


_SHARED = """
import sys
from groqscope import audit
from groqscope.audit import execution
execution.SHARED_FROM = 0

for path in sys.argv[1:]:
    for query in ({}, {"where": "run.duration > 1s and ttfc > 100ms", "by": "tag.feature"}):
        source = audit.source_of([path])
        alone, shared = (audit.list_runs(source, audit.Query(**query), workers=workers) for workers in (1, 3))
        assert alone == shared, path
        assert len(execution.by_traces(source, lambda share: 1, listed=5, workers=3)) == 3
print("equal")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are shared out by fork on Linux only")
def test_several_processes_list_what_one_lists(stores: Path):
    """Each asks the engine for its own traces."""
    command = [sys.executable, "-W", "error", "-c", _SHARED, str(stores / "parquet"), str(stores / "mixed")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert (done.stdout, done.stderr) == ("equal\n", "")


def test_a_share_is_told_alike_by_python_and_sql(stores: Path):
    """Each trace is in one of them."""
    source = audit.source_of([stores / "mixed"])
    assert isinstance(source, audit.FileSource)
    found = [
        [trace[0].trace_id for trace in share.traces(ReadReport(), since=None, until=None)]
        for share in source.shares(3)
    ]
    assert all(found)
    assert all(Share(number, 3).has(one) for number, some in enumerate(found) for one in some)
    assert sum(map(len, found)) == len({one for some in found for one in some}) == 150
