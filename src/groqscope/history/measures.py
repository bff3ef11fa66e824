"""What is computed from a request's fields before anything is asked, as SQL; files hold it beside the fields.

Each column has the value that Python computes from the same record (`RequestRecord.tpot`, `audit.rules.measure`), and
tests compare them. Compaction computes these columns once, so that an overview reads numbers instead of lists of
attempts and tool calls.
"""

from collections.abc import Mapping
from typing import Final

from groqscope.timeline import PHASE_NAMES, SAME_GAP, STALL_NS, STALL_TIMES_MEDIAN


def number(value: float) -> str:
    """Write a constant of ours as a double: a plain `0.8` would be a decimal, which is calculated with otherwise."""
    return f"CAST({value!r} AS DOUBLE)"


def whole(expression: str) -> str:
    """Round half to even, as Python does."""
    return f"TRY_CAST({expression} AS HUGEINT)"


def zero(expression: str) -> str:
    """Return 0 where nothing is known."""
    return f"coalesce({expression}, 0)"


def wide(expression: str) -> str:
    """Calculate in 128 bits: the sum or product of a damaged request's numbers may not fit into 64."""
    return f"CAST({expression} AS HUGEINT)"


def total(*expressions: str) -> str:
    """Return a sum that no damaged request overflows."""
    return f"({' + '.join(map(wide, expressions))})"


REPORTED_NS: Final = (
    "CASE WHEN usage.completion_time > 0 AND usage.completion_time <= duration_ns / 1e9 "
    f"THEN nullif({whole('usage.completion_time * 1e9')}, 0) END"
)
"""Groq's `completion_time`, if it can be true."""
_OBSERVED: Final = (
    "CASE WHEN generation_ns <> 0 AND generation_chunks <> 0 AND content_chunks <> 0 THEN "
    f"generation_ns / 1e9 / ({wide('usage.output_tokens')} * generation_chunks / content_chunks) END"
)
ATTEMPTS: Final = total("len(attempts)", "attempts_dropped")
_MOVED_ON: Final = "a.error_type IS NULL AND (a.status IN (401, 407) OR (a.status >= 300 AND a.status < 400))"
_RETRY: Final = zero("phases.retry")
_PROCESSED: Final = f"({zero('usage.input_tokens')} - {zero('usage.cached_tokens')})"
_MISSED_PREFILL: Final = f"{zero('phases.prefill')} * least(CAST(1 AS DOUBLE), cache_missed_tokens / {_PROCESSED})"
_RECEIVED: Final = total(*(zero(f"phases.{phase}") for phase in ("receive", "generate", "consume")))
_GENERATED: Final = (
    f"coalesce({whole('measured_tpot * usage.output_tokens * 1e9')}, "
    f"{total(zero('phases.receive'), zero('phases.generate'))})"
)
_STALL_OF_MEDIAN: Final = f"{STALL_TIMES_MEDIAN} * {wide(zero('icl_p50_ns'))}"


def _opened(attempt: int) -> str:
    return total(zero(f"attempts[{attempt}].connect_ns"), zero(f"attempts[{attempt}].tls_ns"))


_STEPS: Final[tuple[Mapping[str, tuple[str, str]], ...]] = (
    {
        "phased": ("BOOLEAN", f"coalesce({', '.join(f'phases.{name}' for name in PHASE_NAMES)}) IS NOT NULL"),
        "tpot": (
            "DOUBLE",
            (
                "CASE WHEN usage.output_tokens >= 1 THEN "
                f"coalesce({REPORTED_NS} / 1e9 / usage.output_tokens, {_OBSERVED}) END"
            ),
        ),
        "retries": (
            "BIGINT",
            f"greatest(0, {ATTEMPTS} - 1 - len(list_filter(attempts, lambda a: coalesce({_MOVED_ON}, false))))",
        ),
        "retries_cost": (
            "BIGINT",
            (
                f"CASE WHEN {_RETRY} = 0 OR len(attempts) = 0 THEN {_RETRY} "
                f"ELSE {_RETRY} - least({_RETRY}, greatest(0, {_opened(1)} - {_opened(-1)})) END"
            ),
        ),
        "tool_calls": ("BIGINT", total("len(tool_calls)", "tool_calls_dropped")),
        "tool_call": (
            "BIGINT",
            zero("list_max(list_transform(tool_calls, lambda c: coalesce(c.assembly_ns, 0)))"),
        ),
        "cache_miss": (
            "BIGINT",
            f"CASE WHEN cache_missed_tokens <> 0 AND {_PROCESSED} > 0 THEN {whole(_MISSED_PREFILL)} ELSE 0 END",
        ),
    },
    {
        "stall": (
            "BIGINT",
            (
                f"CASE WHEN icl_max_ns IS NULL OR icl_max_ns < {STALL_NS} OR icl_max_ns < {_STALL_OF_MEDIAN} "
                f"OR measured_tool_call >= {number(SAME_GAP)} * icl_max_ns THEN 0 ELSE icl_max_ns END"
            ),
        ),
        "reasoning": (
            "BIGINT",
            (
                f"least({_RECEIVED}, CASE "
                "WHEN ttfrt_ns IS NOT NULL AND ttfot_ns IS NOT NULL THEN greatest(0, ttfot_ns - ttfrt_ns) "
                "WHEN usage.reasoning_tokens <> 0 AND usage.output_tokens <> 0 THEN "
                f"{whole(f'{_GENERATED} * least(CAST(1 AS DOUBLE), usage.reasoning_tokens / usage.output_tokens)')} "
                "WHEN ttfrt_ns IS NOT NULL AND last_chunk_ns IS NOT NULL THEN greatest(0, last_chunk_ns - ttfrt_ns) "
                "ELSE 0 END)"
            ),
        ),
    },
    {
        "generation": (
            "BIGINT",
            f"greatest(0, least({_GENERATED}, {_RECEIVED} - measured_stall - measured_tool_call) - measured_reasoning)",
        ),
    },
)
"""By name its type in a file and its value; each step needs the columns of those before it."""

MEASURES: Final[Mapping[str, str]] = {f"measured_{name}": kind for step in _STEPS for name, (kind, _) in step.items()}
"""The columns, with the type in which files hold them."""


def measured(requests: str) -> str:
    """Return requests with these columns beside their own."""
    for step in _STEPS:
        columns = ", ".join(f"{value} AS measured_{name}" for name, (_, value) in step.items())
        requests = f"SELECT *, {columns} FROM ({requests})"
    return requests


def to_be_stored(requests: str) -> str:
    """Return requests with these columns in the types that files hold: an error, where a number does not fit."""
    casts = ", ".join(f"CAST({name} AS {kind}) AS {name}" for name, kind in MEASURES.items())
    return f"SELECT * REPLACE ({casts}) FROM ({measured(requests)})"
