"""The timeline of a request and the record made from it: no clock, no I/O."""

from groqscope.timeline.record import (
    CACHING_MODELS,
    FAILED,
    LEFT,
    PHASE_NAMES,
    Attempt,
    ExecutedTool,
    ModelUsage,
    Outcome,
    Phases,
    RateLimits,
    RequestRecord,
    ToolCall,
    Usage,
    UsageDelta,
)
from groqscope.timeline.sampling import is_cut, pack, unpack
from groqscope.timeline.timeline import Channel, EndFacts, RequestFacts, ResponseFacts, SpanFacts, Timeline

__all__ = [
    "CACHING_MODELS",
    "FAILED",
    "LEFT",
    "PHASE_NAMES",
    "Attempt",
    "Channel",
    "EndFacts",
    "ExecutedTool",
    "ModelUsage",
    "Outcome",
    "Phases",
    "RateLimits",
    "RequestFacts",
    "RequestRecord",
    "ResponseFacts",
    "SpanFacts",
    "Timeline",
    "ToolCall",
    "Usage",
    "UsageDelta",
    "is_cut",
    "pack",
    "unpack",
]
