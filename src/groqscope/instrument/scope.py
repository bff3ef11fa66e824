"""What one `instrument()` decides about the clients it covers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Any

from groqscope.telemetry import Telemetry

Clock = Callable[[], int]


@dataclass(slots=True)
class Scope:
    """How the clients of one `instrument()` are observed."""

    telemetry: Telemetry
    fast_path: bool = True
    """Build chunks and completions in `fastpath`, instead of leaving it to the SDK."""
    now: Clock = monotonic_ns
    originals: dict[str, Any] = field(default_factory=dict[str, Any])
    """The SDK's methods in whose place ours stand."""
