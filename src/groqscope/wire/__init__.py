"""Bytes of Groq's chat API to typed objects, and a request's parameters on their way: what the SDK does, sooner.

What comes out equals what the SDK would have built from the same input; tests hold the two side by side.
"""

from groqscope.wire.chunks import decode_chunk, decode_completion, warm_up
from groqscope.wire.frames import Frame, frame_of
from groqscope.wire.headers import RateLimitHeaders, parse_duration, rate_limits, retry_after
from groqscope.wire.parameters import copy_parameters
from groqscope.wire.sse import SSEDecoder

__all__ = [
    "Frame",
    "RateLimitHeaders",
    "SSEDecoder",
    "copy_parameters",
    "decode_chunk",
    "decode_completion",
    "frame_of",
    "parse_duration",
    "rate_limits",
    "retry_after",
    "warm_up",
]
