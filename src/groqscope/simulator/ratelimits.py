"""Groq's rate limit headers: requests left today, tokens left this minute."""

import time
from dataclasses import dataclass, field
from email.utils import formatdate

from groqscope.simulator.encoding import request_id
from groqscope.simulator.received import Received

REQUESTS_A_DAY = 14_400
TOKENS_A_MINUTE = 300_000


@dataclass
class _Bucket:
    """A leaky bucket: usage drains evenly, and the reset is the time until it is empty."""

    limit: int
    period: float
    used: float = 0.0
    seen: float = field(default_factory=time.monotonic)

    def take(self, amount: int) -> tuple[int, float]:
        """Use an amount; return what remains, and the seconds until the bucket is full again."""
        now = time.monotonic()
        self.used = min(self.limit, max(0.0, self.used - (now - self.seen) * self.limit / self.period) + amount)
        self.seen = now
        return int(self.limit - self.used), self.used * self.period / self.limit


class RateLimits:
    """Rate limits per model, for the headers only: requests are never rejected because of them, only by a script."""

    def __init__(self) -> None:
        """Start with unused limits."""
        self._buckets: dict[str | None, tuple[_Bucket, _Bucket]] = {}

    def headers(self, received: Received, *, counted: bool) -> dict[str, str]:
        """Return the headers of every answer; `counted` requests also have those of the limits."""
        found = {"date": formatdate(usegmt=True), "x-request-id": request_id(), "x-groq-region": "us-west-1"}
        if not counted:
            return found
        new = (_Bucket(REQUESTS_A_DAY, 86_400.0), _Bucket(TOKENS_A_MINUTE, 60.0))
        requests, tokens = self._buckets.setdefault(received.model, new)
        taken = {"requests": (requests, 1), "tokens": (tokens, received.prompt_tokens)}
        for name, (bucket, amount) in taken.items():
            remaining, reset = bucket.take(amount)
            found[f"x-ratelimit-limit-{name}"] = str(bucket.limit)
            found[f"x-ratelimit-remaining-{name}"] = str(remaining)
            found[f"x-ratelimit-reset-{name}"] = duration(reset)
        return found


def duration(seconds: float) -> str:
    """Return a duration as Groq writes it: `26ms`, `6s`, `1m26.4s`."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds, 3), 60)
    return (f"{minutes:g}m" if minutes else "") + f"{rest:.6g}s"
