"""`groqscope audit --runs`: traces from files to runs, selected, listed, explained, in every form."""

import csv
import gc
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from support.runs import MS, Traces, request, span, tool, write_traces
from support.scope import ASK, Wire, completion, groq_client

import groqscope
from groqscope.audit import NoRequests, NotFound, Query, file_source, list_runs, one_run
from groqscope.audit.reports import CsvRenderer, HtmlRenderer, JsonRenderer, Look, MarkdownRenderer, TerminalRenderer
from groqscope.audit.runs import explain_run
from groqscope.cli.app import run as command
from groqscope.runs import Run, TraceSpan, run_of, runs_of
from groqscope.store import LocalSpanExporter, ReadReport, read_traces


def slow_run() -> Run:
    return run_of(
        [
            span("a", 0, 2_000, name="invoke_agent planner"),
            request("r1", 0, "a", receive=300, messages=1, calls=[("c1", "search", "h")]),
            tool("t1", "search", 300, 900, "a", "c1"),
            tool("t2", "weather", 300, 500, "a"),
            tool("t3", "search", 900, 1_500, "a", "c1"),
            request("r2", 1_500, "a", receive=400, messages=3),
        ]
    )


def trace(number: int, duration: int = 1_000, *, cost: float | None = None) -> list[TraceSpan]:
    trace_id = f"{number:032x}"
    spans = [
        span(f"{number:015x}a", number * 10_000, number * 10_000 + duration, name="agent"),
        request(f"{number:015x}b", number * 10_000, f"{number:015x}a", receive=500, messages=1),
    ]
    made = spans[1].record
    assert made is not None
    record = replace(made, trace_id=trace_id, cost=cost, model=f"m{number}")
    return [replace(spans[0], trace_id=trace_id), replace(spans[1], trace_id=trace_id, record=record)]


def test_from_the_store(tmp_path: Path):
    """What a program does inside `groqscope.run` is a run of the store it writes, spans of other libraries too."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(LocalSpanExporter(tmp_path)))
    wire = Wire(completion)
    client = groqscope.instrument(groq_client("sync", http={"transport": wire}), tracer_provider=provider)
    framework = provider.get_tracer("framework")
    with groqscope.run("answer", user="u-1", tracer_provider=provider):
        client.chat.completions.create(**ASK)
        attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
        with framework.start_as_current_span("execute_tool search", attributes=attributes):
            pass
        client.chat.completions.create(**ASK)
    client.chat.completions.create(**ASK)
    provider.shutdown()

    audit = list_runs(file_source([tmp_path]), Query())

    [entry] = audit.entries
    run = entry.run
    assert (run.name, run.user, len(run.requests), [t.name for t in run.tools]) == ("answer", "u-1", 2, ["search"])
    assert sum(part.duration_ns for part in run.parts) == run.duration_ns
    assert not run.missing


def test_spans_of_a_trace_in_several_files(tmp_path: Path):
    """A trace is put together from the files of several processes."""
    for number in range(2):
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(LocalSpanExporter(tmp_path / str(number))))
        with provider.get_tracer("x").start_as_current_span("outside"):
            pass
        provider.shutdown()

    assert list(read_traces([tmp_path], ReadReport())) == []


def test_only_a_trace_asked_for_has_arrival_times(tmp_path: Path):
    """Of many runs nothing shows the arrival times of chunks, so they are not read; all else is the same."""
    agent, asked = trace(1)
    assert asked.record is not None
    arrived = replace(asked.record, chunks=2, timeline_us=(100, 300))
    write_traces(tmp_path, [[agent, replace(asked, record=arrived)]])

    (listed,) = list_runs(file_source([tmp_path]), Query()).entries
    found = one_run(file_source([tmp_path]), Query(), agent.trace_id).entry

    assert [request.timeline_us for request in found.run.requests] == [(100, 300)]
    assert [request.timeline_us for request in listed.run.requests] == [()]
    begun = one_run(file_source([tmp_path]), Query(), agent.trace_id[:31]).entry
    assert [request.timeline_us for request in begun.run.requests] == [(100, 300)]
    assert (listed.sentence, listed.run.parts) == (found.sentence, found.run.parts)


@pytest.mark.parametrize("asked", [[], ["--since", "1h"]])
def test_garbage_is_collected_after_a_list(asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The search for cycles is off only while runs are read, whether there are any or not."""
    write_traces(tmp_path, [trace(1)])
    status = command(["audit", str(tmp_path), "--runs", *asked])

    assert (status != 0) == bool(asked), capsys.readouterr()
    assert gc.isenabled()


def test_order():
    """Newest, slowest and dearest first; the rest is counted."""
    traces = Traces(trace(1, 3_000, cost=0.2), trace(2, 1_000, cost=0.1), trace(3, 2_000, cost=0.3))

    def names(order: str) -> list[str | None]:
        return [entry.run.requests[0].model for entry in list_runs(traces, Query(), order=order, listed=2).entries]

    assert names("newest") == ["m3", "m2"]
    assert names("slowest") == ["m1", "m3"]
    assert names("dearest") == ["m3", "m1"]
    assert list_runs(traces, Query(), listed=2).omitted == 1


def test_selection():
    """A run is selected when one of its requests is, and it began in the time asked for."""
    traces = Traces(trace(1), trace(2), trace(3))

    assert list_runs(traces, Query(models=("m2",))).runs == 1
    assert list_runs(traces, Query(since=20_000 * MS)).runs == 2
    with pytest.raises(NoRequests, match="no run among 3 requests"):
        list_runs(traces, Query(models=("other",)))


def test_by_id():
    """One run is found by the beginning of its trace ID; several are named."""
    traces = Traces(trace(1), trace(2))

    assert one_run(traces, Query(), f"{2:032x}").entry.run.requests[0].model == "m2"
    with pytest.raises(NotFound, match="2 runs have the ID"):
        one_run(traces, Query(), "00000000")
    with pytest.raises(NotFound, match="no run with the ID"):
        one_run(traces, Query(), "ffff")


def test_reasons():
    """The largest reason is the sentence; each has its advice."""
    entry = explain_run(slow_run())

    assert entry.sentence == "2.00 s, 2 requests, 3 tool executions: 60% in tool search (1.20 s, 2 executions)"
    assert [reason.kind for reason in entry.reasons] == ["tool", "repeated_tool"]


def test_the_prompt_cache_of_a_run():
    """What it lost: dollars, and the prefill of what was missed; a run without a model that caches has neither."""
    agent, found = span("a", 0, 180, name="invoke_agent planner"), request("r1", 0, "a", prefill=80, tokens=1_000)
    assert found.record is not None
    missed = replace(found.record, cache_miss="system", cache_missed_tokens=750, cache_lost=0.0005)
    traces = Traces([agent, replace(found, record=missed)])
    report = one_run(traces, Query(), found.trace_id)
    said = "0.0% of the tokens in, lost $0.00050 and about 60.0 ms of prefill"
    assert said in TerminalRenderer(Look(width=120)).render(report)
    assert said in HtmlRenderer().render(report)
    assert json.loads(JsonRenderer().render(report))["missed_prefill_ns"] == 60 * MS
    runs = list_runs(traces, Query())
    (listed,) = json.loads(JsonRenderer().render(runs))["entries"]
    assert listed["missed_prefill_ns"] == 60 * MS
    (in_table,) = csv.DictReader(io.StringIO(CsvRenderer().render(runs)))
    assert in_table["missed_prefill_ns"] == str(60 * MS)
    for renderer in (TerminalRenderer(Look(width=250)), HtmlRenderer(), MarkdownRenderer()):
        assert "missed prefill" in renderer.render(runs)
    plain = one_run(Traces([agent, found]), Query(), found.trace_id)
    assert json.loads(JsonRenderer().render(plain))["missed_prefill_ns"] is None
    assert "missed prefill" not in TerminalRenderer(Look(width=250)).render(list_runs(Traces([agent, found]), Query()))
    assert "prompt cache" not in TerminalRenderer(Look(width=120)).render(plain)


def test_terminal():
    """The waterfall marks what the run waited for, and the parts add up."""
    traces = Traces(list(slow_run().spans))
    report = one_run(traces, Query(), slow_run().trace_id)

    text = TerminalRenderer(Look(width=80, unicode=False)).render(report)
    lines = {line.split("|")[0].strip().split("  ")[0]: line for line in text.splitlines() if "|" in line}
    assert "#" in lines["tool search"]
    assert "#" not in lines["tool weather"]
    assert "." in lines["tool weather"]
    assert "2 at once (search, weather) saved 200 ms" in text
    assert max(map(len, text.splitlines())) <= 80


def test_reasons_begin_as_sentences():
    """Each reason stands by itself there, so it begins with a capital letter."""
    report = one_run(Traces(list(slow_run().spans)), Query(), slow_run().trace_id)
    first, second = report.entry.reasons
    assert (first.sentence[:6], second.sentence[:11]) == ("60% in", "tool search")

    assert "<strong>Tool search 2 times" in HtmlRenderer().render(report)
    assert "- Tool search 2 times" in MarkdownRenderer().render(report)
    assert "\nTool search 2 times" in TerminalRenderer(Look(width=100)).render(report)


def test_how_a_run_ended():
    """What failed or was interrupted says so in words, in the list and by itself."""
    agent, asked = span("a", 0, 180, name="invoke_agent planner", failed=True), request("r1", 0, "a", receive=180)
    assert asked.record is not None
    left = replace(asked, record=replace(asked.record, outcome="cancelled"))
    report = list_runs(Traces([agent, left]), Query())

    assert report.entries[0].sentence == "failed, interrupted, 180 ms, 1 request: nothing stands out"
    for renderer in (TerminalRenderer(Look(width=120)), HtmlRenderer(), MarkdownRenderer()):
        assert "failed; interrupted" in renderer.render(report)


def test_why_and_id_on_a_page():
    """The reason may take several lines, so that the ID after it is on the page; texts are aligned left."""
    page = HtmlRenderer().render(list_runs(Traces(list(slow_run().spans)), Query()))

    assert re.search(r'<td class="words[^"]*" data-label="why">60% in tool search', page)
    assert '<td data-label="id">a</td>' in page


def test_page():
    """The waterfall of the page says its unit, and what is in colour."""
    page = HtmlRenderer().render(one_run(Traces(list(slow_run().spans)), Query(), slow_run().trace_id))

    assert '<span class="name">ms</span>' in page
    assert "In colour: what the run waited for at that moment (the critical path)" in page


@pytest.mark.parametrize("listed", [True, False])
def test_machines(listed):
    """JSON, CSV, Markdown and HTML have the run, and none has an attribute of anybody's span."""
    secret = [replace(s, attributes={**s.attributes, "prompt": "SECRET"}) for s in slow_run().spans]
    traces = Traces(secret)
    report = list_runs(traces, Query()) if listed else one_run(traces, Query(), slow_run().trace_id)

    data = json.loads(JsonRenderer().render(report))
    run = data["entries"][0] if listed else data
    assert data["kind"] == ("runs" if listed else "run")
    assert sum(part["duration_ns"] for part in run["parts"]) == run["duration_ns"]
    rows = list(csv.reader(io.StringIO(CsvRenderer().render(report))))
    assert len({len(row) for row in rows}) == 1
    assert "60%" in MarkdownRenderer().render(report)
    assert "60%" in HtmlRenderer().render(report)
    for renderer in (JsonRenderer(), CsvRenderer(), MarkdownRenderer(), HtmlRenderer(), TerminalRenderer()):
        assert "SECRET" not in renderer.render(report)


def test_untrusted_names():
    """A name from a trace cannot write to the terminal or into the page."""
    bad = [replace(s, name="\x1b]52;c;x\x07<script>") for s in slow_run().spans]
    report = one_run(Traces(bad), Query(), slow_run().trace_id)

    assert "\x1b" not in TerminalRenderer().render(report)
    assert "<script>\\" not in HtmlRenderer().render(report)
    assert "\x07<script>" not in HtmlRenderer().render(report)


def test_no_run():
    """Requests alone are no runs, and the message says what is."""
    alone = [trace(1)[1]]

    with pytest.raises(NoRequests, match=r"groqscope\.run"):
        list_runs(Traces([replace(alone[0], parent_id=None)]), Query())
    assert runs_of([]) == []
