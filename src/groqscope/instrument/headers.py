"""Groq's response headers: `x-ratelimit-*` and `retry-after`.

Source: https://console.groq.com/docs/rate-limits; resets are durations such as `6s`, `10.332999999s`, `26ms`,
`2m59.56s`.
"""

import math
import re
from collections.abc import Mapping
from email.utils import mktime_tz, parsedate_tz
from typing import Final

from groqscope.timeline import RateLimits

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(d|h|ms|m|us|µs|ns|s)")
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}

RATE_LIMIT_HEADERS: Final = tuple(
    f"x-ratelimit-{figure}-{resource}"
    for figure in ("limit", "remaining", "reset")
    for resource in ("requests", "tokens")
)


def parse_duration(text: str) -> float | None:
    """Return a duration in seconds; `None` when it is not one."""
    text = text.strip()
    parts = _DURATION.findall(text)
    if not parts or "".join(map("".join, parts)) != text:
        return _finite(text)
    if len(parts) == 1 and parts[0][1] == "ms":
        return float(parts[0][0]) / 1000
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def rate_limits(headers: Mapping[str, str]) -> RateLimits:
    """Return the six `x-ratelimit-*` headers; `None` for those that are missing or malformed."""

    def whole(name: str) -> int | None:
        value = headers.get(f"x-ratelimit-{name}")
        return int(value) if value is not None and value.isdecimal() and len(value) < 19 else None  # 64 bits

    def seconds(name: str) -> float | None:
        value = headers.get(f"x-ratelimit-reset-{name}")
        return None if value is None else parse_duration(value)

    return RateLimits(
        requests_limit=whole("limit-requests"),
        requests_remaining=whole("remaining-requests"),
        requests_reset=seconds("requests"),
        tokens_limit=whole("limit-tokens"),
        tokens_remaining=whole("remaining-tokens"),
        tokens_reset=seconds("tokens"),
    )


def retry_after(headers: Mapping[str, str], now_unix: float) -> float | None:
    """Return `retry-after-ms` or `retry-after` (seconds or a date) in seconds from now, as the SDK does."""
    milliseconds = headers.get("retry-after-ms")
    if milliseconds is not None and (value := _finite(milliseconds)) is not None:
        return value / 1000
    text = headers.get("retry-after")
    if text is None:
        return None
    if (value := _finite(text)) is not None:
        return value
    date = parsedate_tz(text)
    try:
        return None if date is None else max(0.0, mktime_tz(date) - now_unix)
    except (ValueError, OverflowError):  # a year out of range
        return None


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
