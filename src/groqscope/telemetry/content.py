"""Prompts, completions and tool arguments: recorded only on request, scrubbed and bounded.

`OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` switches it on. The format is that of the GenAI conventions' JSON
schemas for `gen_ai.input.messages` and `gen_ai.output.messages` (role and parts).
"""

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from opentelemetry._logs import LogRecord, SeverityNumber, get_logger
from opentelemetry.context import Context

from groqscope import semconv
from groqscope._version import __version__
from groqscope.codec import Attributes
from groqscope.timeline import RequestRecord

_KEY: Final = re.compile(r"gsk_[A-Za-z0-9_]{8,}")

VARIABLE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_MODES: Final = {
    "": (False, False),
    "false": (False, False),
    "no_content": (False, False),
    "true": (True, False),
    "span_only": (True, False),
    "event_only": (False, True),
    "span_and_event": (True, True),
}
_DATA: Final = re.compile(r"data:([\w.+-]{1,64}/[\w.+-]{1,64})?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ContentPolicy:
    """Whether and how content is recorded."""

    spans: bool = False
    events: bool = False
    max_characters: int = 2000
    """Longest text of one part; a longer one is truncated, and the JSON around it stays valid."""
    max_messages: int = 64
    patterns: bool = True
    """Whether to replace texts that match logfire's patterns (password, API key, session, …)."""
    scrub: Callable[[str], str] | None = None
    """A function applied to every text after the patterns, before it is truncated."""

    @property
    def wanted(self) -> bool:
        """Whether anything is recorded."""
        return self.spans or self.events

    @classmethod
    def from_environment(cls) -> "ContentPolicy":
        """Return the policy that the environment variable selects; an unknown value means no content."""
        spans, events = _MODES.get(os.environ.get(VARIABLE, "").strip().lower(), (False, False))
        return cls(spans=spans, events=events)


class Content:
    """The messages of one request, bounded."""

    def __init__(self, policy: ContentPolicy, body: Mapping[str, Any]) -> None:
        self._policy = policy
        given = [m for m in _listed(body.get("messages")) if isinstance(m, Mapping)][-policy.max_messages :]
        self._system = [p for m in given if m.get("role") == "system" for p in self._parts(m)]
        self._input = [
            {"role": str(m.get("role", "")), "parts": self._parts(m)} for m in given if m.get("role") != "system"
        ]
        self._tools = [t for t in _listed(body.get("tools")) if isinstance(t, Mapping)][: policy.max_messages]
        self._texts: dict[tuple[int, str], list[str]] = {}
        self._kept: dict[tuple[int, str], int] = {}
        self._calls: dict[tuple[int, int], dict[str, Any]] = {}
        self._sizes: dict[tuple[int, int], int] = {}
        """Characters of each call's arguments, including those that were not kept."""
        self._finish: dict[int, str] = {}

    def text(self, choice: int, kind: str, text: str) -> None:
        """Add generated text: `kind` is `text` or `reasoning`."""
        kept = self._kept.get((choice, kind), 0)
        room = self._policy.max_characters * 2 - kept
        if (choice, kind) not in self._kept and len(self._kept) >= self._policy.max_messages:
            return
        if room > 0:
            self._texts.setdefault((choice, kind), []).append(text[:room])
        self._kept[choice, kind] = kept + len(text)

    def tool(self, choice: int, index: int, call_id: str | None, name: str | None, arguments: str | None) -> None:
        """Add a fragment of a tool call."""
        if (choice, index) not in self._calls and len(self._calls) >= self._policy.max_messages:
            return
        call = self._calls.setdefault((choice, index), {"type": "tool_call", "id": None, "name": None, "arguments": ""})
        call["id"] = call["id"] or call_id
        call["name"] = call["name"] or name
        if arguments:
            room = self._policy.max_characters * 2 - len(call["arguments"])
            call["arguments"] += arguments[: max(0, room)]
            self._sizes[choice, index] = self._sizes.get((choice, index), 0) + len(arguments)

    def finished(self, choice: int, reason: str) -> None:
        """Record a choice's finish reason."""
        if choice in self._finish or len(self._finish) < self._policy.max_messages:
            self._finish[choice] = reason

    def attributes(self) -> Attributes:
        """Return the span attributes, each a JSON string."""
        found: dict[str, Any] = {
            semconv.SYSTEM_INSTRUCTIONS: self._system,
            semconv.INPUT_MESSAGES: self._input,
            semconv.OUTPUT_MESSAGES: self._output(),
            semconv.TOOL_DEFINITIONS: [self._scrubbed_json(t) for t in self._tools],
        }
        return {key: _json(value) for key, value in found.items() if value}

    def emit(self, record: RequestRecord, context: Context) -> None:
        """Emit the event of the conventions, a log record with the same content."""
        attributes: dict[str, Any] = {
            semconv.OPERATION_NAME: record.operation,
            semconv.PROVIDER_NAME: semconv.PROVIDER,
            semconv.REQUEST_MODEL: record.model or "",
            **self.attributes(),
        }
        get_logger(semconv.SCOPE, __version__, schema_url=semconv.SCHEMA_URL).emit(
            LogRecord(
                timestamp=record.start_unix_ns + record.duration_ns,
                context=context,
                severity_number=SeverityNumber.INFO,
                event_name=semconv.LOG_CONTENT,
                attributes=attributes,
            )
        )

    def _output(self) -> list[dict[str, Any]]:
        choices = sorted({c for c, _ in self._texts} | {c for c, _ in self._calls} | set(self._finish))
        return [self._choice(choice) for choice in choices]

    def _choice(self, choice: int) -> dict[str, Any]:
        parts: list[dict[str, Any]] = []
        for kind in ("reasoning", "text"):
            pieces = self._texts.get((choice, kind))
            if pieces:
                parts.append({"type": kind, "content": self._clean("".join(pieces), self._kept[choice, kind])})
        for key, call in sorted(self._calls.items()):
            if key[0] == choice:
                parts.append({**call, "arguments": self._clean(call["arguments"], self._sizes.get(key, 0))})
        return {"role": "assistant", "parts": parts, "finish_reason": self._finish.get(choice, "")}

    def _parts(self, message: Mapping[str, Any]) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = []
        content = message.get("content")
        if message.get("role") == "tool":
            return [
                {"type": "tool_call_response", "id": message.get("tool_call_id"), "response": self._clean(str(content))}
            ]
        if isinstance(content, str):
            parts.append({"type": "text", "content": self._clean(content)})
        elif isinstance(content, list):
            for item in content[: self._policy.max_messages]:
                if isinstance(item, Mapping) and item.get("type") == "text":
                    parts.append({"type": "text", "content": self._clean(str(item.get("text")))})
                elif isinstance(item, Mapping) and item.get("type") == "image_url":
                    parts.append(self._image(item))
        for call in _listed(message.get("tool_calls"))[: self._policy.max_messages]:
            if isinstance(call, Mapping):
                function = _mapping(call.get("function"))
                arguments = self._clean(str(function.get("arguments", "")))
                parts.append(
                    {"type": "tool_call", "id": call.get("id"), "name": function.get("name"), "arguments": arguments}
                )
        return parts

    def _image(self, item: Mapping[str, Any]) -> dict[str, Any]:
        url = str(_mapping(item.get("image_url")).get("url", ""))
        if data := _DATA.match(url):
            return {"type": "blob", "modality": "image", "mime_type": data[1] or "", "content": ""}
        return {"type": "uri", "modality": "image", "uri": self._clean(url)}

    def _scrubbed_json(self, tool: Mapping[str, Any]) -> dict[str, Any]:
        function = _mapping(tool.get("function"))
        return {
            "type": str(tool.get("type", "function")),
            "name": str(function.get("name", "")),
            "description": self._clean(str(function.get("description") or "")),
        }

    def _clean(self, text: str, size: int = 0) -> str:
        """Return a text scrubbed and truncated; `size` is its full length if only the beginning was kept."""
        missing = max(0, size - len(text))
        try:
            if self._policy.patterns:
                text = scrub_by_patterns(text)
            if self._policy.scrub is not None:
                text = str(self._policy.scrub(text))
        except Exception:  # noqa: BLE001 - the user's function; a text that it failed to scrub is not recorded
            return "[not recorded: scrubbing it failed]"
        limit = self._policy.max_characters
        return text if len(text) <= limit else f"{text[:limit]}… ({len(text) - limit + missing} characters more)"


def _listed(value: Any) -> list[Any] | tuple[Any, ...]:
    """Return the value if it is a list or a tuple, else an empty tuple: the caller may have sent anything."""
    return value if isinstance(value, (list, tuple)) else ()


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    # A lone surrogate cannot be encoded as UTF-8, so no exporter could write it.
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def scrub_by_patterns(text: str) -> str:
    """Return a text, replaced if one of logfire's patterns matches it (password, API key, …); in JSON, only that value.

    Logfire's own scrubbing skips the attributes that hold messages.
    """
    text = _KEY.sub("[Scrubbed: gsk_…]", text)
    scrubbed, _ = _scrubber().scrub_value(("content",), text)
    return str(scrubbed)


@cache
def _scrubber() -> Any:
    from logfire._internal.scrubbing import Scrubber  # it has no public name

    return Scrubber(None)
