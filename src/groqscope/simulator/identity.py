"""Identifiers in the shapes of Groq's."""

import secrets
import time
import uuid

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


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
