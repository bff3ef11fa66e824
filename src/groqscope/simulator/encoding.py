"""JSON and server-sent events as Groq writes them."""

import json
from collections.abc import Mapping
from typing import Any


def dump(payload: Mapping[str, Any]) -> bytes:
    """Encode as Groq does: compact, raw UTF-8, but `<`, `>` and `&` escaped."""
    text = json.dumps(payload, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


def event(data: bytes, name: str | None = None) -> bytes:
    """Format one server-sent event."""
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + data + b"\n\n"
