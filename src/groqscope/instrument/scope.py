"""The settings of one `instrument()` call."""

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
    """Whether `fastpath` builds chunks and completions, instead of the SDK."""
    family: Family = GROQ
    hosts: Hosts = frozenset()
    """The hosts in requests to which a family is observed that is not Groq's own."""
    cache_doctor: bool = True
    """Whether to look for the reason if a prompt was not cached."""
    now: Clock = monotonic_ns
    originals: dict[str, Any] = field(default_factory=dict[str, Any])
    """The SDK's methods that ours have replaced."""
