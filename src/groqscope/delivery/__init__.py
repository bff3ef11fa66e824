"""Sends telemetry to an OTLP endpoint: at once, later from the spool, or from stored files.

Sending needs an HTTP client and protobuf, so both are imported on first use.
"""

from typing import TYPE_CHECKING

from groqscope import _lazy

if TYPE_CHECKING:
    from groqscope.delivery.exporters import SpoolingMetricExporter, SpoolingSpanExporter
    from groqscope.delivery.push import Push, PushReport
    from groqscope.delivery.received import line_of_json, line_of_protobuf
    from groqscope.delivery.retrying import RetryingSender
    from groqscope.delivery.sender import Delivered, OtlpSender, Refused
    from groqscope.delivery.spool import Spool, spool_for
    from groqscope.delivery.transcode import Signal

__all__ = [
    "Delivered",
    "OtlpSender",
    "Push",
    "PushReport",
    "Refused",
    "RetryingSender",
    "Signal",
    "Spool",
    "SpoolingMetricExporter",
    "SpoolingSpanExporter",
    "line_of_json",
    "line_of_protobuf",
    "spool_for",
]

__getattr__, __dir__ = _lazy.attach(
    __name__,
    {
        "sender": ["Delivered", "OtlpSender", "Refused"],
        "push": ["Push", "PushReport"],
        "retrying": ["RetryingSender"],
        "transcode": ["Signal"],
        "spool": ["Spool", "spool_for"],
        "exporters": ["SpoolingMetricExporter", "SpoolingSpanExporter"],
        "received": ["line_of_json", "line_of_protobuf"],
    },
)
