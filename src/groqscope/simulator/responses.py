"""Scripted answers in the form of the Responses API: its events, and its whole responses.

The script's events are those of a chat completion, and each becomes what the Responses API sends for it: one with the
first text, for instance, the two events that open a message, and its delta. They are written together.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from groqscope.simulator.encoding import dump, event, item_id, tool_call_id
from groqscope.simulator.events import finish_reason
from groqscope.simulator.received import Received
from groqscope.simulator.script import Answer, Chunk, ErrorEvent, Raw, ToolDelta

Event = dict[str, Any]

ENDPOINT = "responses"
_TEXTS = {"message": "output_text", "reasoning": "reasoning_text"}
_TOOLS = {"search": "web_search", "python": "code_interpreter"}
"""What Groq's tools are called here."""
_ECHOED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": 1,
    "tool_choice": "auto",
    "tools": [],
}
"""What a response repeats of its request, with the defaults."""


@dataclass
class Response:
    """One response, as it grows."""

    answer: Answer
    received: Received
    created: int
    id: str = field(default_factory=lambda: item_id("resp"))
    output: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    _open: list[int] = field(default_factory=list[int])
    """Indexes of items that are not done."""
    _calls: dict[int, int] = field(default_factory=dict[int, int])
    """The output's index of each tool call."""
    _events: int = 0

    def whole(self, chunks: Sequence[Chunk | Raw], usage: Mapping[str, Any] | None) -> bytes:
        """Return the body of a response that is not streamed."""
        for _ in self.events(chunks, None):
            pass
        return dump(self._envelope(usage=usage) | dict(self.answer.fields))

    def events(self, chunks: Sequence[Chunk | Raw], usage: Mapping[str, Any] | None) -> Iterator[bytes]:
        """Yield what each of a script's events becomes."""
        ends = [i for i, c in enumerate(chunks) if isinstance(c, Chunk) and c.finish_reason is not None]
        last = ends[-1] if ends else len(chunks) - 1
        for index, chunk in enumerate(chunks):
            if isinstance(chunk, Raw):
                yield chunk.data
                continue
            events = [*self._begin()] if not self._events else []
            events += self._events_of(chunk)
            if index == last:
                events += self._end(usage)
            yield b"".join(event(dump(e | dict(chunk.fields)), e["type"]) for e in events)

    def error(self, ending: ErrorEvent) -> bytes:
        """Return the event of an error, with which a stream ends."""
        data = {"type": "error", "code": ending.code, "message": ending.message, "param": None}
        return event(dump(self._numbered(data)), "error" if ending.named else None)

    def _begin(self) -> Iterator[Event]:
        for name in ("created", "in_progress"):
            yield self._numbered({"type": f"response.{name}", "response": self._envelope(status="in_progress")})

    def _events_of(self, chunk: Chunk) -> Iterator[Event]:
        if chunk.reasoning:
            yield from self._text("reasoning", chunk.reasoning)
        for tool in chunk.executed_tools:
            yield from self._executed(tool)
        if chunk.content:
            yield from self._text("message", chunk.content)
        for delta in chunk.tool_calls:
            yield from self._call(delta)

    def _end(self, usage: Mapping[str, Any] | None) -> Iterator[Event]:
        yield from self._close()
        response = self._envelope(usage=usage)
        yield self._numbered({"type": f"response.{response['status']}", "response": response})

    def _text(self, kind: str, text: str) -> Iterator[Event]:
        part = _TEXTS[kind]
        if not self._open or self.output[self._open[-1]]["type"] != kind:
            yield from self._close()
            item: dict[str, Any] = {"type": kind, "status": "in_progress"}
            item |= {"role": "assistant"} if kind == "message" else {"summary": []}
            index = yield from self._added({**item, "content": []}, "msg" if kind == "message" else "resp")
            empty: dict[str, Any] = {"type": part, "text": ""} | ({"annotations": []} if kind == "message" else {})
            self.output[index]["content"] = [empty]
            yield self._of(index, {"type": "response.content_part.added", "content_index": 0, "part": dict(empty)})
        index = self._open[-1]
        self.output[index]["content"][0]["text"] += text
        yield self._of(index, {"type": f"response.{part}.delta", "content_index": 0, "delta": text} | _logprobs(part))

    def _call(self, delta: ToolDelta) -> Iterator[Event]:
        if delta.index not in self._calls:
            if self._open and self.output[self._open[-1]]["type"] != "function_call":
                yield from self._close()
            call = {"type": "function_call", "status": "in_progress", "call_id": delta.id or tool_call_id()}
            added = {**call, "name": delta.name or "", "arguments": ""}
            self._calls[delta.index] = yield from self._added(added, "fc")
        index = self._calls[delta.index]
        if delta.arguments:
            self.output[index]["arguments"] += delta.arguments
            yield self._of(index, {"type": "response.function_call_arguments.delta", "delta": delta.arguments})

    def _executed(self, tool: Mapping[str, Any]) -> Iterator[Event]:
        yield from self._close()
        type_ = str(tool.get("type"))
        index = yield from self._added({"type": f"{_TOOLS.get(type_, type_)}_call", "status": "in_progress"}, "tool")
        given = {name: value for name, value in tool.items() if name not in ("index", "type")}
        self.output[index] |= given
        yield from self._close()

    def _added(self, item: dict[str, Any], prefix: str) -> Iterator[Event]:
        index = len(self.output)
        self.output.append({**item, "id": item_id(prefix)})
        self._open.append(index)
        yield self._of(index, {"type": "response.output_item.added", "item": dict(self.output[index])}, bare=True)
        return index

    def _close(self) -> Iterator[Event]:
        """Yield the events that complete the open items."""
        for index in self._open:
            item = self.output[index]
            if item["type"] in _TEXTS:
                name = f"response.{_TEXTS[item['type']]}"
                (part,) = item["content"]
                data = {"type": f"{name}.done", "content_index": 0, "text": part["text"]}
                yield self._of(index, data | _logprobs(_TEXTS[item["type"]]))
                yield self._of(index, {"type": "response.content_part.done", "content_index": 0, "part": dict(part)})
            elif item["type"] == "function_call":
                done = {"type": "response.function_call_arguments.done", "arguments": item["arguments"]}
                yield self._of(index, {**done, "name": item["name"]})
            item["status"] = "completed"
            yield self._of(index, {"type": "response.output_item.done", "item": dict(item)}, bare=True)
        self._open.clear()

    def _of(self, index: int, data: Event, *, bare: bool = False) -> Event:
        item = {} if bare else {"item_id": self.output[index]["id"]}
        return self._numbered({**data, **item, "output_index": index})

    def _numbered(self, data: Event) -> Event:
        self._events += 1
        return {**data, "sequence_number": self._events - 1}

    def _envelope(self, status: str | None = None, usage: Mapping[str, Any] | None = None) -> dict[str, Any]:
        asked, answer = self.received.json, self.answer
        cut = {"length": "max_output_tokens"}.get(finish_reason(answer), answer.finish_reason)
        incomplete = cut if cut in ("max_output_tokens", "content_filter") else None
        return {
            "id": answer.response_id or self.id,
            "object": "response",
            "status": status or ("incomplete" if incomplete else "completed"),
            "created_at": self.created,
            "output": [] if status else self.output,
            "previous_response_id": None,
            "model": answer.model or self.received.model,
            "reasoning": {"effort": None, "summary": None} | (asked.get("reasoning") or {}),
            "text": asked.get("text") or {"format": {"type": "text"}},
            "truncation": "disabled",
            "top_p": asked.get("top_p", 1),
            "user": asked.get("user"),
            "service_tier": "default" if answer.service_tier == "on_demand" else answer.service_tier,
            "error": None,
            "incomplete_details": {"reason": incomplete} if incomplete and not status else None,
            "usage": usage,
            "store": False,
            "top_logprobs": 0,
            "max_tool_calls": None,
            **{name: asked.get(name, default) for name, default in _ECHOED.items()},
        }


def _logprobs(part: str) -> dict[str, Any]:
    return {"logprobs": []} if part == "output_text" else {}


def usage_of(usage: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the usage of a chat completion as that of a response, which has no times."""
    if usage is None:
        return None
    cached = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
    reasoning = usage.get("completion_tokens_details", {}).get("reasoning_tokens", 0)
    return {
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": usage["total_tokens"],
    }
