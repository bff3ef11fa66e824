"""What one `instrument()` decides about the clients it covers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Any

from groqscope.instrument.families import GROQ, Family
from groqscope.instrument.hosts import Hosts
from groqscope.telemetry import Telemetry

Clock = Callable[[], int]


@dataclass(slots=True)
class Scope:
    """How the clients of one `instrument()` are observed."""

    telemetry: Telemetry
    fast_path: bool = True
    """Build chunks and completions in `fastpath`, instead of leaving it to the SDK."""
    family: Family = GROQ
    hosts: Hosts = frozenset()
    """Where requests are observed of a family that asks others than Groq too."""
    cache_doctor: bool = True
    """Look for the reason where a prompt was not cached."""
    now: Clock = monotonic_ns
    originals: dict[str, Any] = field(default_factory=dict[str, Any])
    """The SDK's methods in whose place ours stand."""
