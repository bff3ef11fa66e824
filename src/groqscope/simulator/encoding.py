"""JSON, server-sent events and identifiers as Groq writes them."""

import json
import secrets
import time
import uuid
from collections.abc import Mapping
from typing import Any

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def dump(payload: Mapping[str, Any]) -> bytes:
    """Encode as Groq does: compact, raw UTF-8, but `<`, `>` and `&` escaped."""
    text = json.dumps(payload, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


def event(data: bytes, name: str | None = None) -> bytes:
    """Format one server-sent event."""
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + data + b"\n\n"


def item_id(prefix: str) -> str:
    """Make an ID such as `req_…` or `resp_…`: a ULID, 48 bits of milliseconds and 80 random ones."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return f"{prefix}_" + "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def request_id() -> str:
    """Make a `req_…`."""
    return item_id("req")


def response_id() -> str:
    """Make a `chatcmpl-…`."""
    return f"chatcmpl-{uuid.uuid4()}"


def tool_call_id() -> str:
    """Make a tool call's id, nine characters."""
    return "".join(secrets.choice(_CROCKFORD) for _ in range(9))
