"""A slow run as an application has it, for the JSON Schema and the documentation's pictures."""

from dataclasses import replace
from typing import Any

from groqscope.audit import Budgets, Query, RunAudit, RunsAudit, list_runs, one_run, parse_budget
from groqscope.runs import TraceSpan
from groqscope.testing.story import NOON_UNIX_NS
from groqscope.timeline import Usage
from support.runs import MS, TRACE, Traces, request, span, tool

_NOON = NOON_UNIX_NS // MS
_RUN = {
    "groqscope.run.name": "answer",
    "gen_ai.conversation.id": "c-4711",
    "user.id": "u-17",
    "groqscope.tag.feature": "support",
}
_AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}


def slow_answer(trace_id: str = TRACE, after: int = 0) -> list[TraceSpan]:
    """Return a run of 6.2 s: an agent that searches twice for the same, then answers."""
    place = int(trace_id[:8], 16)
    run, agent, first, search, weather, second, again, third, save = (f"{place:08x}{n:08x}" for n in range(1, 10))
    spans = [
        span(run, 0, 6_200, name="run answer", attributes=_RUN),
        span(agent, 20, 5_640, run, name="invoke_agent planner", attributes=_AGENT),
        _asked(first, 60, agent, 812, 24, 0.00049, calls=[("c1", "search", "h1"), ("c2", "weather", "h2")], queue=35),
        tool(search, "search", 520, 2_720, agent, "c1"),
        tool(weather, "weather", 520, 1_130, agent, "c2"),
        _asked(second, 2_740, agent, 2_480, 21, 0.0015, calls=[("c3", "search", "h1")], queue=210),
        tool(again, "search", 3_410, 4_820, agent, "c3"),
        _asked(third, 4_840, agent, 4_105, 168, 0.0026, queue=30, generate=330),
        span(save, 5_660, 6_180, run, name="INSERT answers", kind="client", attributes={"db.system": "postgresql"}),
    ]
    return [_at(one, trace_id, _NOON + after) for one in spans]


def _asked(span_id: str, start: int, parent: str, tokens: int, out: int, cost: float, **given: Any) -> TraceSpan:
    lengths = {"prepare": 4, "connect": 22, "send": 1, "network": 48, "prefill": tokens // 20, "generate": 230}
    made = request(span_id, start, parent, tokens=tokens, messages=start, **{**lengths, **given})
    assert made.record is not None
    first = made.record.duration_ns - (made.record.phases.generate or 0)
    usage = Usage(input_tokens=tokens, output_tokens=out)
    facts = {"model": "llama-3.3-70b-versatile", "service": "shop", "usage": usage, "cost": cost, "ttfot_ns": first}
    return replace(made, record=replace(made.record, request_id=f"req_01k9{span_id[-8:]}", **facts))


def _at(one: TraceSpan, trace_id: str, milliseconds: int) -> TraceSpan:
    start, end = one.start_unix_ns + milliseconds * MS, one.end_unix_ns
    record = one.record and replace(one.record, trace_id=trace_id, start_unix_ns=start)
    end = None if end is None else end + milliseconds * MS
    return replace(one, trace_id=trace_id, start_unix_ns=start, end_unix_ns=end, record=record)


def slow_run() -> RunAudit:
    """Return the slow run, as `groqscope audit ID` shows it."""
    return _plain(one_run(Traces(slow_answer()), Query(), TRACE))


def several_runs() -> RunsAudit:
    """Return a list of runs, with budgets and in groups."""
    traces = Traces(*(slow_answer(f"{n:08x}{'0' * 24}", n * 60_000) for n in range(1, 8)))
    budgets = Budgets([parse_budget(text) for text in ("run.duration.p50 < 4s", "run.tools < 6")])
    return _plain(list_runs(traces, Query(by="tag.feature"), budgets=budgets))


def _plain(report: Any) -> Any:
    return replace(report, provenance=replace(report.provenance, version="0.1.0"))
