"""Default scrubbing of recorded content: texts that match logfire's patterns, and Groq's API keys."""

import re
from functools import cache
from typing import Any, Final

_KEY: Final = re.compile(r"gsk_[A-Za-z0-9_]{8,}")


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
