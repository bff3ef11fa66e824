"""A record as OpenTelemetry spans and metrics, its cost, and, only when asked for, its content."""

from groqscope.telemetry._content import Content, ContentPolicy
from groqscope.telemetry._cost import price
from groqscope.telemetry._spans import disown
from groqscope.telemetry._telemetry import Begun, Ended, Telemetry
from groqscope.telemetry._worker import worker

__all__ = ["Begun", "Content", "ContentPolicy", "Ended", "Telemetry", "disown", "price", "worker"]
