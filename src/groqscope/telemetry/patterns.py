"""What is taken out of recorded content by default: what logfire's patterns find, and Groq's keys."""

import re
from functools import cache
from typing import Any, Final

_KEY: Final = re.compile(r"gsk_[A-Za-z0-9_]{8,}")


def scrub_by_patterns(text: str) -> str:
    """Replace a text in which one of logfire's patterns (password, API key, session, …) matches; in JSON, that value.

    Logfire itself passes over the attributes of messages.
    """
    text = _KEY.sub("[Scrubbed: gsk_…]", text)
    scrubbed, _ = _scrubber().scrub_value(("content",), text)
    return str(scrubbed)


@cache
def _scrubber() -> Any:
    from logfire._internal.scrubbing import Scrubber  # it has no public name

    return Scrubber(None)
