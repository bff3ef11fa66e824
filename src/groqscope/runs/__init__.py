"""Runs: what an agent or a server did around its Groq requests, and how long each part took."""

from groqscope.runs.findings import NOTICEABLE_NS, Finding, FindingKind, findings_of
from groqscope.runs.partition import Overlap, Segment
from groqscope.runs.run import NotARun, Part, Run, ToolExecution, run_of, runs_of
from groqscope.runs.spans import PART_KINDS, PartKind, TraceSpan

__all__ = [
    "NOTICEABLE_NS",
    "PART_KINDS",
    "Finding",
    "FindingKind",
    "NotARun",
    "Overlap",
    "Part",
    "PartKind",
    "Run",
    "Segment",
    "ToolExecution",
    "TraceSpan",
    "findings_of",
    "run_of",
    "runs_of",
]
