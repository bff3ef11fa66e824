"""A record as OpenTelemetry spans and metrics, its cost, and, only when asked for, its content."""

from groqscope.telemetry.background import worker
from groqscope.telemetry.content import Content, ContentPolicy
from groqscope.telemetry.cost import cached_discount, price
from groqscope.telemetry.run_scope import run
from groqscope.telemetry.spans import disown
from groqscope.telemetry.telemetry import Begun, Telemetry, shared_telemetry

__all__ = [
    "Begun",
    "Content",
    "ContentPolicy",
    "Telemetry",
    "cached_discount",
    "disown",
    "price",
    "run",
    "shared_telemetry",
    "worker",
]
