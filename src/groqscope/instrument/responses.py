"""Reads facts of requests and answers of the Responses API, as `facts` does of chat completions.

They are told in the terms of chat completions, so that one report covers both: a response's status becomes a finish
reason, an item of its output a tool call or a tool that Groq ran, and an event of the stream a chunk.
"""

from collections.abc import Mapping
from typing import Any, Final

from groqscope.instrument.facts import usage_of
from groqscope.instrument.values import as_amount, as_count, as_list, as_number, as_text, is_code, member
from groqscope.timeline import Channel, RequestFacts, Timeline

_TEXTS: Final = {
    "response.output_text.delta": (Channel.CONTENT, "text"),
    "response.refusal.delta": (Channel.CONTENT, "text"),
    "response.reasoning_text.delta": (Channel.REASONING, "reasoning"),
    "response.reasoning_summary_text.delta": (Channel.REASONING, "reasoning"),
}
_ARGUMENTS: Final = "response.function_call_arguments.delta"
_ADDED: Final = "response.output_item.added"
_DONE: Final = "response.output_item.done"
_ITEMS: Final = frozenset({_ADDED, _DONE})
_FAILED: Final = "response.failed"
_ENDS: Final = frozenset({"response.completed", "response.incomplete", _FAILED})
_CALL: Final = "function_call"
EVENTS: Final = frozenset({*_TEXTS, _ARGUMENTS, *_ITEMS, *_ENDS})
"""The events that carry facts."""
_OTHERS: Final = frozenset(
    {_CALL, "custom_tool_call", "computer_call", "local_shell_call", "shell_call", "apply_patch_call"}
)
"""Calls of tools that the caller runs."""
_REASONS: Final = {"max_output_tokens": "length"}
_MAX_CALLS: Final = 1024


def asked(facts: RequestFacts, body: Mapping[str, Any]) -> None:
    """Read what was asked for. Only what was sent is there, never a default."""
    get = body.get
    facts["max_tokens"] = as_count(get("max_output_tokens"))
    for name in ("temperature", "top_p"):
        if name in body:
            facts[name] = as_number(get(name))
    kind = member(member(get("text"), "format"), "type")
    facts["output_type"] = "json" if kind in ("json_object", "json_schema") else "text" if kind == "text" else None
    facts["reasoning_effort"] = as_text(member(get("reasoning"), "effort"))
    facts["request_service_tier"] = as_text(get("service_tier"))
    tools, given = get("tools"), get("input")
    if isinstance(tools, (list, tuple)):
        facts["tools"] = len(tools)
    if isinstance(given, (str, list, tuple)):
        facts["messages"] = (1 if isinstance(given, str) else len(given)) + isinstance(get("instructions"), str)


def as_chat(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request's messages, tools and what its prompt begins with, as a chat completion has them."""
    given = body.get("input")
    items = given if isinstance(given, (list, tuple)) else [{"role": "user", "content": given}]
    instructions = body.get("instructions")
    system = [{"role": "system", "content": instructions}] if isinstance(instructions, str) else []
    tools = body.get("tools")
    return {
        "tool_choice": body.get("tool_choice"),
        "response_format": member(body.get("text"), "format"),
        "reasoning_effort": member(body.get("reasoning"), "effort"),
        "messages": [*system, *(_message(item) for item in items if isinstance(item, Mapping))],
        "tools": [
            {"type": tool.get("type"), "function": tool}
            for tool in (tools if isinstance(tools, (list, tuple)) else ())
            if isinstance(tool, Mapping)
        ],
    }


def _message(item: Mapping[str, Any]) -> dict[str, Any]:
    kind = item.get("type")
    if kind == _CALL:
        return {"role": "assistant", "tool_calls": [{"id": item.get("call_id"), "function": item}]}
    if kind == "function_call_output":
        return {"role": "tool", "tool_call_id": item.get("call_id"), "content": item.get("output")}
    content = item.get("content")
    if isinstance(content, (list, tuple)):
        content = [_part(part) for part in content if isinstance(part, Mapping)]
    return {"role": item.get("role", "assistant"), "content": content}


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part.get("type") == "input_image":
        return {"type": "image_url", "image_url": {"url": part.get("image_url")}}
    return {"type": "text" if isinstance(part.get("text"), str) else "", "text": part.get("text")}


def observe_response(timeline: Timeline, response: Any, t: int, content: Any = None) -> None:
    """Tell the timeline what a response that was not streamed contains."""
    calls = 0
    for index, item in enumerate(as_list(member(response, "output"))):
        kind = member(item, "type")
        if kind == _CALL:
            _tell_call(timeline, content, None, calls, item, member(item, "arguments"))
            calls += 1
        elif (tool := _executed(item)) is not None:
            timeline.tool_executed(None, index, tool, has_output=True)
        if content is not None:
            for part in (*as_list(member(item, "summary")), *as_list(member(item, "content"))):
                _keep(content, "reasoning" if kind == "reasoning" else "text", member(part, "text"))
    _identify(timeline, response)
    _end(timeline, response, t, content, called=calls > 0)


class EventObserver:
    """Tells the timeline what the events of a stream contain; called as the function that `chunk_observer` returns."""

    def __init__(self, timeline: Timeline, content: Any = None) -> None:
        self._timeline = timeline
        self._content = content
        self._calls: dict[int, list[int]] = {}
        """By the output's index of each function call: how many were before it, and the characters of its arguments."""
        self._identified = False

    def __call__(self, event: Any, t: int, *, valid: bool = True) -> None:  # noqa: ARG002 - as an observer of chunks
        """Observe an event that a read at `t` brought."""
        kind, delta = as_text(member(event, "type")) or "", member(event, "delta")
        channel, part = _TEXTS.get(kind, (Channel.NONE, ""))
        calls = kind == _ARGUMENTS or (kind in _ITEMS and member(member(event, "item"), "type") == _CALL)
        if calls:
            channel = Channel.TOOL
        self._timeline.chunk(t, channel if delta or kind == _ADDED else Channel.NONE)
        if part:
            _keep(self._content, part, delta)
        elif calls:
            self._call(event, t)
        elif kind in _ITEMS:
            self._item(event, t, done=kind == _DONE)
        elif kind == "error":
            _failed(self._timeline, event)
        response = member(event, "response")
        if response is not None:
            self._response(kind, response, t)

    def _call(self, event: Any, t: int) -> None:
        """Note a part of a function call. Its last event repeats the whole call, of which only what is new is added."""
        index, item = as_count(member(event, "output_index")) or 0, member(event, "item")
        if index not in self._calls and len(self._calls) >= _MAX_CALLS:
            return
        call = self._calls.setdefault(index, [len(self._calls), 0])
        given = member(event, "delta") if item is None else member(item, "arguments")
        new = given[0 if item is None else call[1] :] if isinstance(given, str) else ""
        call[1] += len(new)
        if new or member(event, "type") == _ADDED:
            _tell_call(self._timeline, self._content, t, call[0], item, new)

    def _item(self, event: Any, t: int, *, done: bool) -> None:
        tool = _executed(member(event, "item"))
        if tool is not None:
            self._timeline.tool_executed(t, as_count(member(event, "output_index")) or 0, tool, has_output=done)

    def _response(self, kind: str, response: Any, t: int) -> None:
        if not self._identified:
            _identify(self._timeline, response)
            self._identified = True
        if kind in _ENDS:
            _end(self._timeline, response, t, self._content, called=bool(self._calls))
            if kind != _FAILED:
                self._timeline.stream_done()


def _executed(item: Any) -> str | None:
    """Return the name of the tool that Groq ran, if an item of the output is that."""
    kind = as_text(member(item, "type")) or ""
    return kind.removesuffix("_call") if kind.endswith("_call") and kind not in _OTHERS else None


def _tell_call(timeline: Timeline, content: Any, t: int | None, position: int, item: Any, arguments: Any) -> None:
    call_id, name = as_text(member(item, "call_id")), as_text(member(item, "name"))
    arguments = arguments if isinstance(arguments, str) else None
    timeline.tool_delta(t, 0, position, call_id, name, arguments)
    if content is not None:
        content.tool(0, position, call_id, name, arguments)


def _keep(content: Any, kind: str, text: Any) -> None:
    if content is not None and isinstance(text, str) and text:
        content.text(0, kind, text)


def _identify(timeline: Timeline, response: Any) -> None:
    created = as_amount(member(response, "created_at"))
    timeline.identified(
        response_id=as_text(member(response, "id")),
        response_model=as_text(member(response, "model")),
        created=None if created is None else as_count(int(created)),
        response_service_tier=as_text(member(response, "service_tier")),
    )


def _end(timeline: Timeline, response: Any, t: int, content: Any, *, called: bool) -> None:
    """Note the usage, and why the response ended."""
    usage = usage_of(member(response, "usage"))
    if usage is not None:
        timeline.used(t, usage)
    status = member(response, "status")
    reason = None
    if status == "completed":
        reason = "tool_calls" if called else "stop"
    elif status == "incomplete":
        given = as_text(member(member(response, "incomplete_details"), "reason"))
        reason = None if given is None else _REASONS.get(given, given)
    elif status == "failed":
        _failed(timeline, member(response, "error"))
    if reason is not None:
        timeline.choice_finished(0, reason)
        if content is not None:
            content.finished(0, reason)


def _failed(timeline: Timeline, error: Any) -> None:
    # The message may repeat what was asked; a code cannot.
    code = member(error, "code")
    timeline.identified(stream_error=code if is_code(code) else "_OTHER")
