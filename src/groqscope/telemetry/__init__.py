"""A record as OpenTelemetry spans and metrics, its cost, and, only when asked for, its content."""

from typing import TYPE_CHECKING

from groqscope import _lazy
from groqscope.telemetry.background import worker
from groqscope.telemetry.content import Content, ContentPolicy
from groqscope.telemetry.cost import cached_discount, price, price_of_audio, price_of_tools, price_source
from groqscope.telemetry.run_scope import current_run, run
from groqscope.telemetry.spans import disown
from groqscope.telemetry.telemetry import Begun, Telemetry, shared_telemetry

if TYPE_CHECKING:
    from groqscope.telemetry.run_observer import observer_of, run_metrics, trace_span

__all__ = [
    "Begun",
    "Content",
    "ContentPolicy",
    "Telemetry",
    "cached_discount",
    "current_run",
    "disown",
    "observer_of",
    "price",
    "price_of_audio",
    "price_of_tools",
    "price_source",
    "run",
    "run_metrics",
    "shared_telemetry",
    "trace_span",
    "worker",
]

# They need OpenTelemetry's SDK, which a program that only asks Groq does not load.
__getattr__, __dir__ = _lazy.attach(__name__, {"run_observer": ["observer_of", "run_metrics", "trace_span"]})
