"""Runs: what an agent, a conversation or a server did around its Groq requests, and where the time went."""

from groqscope.runs.partition import Overlap, Segment
from groqscope.runs.run import NotARun, Part, Run, ToolExecution, run_of, runs_of
from groqscope.runs.spans import PART_KINDS, PartKind, TraceSpan

__all__ = [
    "PART_KINDS",
    "NotARun",
    "Overlap",
    "Part",
    "PartKind",
    "Run",
    "Segment",
    "ToolExecution",
    "TraceSpan",
    "run_of",
    "runs_of",
]
