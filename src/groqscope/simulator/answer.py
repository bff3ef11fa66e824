"""Turns scripted answers into plans: the bytes of a stream or of a whole completion, and when each is sent."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from groqscope.simulator import responses
from groqscope.simulator.encoding import dump, event, request_id, response_id, tool_call_id
from groqscope.simulator.events import chunks_of, finish_reason, split_words
from groqscope.simulator.plan import Ends, Plan, Write, compress, drip, group, stop_after
from groqscope.simulator.received import Received
from groqscope.simulator.script import Answer, Chunk, Cut, ErrorEvent, Hang, Raw, Reset, ToolDelta, Truncated


@dataclass(frozen=True)
class _Shared:
    """What is the same in all events of one answer."""

    answer: Answer
    received: Received
    request_id: str
    id: str = field(default_factory=response_id)
    created: int = field(default_factory=lambda: int(time.time()))

    @cached_property
    def response(self) -> responses.Response | None:
        """The answer in the form of the Responses API, if that was asked."""
        asked = self.received.endpoint == responses.ENDPOINT
        return responses.Response(self.answer, self.received, self.created) if asked else None

    @property
    def head(self) -> dict[str, Any]:
        return {
            "id": self.answer.response_id or self.id,
            "object": "chat.completion.chunk" if self.received.stream else "chat.completion",
            "created": self.created,
            "model": self.answer.model or self.received.model,
            "system_fingerprint": self.answer.system_fingerprint,
        }


def plan_answer(answer: Answer, received: Received, headers: dict[str, str]) -> Plan:
    """Make the plan of an answer, streamed or whole, as the request asks."""
    # `x_groq.id` equals the header, as recorded
    shared = _Shared(answer, received, answer.request_id or headers.get("x-request-id") or request_id())
    headers["x-request-id"] = shared.request_id
    return _plan_stream(shared, headers) if received.stream else _plan_whole(shared, headers)


# --- streams


def _plan_stream(shared: _Shared, headers: dict[str, str]) -> Plan:
    answer = shared.answer
    chunks = chunks_of(answer, _choices(shared))
    delays = _delays(answer, chunks)
    usage = _usage(shared, chunks, sum(delays[1:]))
    writes, done = _events(shared, chunks, delays, usage)
    writes = _insert(writes, answer.inserts)
    if answer.ending is None:
        writes = [*group(writes, answer.events_per_write), *done]
    else:
        writes = group(_break_off(shared, writes, answer.ending), answer.events_per_write)
    writes, packed = _compress(shared, writes)
    own = {"content-type": "text/event-stream", "cache-control": "no-cache", **packed}
    return Plan(
        headers={**headers, **own, **answer.headers},
        before_headers=answer.delays.before_headers,
        writes=drip(writes, answer.drip),
        before_end=answer.delays.before_close,
        ends=_ENDS.get(type(answer.ending), "complete"),
    )


def _events(
    shared: _Shared, chunks: Sequence[Chunk | Raw], delays: Sequence[float], usage: dict[str, Any] | None
) -> tuple[list[Write], list[Write]]:
    """Return the events, and apart what says that the stream is done, where it is an event of its own."""
    if shared.response is not None:
        events = list(shared.response.events(chunks, responses.usage_of(usage)))
        *writes, last = map(Write, events, delays, [data.count(b"\n\n") for data in events])
        return [*writes, replace(last, delay=last.delay + shared.answer.delays.before_done)], []
    writes = list(map(Write, _encode(shared, chunks, usage), delays, [1] * len(chunks)))
    if usage and "include_usage" in _places(shared):
        payload = shared.head | {"choices": [], "usage": usage, "x_groq": {"id": shared.request_id}}
        writes.append(Write(event(dump(payload)), 0.0, 1))
    return writes, [Write(event(b"[DONE]"), shared.answer.delays.before_done, 1)]


_ENDS: dict[type, Ends] = {Cut: "cut", Reset: "reset", Hang: "hang"}


def _compress(shared: _Shared, writes: list[Write]) -> tuple[list[Write], dict[str, str]]:
    if not shared.answer.gzip or "gzip" not in shared.received.headers.get("accept-encoding", ""):
        return writes, {}
    return compress(writes), {"content-encoding": "gzip"}


def _choices(shared: _Shared) -> int:
    return shared.answer.choices or int(shared.received.json.get("n") or 1)


def _places(shared: _Shared) -> Sequence[str]:
    if shared.answer.usage_in is not None:
        return shared.answer.usage_in
    options: Any = shared.received.json.get("stream_options")
    asked = isinstance(options, dict) and bool(options.get("include_usage"))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType] - JSON
    return ("x_groq", "include_usage") if asked else ("x_groq",)


def _usage(shared: _Shared, chunks: Sequence[Chunk | Raw], generating: float) -> dict[str, Any] | None:
    """Return Groq's usage object, its keys in Groq's order; what the script does not set follows from the delays."""
    usage, delays = shared.answer.usage, shared.answer.delays
    if usage is None:
        return None
    reasoning = sum(isinstance(c, Chunk) and bool(c.reasoning) for c in chunks)
    # as in the recordings: each content or reasoning chunk is a token, and the end is one more
    tokens = 1 + sum(isinstance(c, Chunk) and bool(c.reasoning or c.content or c.tool_calls) for c in chunks)
    queue = delays.before_headers if usage.queue_time is None else usage.queue_time
    prompt = shared.received.prompt_tokens if usage.prompt_tokens is None else usage.prompt_tokens
    prompt_time = delays.before_first if usage.prompt_time is None else usage.prompt_time
    completion = tokens if usage.completion_tokens is None else usage.completion_tokens
    completion_time = generating if usage.completion_time is None else usage.completion_time
    found: dict[str, Any] = {
        "queue_time": queue,
        "prompt_tokens": prompt,
        "prompt_time": prompt_time,
        "completion_tokens": completion,
        "completion_time": completion_time,
        "total_tokens": prompt + completion,
        "total_time": prompt_time + completion_time if usage.total_time is None else usage.total_time,
    }
    if usage.cached_tokens is not None:
        found["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    reasoning = reasoning or None if usage.reasoning_tokens is None else usage.reasoning_tokens
    if reasoning is not None:
        found["completion_tokens_details"] = {"reasoning_tokens": reasoning}
    return found


def _delays(answer: Answer, chunks: Sequence[Chunk | Raw]) -> list[float]:
    found: list[float] = []
    seen_tools = False
    for index, chunk in enumerate(chunks):
        delay = chunk.delay + (answer.delays.per_chunk if index else answer.delays.before_first)
        if isinstance(chunk, Chunk) and chunk.tool_calls:
            delay += answer.delays.inside_tools if seen_tools else answer.delays.before_tools
            seen_tools = True
        found.append(delay)
    for index, extra in answer.delays.at.items():
        found[index] += extra
    return found


def _insert(writes: list[Write], inserts: Mapping[int, Raw]) -> list[Write]:
    found: list[Write] = []
    for index, write in enumerate(writes):
        raw = inserts.get(index)
        # inserted bytes are written together with the event after them
        found.append(write if raw is None else Write(raw.data + write.data, raw.delay + write.delay, write.events))
    return found


def _break_off(
    shared: _Shared, writes: list[Write], ending: Truncated | Cut | Reset | Hang | ErrorEvent
) -> list[Write]:
    if not isinstance(ending, ErrorEvent):
        return stop_after(writes, ending.after, ending.partial)
    error = _error(ending) if shared.response is None else shared.response.error(ending)
    return [*stop_after(writes, ending.after, 0), Write(error, 0.0, 1)]


def _error(ending: ErrorEvent) -> bytes:
    error: dict[str, Any] = {"message": ending.message, "type": ending.type}
    optional = {"code": ending.code, "failed_generation": ending.failed_generation, "status_code": ending.status_code}
    error |= {name: value for name, value in optional.items() if value is not None}
    return event(dump({"error": error}), "error" if ending.named else None)


def _encode(shared: _Shared, chunks: Sequence[Chunk | Raw], usage: dict[str, Any] | None) -> list[bytes]:
    typed = [index for index, chunk in enumerate(chunks) if isinstance(chunk, Chunk)]
    last = typed[-1] if typed else None
    found: list[bytes] = []
    for index, chunk in enumerate(chunks):
        if isinstance(chunk, Raw):
            found.append(chunk.data)
            continue
        payload = shared.head | {"choices": [_choice(chunk)]}
        x_groq: dict[str, Any] = {"id": shared.request_id} if index in (typed[0], last) else {}
        if usage and index == last:
            if "x_groq" in _places(shared):
                x_groq["usage"] = usage
            if "top_level" in _places(shared):
                payload["usage"] = usage
        if x_groq or chunk.x_groq:
            payload["x_groq"] = x_groq | dict(chunk.x_groq or {})
        found.append(event(dump(payload | dict(chunk.fields))))
    return found


def _choice(chunk: Chunk) -> dict[str, Any]:
    delta: dict[str, Any] = {"role": chunk.role} if chunk.role is not None else {}
    if chunk.content is not None:
        delta["content"] = chunk.content
    if chunk.reasoning is not None:
        delta["reasoning"] = chunk.reasoning
    if chunk.tool_calls:
        delta["tool_calls"] = [_tool_delta(call) for call in chunk.tool_calls]
    if chunk.executed_tools:
        delta["executed_tools"] = [dict(tool) for tool in chunk.executed_tools]
    return {"index": chunk.choice, "delta": delta, "logprobs": None, "finish_reason": chunk.finish_reason}


def _tool_delta(delta: ToolDelta) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if delta.id is not None:
        found |= {"id": delta.id, "type": "function"}
    function = {"name": delta.name, "arguments": delta.arguments}
    return found | {"function": {k: v for k, v in function.items() if v is not None}, "index": delta.index}


# --- whole answers


def _plan_whole(shared: _Shared, headers: dict[str, str]) -> Plan:
    answer = shared.answer
    chunks = chunks_of(answer, 1)
    usage = _usage(shared, chunks, 0.0)
    if shared.response is None:
        body = _completion(shared, usage)
    else:
        body = shared.response.whole(chunks, responses.usage_of(usage))
    ending = answer.ending
    partial = ending.partial if isinstance(ending, Cut | Reset | Hang) else len(body)
    writes, packed = _compress(shared, [Write(body[:partial], answer.delays.before_first)])
    # given a content-length, a client would not wait for the end of the message
    length = {} if answer.delays.before_close or packed else {"content-length": str(len(body))}
    headers = {**headers, "content-type": "application/json", **length, **packed, **answer.headers}
    return Plan(
        headers=headers,
        before_headers=answer.delays.before_headers,
        writes=drip(writes, answer.drip),
        before_end=answer.delays.before_close,
        ends=_ENDS.get(type(ending), "complete"),
    )


def _completion(shared: _Shared, usage: dict[str, Any] | None) -> bytes:
    answer = shared.answer
    message = _message(answer)
    choices = [
        {"index": index, "message": message, "logprobs": None, "finish_reason": finish_reason(answer)}
        for index in range(_choices(shared))
    ]
    payload = shared.head | {"choices": choices}
    if usage:
        payload["usage"] = usage
    payload |= {"x_groq": {"id": shared.request_id}, "service_tier": answer.service_tier, **answer.fields}
    return dump(payload)


def _message(answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant"}
    # with tool calls `content` is absent, as recorded
    content = "".join(split_words(answer.content))
    if content or not answer.tool_calls:
        message["content"] = content
    if answer.reasoning:
        message["reasoning"] = "".join(split_words(answer.reasoning))
    if answer.tool_calls:
        message["tool_calls"] = [
            {
                "id": tool_call_id() if call.id is None else call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": "".join(call.fragments)},
            }
            for call in answer.tool_calls
        ]
    if answer.executed_tools:
        message["executed_tools"] = [dict(tool) for tool in answer.executed_tools]
    return message
