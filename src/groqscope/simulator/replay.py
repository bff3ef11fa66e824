"""Turns recordings into plans: the same bytes in the same order, at a chosen pace."""

from collections.abc import Mapping, Sequence
from typing import Any

from groqscope.simulator.encoding import dump, event
from groqscope.simulator.library import Recording, parse
from groqscope.simulator.plan import Plan, Write
from groqscope.simulator.script import Pace, Recorded

# for recordings without reported times
_TYPICAL_WAIT = 0.15
_TYPICAL_TOKEN = 0.0025


def plan_recording(recorded: Recorded, headers: dict[str, str]) -> Plan:
    """Return the plan of a recording; its headers override the simulator's."""
    recording, pace = recorded.recording, recorded.pace
    headers = {**headers, **recording.headers}
    headers["x-request-id"] = recording.request_id or headers["x-request-id"]
    if recording.body is not None:
        body = dump(recording.body)
        headers |= {"content-length": str(len(body))}
        return Plan(
            status=recording.status, headers=headers, before_headers=_whole(recording, pace), writes=[Write(body)]
        )
    wait, gaps = _streamed(recording, pace)
    payloads = [event(t.encode(), recording.event_names.get(i)) for i, t in enumerate(recording.sse)]
    writes = [Write(data, gap, 1) for data, gap in zip(payloads, gaps, strict=True)]
    return Plan(status=recording.status, headers=headers, before_headers=wait, writes=writes)


def _whole(recording: Recording, pace: Pace) -> float:
    if pace.chunk is not None:
        return pace.chunk / pace.speed
    usage = recording.usage or {}
    times = [float(usage.get(name) or 0.0) for name in ("queue_time", "prompt_time", "completion_time")]
    return (sum(times) or (0.0 if recording.failed else _TYPICAL_WAIT)) / pace.speed


def _streamed(recording: Recording, pace: Pace) -> tuple[float, list[float]]:
    """Return the seconds before the headers, and before each event."""
    count = len(recording.sse)
    if pace.chunk is not None:
        return 0.0, [pace.chunk / pace.speed] * count
    usage = recording.usage
    wait = float(usage["queue_time"]) + float(usage["prompt_time"]) if usage else _TYPICAL_WAIT
    tokens = _tokens(recording.sse, usage)
    each = float(usage["completion_time"]) / max(1.0, sum(tokens)) if usage else _TYPICAL_TOKEN
    return wait / pace.speed, [each * held / pace.speed for held in tokens]


def _tokens(sse: Sequence[str], usage: Mapping[str, Any] | None) -> list[float]:
    """Return how many tokens were generated before each event.

    A content or reasoning event is one token. The remaining reported tokens belong to the tool call if there is one,
    else to the last chunk.
    """
    deltas = [_delta(parse(text)) for text in sse]
    tokens = [1.0 if d.get("content") or d.get("reasoning") else 0.0 for d in deltas]
    tools = [index for index, delta in enumerate(deltas) if delta.get("tool_calls") or delta.get("executed_tools")]
    held = float(usage["completion_tokens"]) - sum(tokens) if usage else 0.0
    if held > 0:
        last = max(0, len(sse) - 2)
        for index in tools or [last]:
            tokens[index] += held / len(tools or [last])
    return tokens


def _delta(payload: dict[str, Any] | None) -> dict[str, Any]:
    choices: list[dict[str, Any]] = (payload or {}).get("choices") or []
    return choices[0].get("delta") or {} if choices else {}
