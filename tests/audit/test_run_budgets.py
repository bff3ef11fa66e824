"""Budgets on runs, causes over slow runs, two sets of runs compared, and what counts of an interrupted one."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.runs import MS, request, span, tool, write_traces

from groqscope.audit import AuditError, Budgets, Query, Records, compare_runs, file_source, list_runs, parse_budget
from groqscope.audit.fields import find
from groqscope.audit.reports import HtmlRenderer, Look, MarkdownRenderer, TerminalRenderer
from groqscope.cli.app import run as command
from groqscope.runs import Run, TraceSpan, run_of
from groqscope.store import store_directory


def trace(number: int, length: int = 1_000, *, searched: int = 100, outcome: str = "completed") -> list[TraceSpan]:
    """An agent that searches, then answers in the rest of `length` milliseconds."""
    top, at = f"{number:015x}a", 1_000 + number
    attributes = {"groqscope.run.name": "answer", "groqscope.tag.feature": "chat" if number % 2 else "search"}
    asked = request(f"{number:015x}b", at + searched, top, receive=length - searched, tokens=10)
    assert asked.record is not None
    record = replace(asked.record, cost=0.01, outcome=outcome, model=f"m{number % 2}", ttfot_ns=50 * MS)
    spans = [
        span(top, at, at + length, name="run answer", attributes=attributes),
        tool(f"{number:015x}c", "search", at, at + searched, top),
        replace(asked, record=record),
    ]
    return [replace(one, trace_id=f"{number + 1:032x}") for one in spans]


def verdict(text: str, *runs: Run):
    budgets = Budgets([parse_budget(text)])
    for one in runs:
        budgets.add_run(one)
    (result,) = budgets.results()
    return result


def some(*lengths: int, **options) -> list[Run]:
    return [run_of(trace(number, length, **options)) for number, length in enumerate(lengths)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("run.duration.p95 < 8s", "inconclusive"),
        ("run.duration.p50 < 2.5s", "ok"),
        ("run.duration.max < 2s", "over"),
        ("run.duration < 3.5s", "ok"),
        ("run.duration < 3s", "over"),
        ("run.duration > 1s", "over"),
        ("run.cost < 0.02usd", "ok"),
        ("run.cost.sum < 0.02usd", "over"),
        ("run.requests < 6", "ok"),
        ("run.tools <= 1", "ok"),
        ("run.failed < 1%", "ok"),
        ("run.interrupted < 1", "ok"),
        ("run.tool.search.max < 200ms", "ok"),
        ("run.tool.weather.max < 200ms", "inconclusive"),
        ("run.share.tool.max < 5%", "over"),
        ("run.first_answer.p50 < 200ms", "ok"),
        ("run.duration.max < 2.5s where run.tag.feature = 'chat'", "ok"),
        ("run.duration.max < 2.5s where run.tag.feature = 'search'", "over"),
        ("run.duration.max < 2.5s where model = 'm1' and run.requests = 1", "ok"),
        ("run.duration.max < 1ms where run.name = 'other'", "inconclusive"),
    ],
)
def test_verdicts(text, expected):
    """A measure with a statistic is over all runs; without one, each run has to keep the limit."""
    assert verdict(text, *some(1_000, 2_000, 3_000)).verdict == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("run.dration.p95 < 8s", "did you mean run.duration"),
        ("run.name < 3", "run.name has no limit"),
        ("run.duration.p95 < 8", "expected a duration"),
        ("run.requests < 1s", "expected a plain number"),
        ("duration.max < 1s where run.duration > 1s", "would be a field of runs"),
    ],
)
def test_mistakes(text, why):
    """A mistake is pointed at."""
    with pytest.raises(AuditError, match=why):
        parse_budget(text)


def test_a_request_has_no_field_of_a_run():
    """Outside of runs the message says where such a field is known."""
    with pytest.raises(AuditError, match="known with --runs"):
        find("run.duration")


def test_interrupted():
    """How long an interrupted run lasted is in no statistic, whatever it was left at; what it cost is."""
    runs = [*some(1_000, 1_000), *some(10, searched=1, outcome="cancelled"), *some(20, searched=1, outcome="closed")]
    by_span = run_of(trace(9, 30, searched=1))
    marked = replace(by_span.spans[0], attributes={**by_span.spans[0].attributes, "groqscope.run.interrupted": True})
    runs.append(run_of([marked, *by_span.spans[1:]]))

    assert [run.interrupted for run in runs] == [False, False, True, True, True]
    result = verdict("run.duration.min > 500ms", *runs)
    assert (result.verdict, result.n, result.note) == ("ok", 2, "3 interrupted runs left out")
    assert verdict("run.cost.sum < 1usd", *runs).n == 5
    assert verdict("run.interrupted < 50%", *runs).verdict == "over"


def test_a_request_that_was_left_on_the_way():
    """A request that the caller left is no interruption when the run went on to ask."""
    first = request("b", 0, "a", receive=100)
    assert first.record is not None
    left = replace(first, record=replace(first.record, outcome="closed"))

    assert not run_of([span("a", 0, 500), left, request("c", 200, "a", receive=100)]).interrupted
    assert run_of([span("a", 0, 500), left]).interrupted


def test_a_voice_turn():
    """Speech to text to answer to speech: the first answer token is the answer's, the first audio byte the speech's."""

    def asked(span_id: str, start: int, operation: str, length: int, **fields) -> TraceSpan:
        made = request(span_id, start, "a", receive=length)
        assert made.record is not None
        return replace(made, record=replace(made.record, operation=operation, **fields))

    turn = run_of(
        [
            span("a", 0, 1_000),
            asked("b", 0, "transcription", 200),
            asked("c", 200, "chat", 400, ttfot_ns=100 * MS, stream=True),
            asked("d", 400, "speech", 500, ttfc_ns=60 * MS),
        ]
    )

    assert turn.first_answer_ns == 300 * MS
    assert turn.first_audio_ns == 460 * MS
    assert len(turn.requests) == 3


def store(directory: Path, *traces: list[TraceSpan]) -> Records:
    write_traces(directory, traces)
    return Records(file_source([directory]), Query())


def test_why_over_all_slow_runs(tmp_path):
    """The causes of the slow runs are those of none else; an interrupted run is not judged."""
    usual = [trace(number, 1_000) for number in range(10)]
    slow = [trace(number, 5_000, searched=4_000) for number in range(10, 13)]
    records = store(tmp_path, *usual, *slow, trace(20, 9_000, outcome="cancelled"))

    source: Any = records.source
    audit = list_runs(source, Query())

    why = audit.why
    assert (why.slow, why.unjudged, why.slow_ns) == (3, 1, 15_000 * MS)
    assert [(cause.kind, cause.runs) for cause in why.causes] == [("tool", 3)]
    assert why.sentence.startswith("3 of 14 runs are slow. The biggest cause: 80% of their time waiting for a tool.")
    assert audit.duration.n == 13
    assert "1 interrupted" in audit.sentence
    assert why.rule in TerminalRenderer(Look(width=200)).render(audit, "why")
    assert "80" in MarkdownRenderer().render(audit)
    assert "Why slow runs were slow" in HtmlRenderer().render(audit)


def test_too_few_to_judge(tmp_path):
    """Fewer than five completed runs of a name do not say what is usual."""
    source: Any = store(tmp_path, *(trace(number) for number in range(4))).source
    audit = list_runs(source, Query())

    assert audit.why.sentence.startswith("4 of 4 runs could not be judged")


def test_two_sets(tmp_path):
    """What changed from one set of runs to another, name by name."""
    before = store(tmp_path / "a", *(trace(number, 1_000 + number) for number in range(30)))
    after = store(tmp_path / "b", *(trace(number, 2_000 + number, searched=1_100) for number in range(30)))

    comparison = compare_runs(before, after)

    changed = {row.measure: row.median.certainty for row in comparison.rows}
    assert changed["run.duration"] == changed["run.tool"] == "slower"
    assert changed["run.requests"] == changed["run.cost"] == "inconclusive"
    assert comparison.sentence == "answer is slower: duration median +98%."
    text = TerminalRenderer().render(comparison)
    assert "in tools" in text
    assert "completed runs only" in text


def test_the_command(capsys):
    """Budgets on runs decide the exit status, with and without --runs; --where has both vocabularies."""
    write_traces(store_directory(), [trace(number, 1_000 + number) for number in range(6)])

    def status(*arguments: str) -> tuple[int, str]:
        return command(["audit", *arguments]), capsys.readouterr().out

    assert status("--budget", "run.duration.max<2s")[0] == 0
    assert status("--budget", "run.duration.max<1s", "--budget", "errors<1")[0] == 1
    assert status("--runs", "--budget", "run.requests<1")[0] == 1
    assert status("--runs", "--budget", "run.duration.p99<2s")[0] == 3
    assert "0 of 6" not in status("--runs", "--why")[1]
    _, out = status("--runs", "--where", "run.duration > 1003ms and model = 'm1'", "--json")
    assert json.loads(out)["runs"] == 1
    _, out = status("--runs", "--budget", "run.cost<1usd", "--json")
    assert json.loads(out)["budgets"][0]["verdict"] == "ok"
