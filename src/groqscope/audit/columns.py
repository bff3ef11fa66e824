"""The vocabulary, the conditions and the measurements of the rules over columns: SQL in place of Python.

Each expression has the value that the Python beside it has for the same record (`fields`, `conditions`,
`rules.measure`); the tests compare them. What a user writes travels as a parameter, never as a part of the query.
"""

from collections.abc import Mapping
from typing import Any, Final, Protocol

from groqscope import semconv
from groqscope.audit import rules
from groqscope.audit.conditions import FINAL_SIGMA, SIGMA, Comparison, Condition, Flag, Junction, Known, Negation
from groqscope.audit.fields import FIELDS, TAG, Field, word_of
from groqscope.timeline import CACHING_MODELS, FAILED, LEFT, PHASE_NAMES


class Parameters(Protocol):
    """Collects the values of a query, and returns a placeholder for each."""

    def add(self, value: float | str | list[str]) -> str:
        """Return the placeholder of a value."""
        ...


class Named:
    """Values by the names of their placeholders."""

    def __init__(self, prefix: str = "p") -> None:
        self.values: dict[str, Any] = {}
        self._prefix = prefix

    def add(self, value: float | str | list[str]) -> str:
        """Return the placeholder of a value, with its type."""
        name = f"{self._prefix}{len(self.values)}"
        self.values[name] = value
        kind = "VARCHAR" if isinstance(value, str) else "VARCHAR[]" if isinstance(value, list) else "DOUBLE"
        return f"CAST(${name} AS {kind})"


def number(value: float) -> str:
    """Write a constant of ours as a double: a plain `0.8` would be a decimal, which is calculated with otherwise."""
    return f"CAST({value!r} AS DOUBLE)"


def whole(expression: str) -> str:
    """Round half to even, as Python does."""
    return f"TRY_CAST({expression} AS HUGEINT)"


def _zero(expression: str) -> str:
    return f"coalesce({expression}, 0)"


def _wide(expression: str) -> str:
    """Calculate in 128 bits: the sum or product of a damaged request's numbers may not fit into 64."""
    return f"CAST({expression} AS HUGEINT)"


def _sum(*expressions: str) -> str:
    return f"({' + '.join(map(_wide, expressions))})"


def _any_known(*expressions: str) -> str:
    return f"coalesce({', '.join(expressions)})"


REPORTED_NS: Final = (
    "CASE WHEN usage.completion_time > 0 AND usage.completion_time <= duration_ns / 1e9 "
    f"THEN nullif({whole('usage.completion_time * 1e9')}, 0) END"
)
"""Groq's `completion_time`, if it can be true."""
_OBSERVED: Final = (
    "CASE WHEN generation_ns <> 0 AND generation_chunks <> 0 AND content_chunks <> 0 THEN "
    f"generation_ns / 1e9 / ({_wide('usage.output_tokens')} * generation_chunks / content_chunks) END"
)
TPOT: Final = (
    f"CASE WHEN usage.output_tokens >= 1 THEN coalesce({REPORTED_NS} / 1e9 / usage.output_tokens, {_OBSERVED}) END"
)
"""Seconds of generation per output token."""
_MOVED_ON: Final = "a.error_type IS NULL AND (a.status IN (401, 407) OR (a.status >= 300 AND a.status < 400))"
_ATTEMPTS: Final = _sum("len(attempts)", "attempts_dropped")
RETRIES: Final = f"greatest(0, {_ATTEMPTS} - 1 - len(list_filter(attempts, lambda a: coalesce({_MOVED_ON}, false))))"
_WAIT: Final = ("phases.queue", "phases.prefill", "phases.network", "phases.generate")


def _texts(values: frozenset[str]) -> str:
    return ", ".join(f"'{value}'" for value in sorted(values))


_CACHING: Final = ", ".join(f"'{model}'" for model in sorted(CACHING_MODELS))
CACHEABLE: Final = (
    "CASE WHEN usage.cached_tokens IS NOT NULL OR cache_miss IS NOT NULL "
    f"OR coalesce(model IN ({_CACHING}), false) THEN usage.input_tokens END"
)
"""Input tokens, where the model caches prompts."""
_PROCESSED: Final = f"({_zero('usage.input_tokens')} - {_zero('usage.cached_tokens')})"
_MISSED_PREFILL: Final = (
    f"CASE WHEN cache_missed_tokens <> 0 AND {_PROCESSED} > 0 THEN "
    f"{whole(f'coalesce(phases.prefill, 0) * least(CAST(1 AS DOUBLE), cache_missed_tokens / {_PROCESSED})')} ELSE 0 END"
)

CALLED: Final = _sum("len(tool_calls)", "tool_calls_dropped")
IS_FAILED: Final = f"coalesce(outcome IN ({_texts(FAILED)}), false)"
IS_LEFT: Final = f"coalesce(outcome IN ({_texts(LEFT)}), false)"

_OWN: Final[Mapping[str, str]] = {
    "duration": "duration_ns",
    "start": "start_unix_ns",
    "tpot": f"({TPOT}) * 1e9",
    "throughput": f"1 / nullif({TPOT}, 0)",
    "tpot_source": (
        f"CASE WHEN ({TPOT}) IS NULL THEN NULL WHEN ({REPORTED_NS}) IS NULL THEN 'observed' ELSE 'reported' END"
    ),
    "wait": f"CASE WHEN {_any_known(*_WAIT)} IS NOT NULL THEN {_sum(*map(_zero, _WAIT))} END",
    "retries": RETRIES,
    "attempts": _ATTEMPTS,
    "failed": IS_FAILED,
    "tool_calls": CALLED,
    "tool": "list_transform(tool_calls, lambda c: coalesce(c.name, ''))",
    "invalid_tool_calls": "len(list_filter(tool_calls, lambda c: coalesce(NOT c.arguments_valid, false)))",
    "executed_tools": "list_transform(executed_tools, lambda t: t.type)",
    "inner_models": "list_transform(usage_models, lambda m: m.model)",
    "usage_deltas": _sum("len(usage_deltas)", "usage_deltas_dropped"),
    "trace_id": "trace_id",
    "span_id": "span_id",
    "tags": "list_transform(tags, lambda t: t[1] || '=' || t[2])",
    "service": "service",
    "nested": "nested",
    "cached_share": f"{_zero('usage.cached_tokens')} / nullif({CACHEABLE}, 0)",
}


def _of_semconv(attribute: semconv.Attribute) -> str:
    path = attribute.field or ""
    seconds = path == "created" or (attribute.unit == "s" and not attribute.nanoseconds)
    # What 64 bits have no room for is not a time, as in `fields.nanoseconds`.
    return f"TRY_CAST(CAST({path} AS DOUBLE) * 1e9 AS BIGINT)" if seconds else path


SQL: Final[Mapping[str, str]] = {
    **{word_of(a.field): _of_semconv(a) for a in semconv.FIELDS if a.field and a.field != "timeline_us"},
    **{f"share.{phase}": f"CASE WHEN duration_ns <> 0 THEN phases.{phase} / duration_ns END" for phase in PHASE_NAMES},
    **_OWN,
}
"""Of each field of the vocabulary, by name."""

assert SQL.keys() >= {field.name for field in FIELDS}


def sql_of(field: Field, parameters: Parameters) -> str:
    """Return the value of a field."""
    if field.name.startswith(TAG):
        tag = parameters.add(field.name.removeprefix(TAG))
        return f"list_filter(tags, lambda t: t[1] = {tag})[1][2]"
    return f"({SQL[field.name]})"


def condition_sql(condition: Condition, parameters: Parameters) -> str:
    """Return a condition, which is null where it is neither true nor false."""
    match condition:
        case Comparison():
            return _comparison(condition, parameters)
        case Known():
            value = sql_of(condition.field, parameters)
            known = f"len({value}) > 0" if condition.field.kind == "texts" else f"{value} IS NOT NULL"
            return known if condition.known else f"NOT ({known})"
        case Flag():
            return sql_of(condition.field, parameters)
        case Junction():
            return f"({f' {condition.word.upper()} '.join(condition_sql(p, parameters) for p in condition.parts)})"
        case Negation():
            return f"(NOT {condition_sql(condition.part, parameters)})"


def _comparison(one: Comparison, parameters: Parameters) -> str:
    left = sql_of(one.field, parameters)
    if one.field.kind in {"text", "texts"}:
        return _text(one, left, parameters)
    right = sql_of(one.other, parameters) if one.other else _value(one.value, parameters)
    return f"({left} {'<>' if one.sign == '!=' else one.sign} {right})"


def _value(value: object, parameters: Parameters) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"CAST({value:d} AS BIGINT)"
    return parameters.add(float(value) if isinstance(value, float) else str(value))


def _text(one: Comparison, left: str, parameters: Parameters) -> str:
    """An absent text is equal to none and contains none; of a list any has to fit."""
    right = sql_of(one.other, parameters) if one.other else parameters.add(str(one.value))
    texts = left if one.field.kind == "texts" else f"[{left}]"
    wanted = right if one.other and one.other.kind == "texts" else f"[{right}]"
    if one.sign in {"~", "!~"}:
        inside = f"lambda w: contains({without_case('t')}, {without_case('w')})"
        fits = f"len(list_filter({texts}, lambda t: len(list_filter({wanted}, {inside})) > 0)) > 0"
    elif texts is left or wanted is right:
        fits = f"list_has_any({texts}, {wanted})"
    else:
        fits = f"{left} = {right}"
    fits = f"coalesce({fits}, false)"
    return f"(NOT {fits})" if one.sign.startswith("!") else fits


def without_case(text: str) -> str:
    """Return a text in lower case, as `conditions.without_case` has it."""
    return f"replace(lower({text}), '{FINAL_SIGMA}', '{SIGMA}')"


# What the rules need of a request, as `rules.measure` has it; 0 where a phase did not happen.

_RETRY: Final = _zero("phases.retry")


def _opened(attempt: int) -> str:
    return _sum(_zero(f"attempts[{attempt}].connect_ns"), _zero(f"attempts[{attempt}].tls_ns"))


_RETRIES_COST: Final = (
    f"CASE WHEN {_RETRY} = 0 OR len(attempts) = 0 THEN {_RETRY} "
    f"ELSE {_RETRY} - least({_RETRY}, greatest(0, {_opened(1)} - {_opened(-1)})) END"
)
_RECEIVED: Final = _sum(_zero("phases.receive"), _zero("phases.generate"))
_IS_LEAST: Final = f"({_zero('phases.consume')} > {_zero('caller_delay_ns')} AND ({REPORTED_NS}) IS NULL)"

MEASURED: Final[tuple[Mapping[str, str], ...]] = (
    {
        "duration": "duration_ns",
        "completed": "coalesce(outcome = 'completed', false)",
        "tokens": "usage.output_tokens",
        "reported": "(usage.prompt_time IS NOT NULL OR usage.queue_time IS NOT NULL)",
        **{phase: _zero(f"phases.{phase}") for phase in ("queue", "pool_wait", "prepare", "send", "finish", "network")},
        "missed_prefill": _MISSED_PREFILL,
        "retries": _RETRIES_COST,
        "cold_connection": _sum(_zero("phases.connect"), _zero("phases.tls")),
        "caller": _zero("caller_delay_ns"),
        "caller_is_least": _IS_LEAST,
        "tool_call": _zero("list_max(list_transform(tool_calls, lambda c: coalesce(c.assembly_ns, 0)))"),
        "received": _sum(*(_zero(f"phases.{phase}") for phase in ("receive", "generate", "consume"))),
        "generated": f"coalesce({whole(f'({TPOT}) * usage.output_tokens * 1e9')}, {_RECEIVED})",
    },
    {
        "prefill": f"{_zero('phases.prefill')} - missed_prefill",
        "stall": (
            f"CASE WHEN icl_max_ns IS NULL OR icl_max_ns < {rules.STALL_NS} "
            f"OR icl_max_ns < {rules.STALL_TIMES_MEDIAN} * {_wide(_zero('icl_p50_ns'))} "
            f"OR tool_call >= {number(rules.SAME_GAP)} * icl_max_ns THEN 0 ELSE icl_max_ns END"
        ),
        "reasoning": (
            "least(received, CASE "
            "WHEN ttfrt_ns IS NOT NULL AND ttfot_ns IS NOT NULL THEN greatest(0, ttfot_ns - ttfrt_ns) "
            "WHEN usage.reasoning_tokens <> 0 AND usage.output_tokens <> 0 THEN "
            f"{whole('generated * least(CAST(1 AS DOUBLE), usage.reasoning_tokens / usage.output_tokens)')} "
            "WHEN ttfrt_ns IS NOT NULL AND last_chunk_ns IS NOT NULL THEN greatest(0, last_chunk_ns - ttfrt_ns) "
            "ELSE 0 END)"
        ),
    },
    {"generation": "greatest(0, least(generated, received - stall - tool_call) - reasoning)"},
)
"""Each group needs the columns of those before it. `missed_prefill` is `cache_miss` there: the record has one too."""
