"""Sends telemetry to an OTLP endpoint: at once, later from the spool, or from stored files.

Sending needs an HTTP client and protobuf, so both are imported on first use.
"""

from typing import TYPE_CHECKING

from groqscope import _lazy

if TYPE_CHECKING:
    from groqscope.delivery.exporters import SpoolingMetricExporter, SpoolingSpanExporter
    from groqscope.delivery.push import Push, PushReport
    from groqscope.delivery.retrying import RetryingSender
    from groqscope.delivery.sender import OtlpSender
    from groqscope.delivery.spool import Spool

__all__ = [
    "OtlpSender",
    "Push",
    "PushReport",
    "RetryingSender",
    "Spool",
    "SpoolingMetricExporter",
    "SpoolingSpanExporter",
]

__getattr__, __dir__ = _lazy.attach(
    __name__,
    {
        "OtlpSender": "sender",
        "Push": "push",
        "PushReport": "push",
        "RetryingSender": "retrying",
        "Spool": "spool",
        "SpoolingMetricExporter": "exporters",
        "SpoolingSpanExporter": "exporters",
    },
)
