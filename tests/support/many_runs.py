"""Traces of every kind, over several days: agents, runs, servers, workflows without a root, requests alone."""

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

from groqscope.runs import TraceSpan
from groqscope.timeline import RequestRecord
from support.traffic import MS, START, traffic

DAY = 86_400_000 * MS
_TOPS: tuple[dict[str, Any], ...] = (
    {"name": "invoke_agent", "attributes": {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}},
    {"name": "invoke_agent", "attributes": {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "writer"}},
    {"name": "turn", "attributes": {"groqscope.run.name": "turn", "user.id": "u1", "groqscope.tag.feature": "search"}},
    {"name": "turn", "attributes": {"groqscope.run.name": "turn", "groqscope.run.interrupted": True}},
    {"name": "GET /", "kind": "server", "attributes": {"http.route": "/", "groqscope.spans.left_out": 7}},
)


def many_traces(number: int, seed: int = 0) -> list[list[TraceSpan]]:
    """Make traces, of which nearly all are runs."""
    chance = random.Random(seed)
    requests = iter(traffic(5 * number, seed))
    return [_trace(index, chance, requests) for index in range(number)]


def _trace(number: int, chance: random.Random, requests: Iterator[RequestRecord]) -> list[TraceSpan]:
    trace_id = f"{chance.getrandbits(128) | 1:032x}"
    ids = (f"{number + 1:08x}{place:08x}" for place in count(1))
    start = at = START + chance.randrange(4 * DAY)
    spans: list[TraceSpan] = []

    def add(parent: str | None, begin: int, end: int, **fields: Any) -> TraceSpan:
        made = TraceSpan(
            trace_id=trace_id, span_id=next(ids), parent_id=parent, start_unix_ns=begin, end_unix_ns=end, **fields
        )
        spans.append(made)
        return made

    top = next(ids) if chance.random() < 0.85 else None
    for place in range(chance.randrange(1, 5)):
        made = next(requests)
        record = replace(made, trace_id=trace_id, start_unix_ns=at, tags=(("feature", chance.choice("ab")),))
        if chance.random() < 0.15:  # another library tells of it too
            outer = add(top, at - MS, at + record.duration_ns + MS, name="chat", attributes=_INFERENCE)
            below: str | None = outer.span_id
        else:
            below = top
        span = add(below, at, at + record.duration_ns, name="chat", kind="client", attributes=_CHAT)
        spans[-1] = replace(span, record=replace(record, span_id=span.span_id))
        at += record.duration_ns
        if chance.random() < 0.6:
            length = chance.randrange(10, 900) * MS
            name = chance.choice(("search", "weather"))
            attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
            tool = add(top, at, at + length, name=f"execute_tool {name}", attributes=attributes)
            add(tool.span_id, at + MS, at + length // 2, name="GET", kind="client", attributes={"http.method": "GET"})
            at += length if chance.random() < 0.7 else length // 3
        if place == 1 and number % 17 == 0:
            at += DAY // 2
    if top is not None:
        failed = chance.random() < 0.1
        fields = chance.choice(_TOPS)
        made = add(None, start, at + chance.randrange(300) * MS, failed=failed, **fields)
        spans[-1] = replace(made, span_id=top)
    chance.shuffle(spans)
    return spans


_CHAT = {"gen_ai.operation.name": "chat"}
_INFERENCE = {"gen_ai.operation.name": "chat", "gen_ai.system": "groq"}
