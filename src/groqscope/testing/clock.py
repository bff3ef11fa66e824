"""A clock that moves only when a test moves it."""

from typing import Final

_NS_PER_MS: Final = 1_000_000


class ManualClock:
    """A monotonic clock in nanoseconds that stands still until it is moved: every phase becomes exact."""

    def __init__(self, now: int = 7_000_000_000) -> None:
        """Begin at a moment, in nanoseconds."""
        self.now = now

    def __call__(self) -> int:
        """Return the moment."""
        return self.now

    def advance(self, ms: float) -> int:
        """Let that many milliseconds pass, and return the new moment."""
        self.now += round(ms * _NS_PER_MS)
        return self.now
