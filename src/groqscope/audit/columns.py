"""The vocabulary, the conditions and the measurements of the rules over columns: SQL in place of Python.

Each expression has the value that the Python beside it has for the same record (`fields`, `conditions`,
`rules.measure`); the tests compare them. What takes calculating is a column already (`history.measures`). What a user
writes travels as a parameter, never as a part of the query.
"""

from collections.abc import Mapping
from typing import Any, Final, Protocol

from groqscope import semconv
from groqscope.audit.conditions import FINAL_SIGMA, SIGMA, Comparison, Condition, Flag, Junction, Known, Negation
from groqscope.audit.fields import FIELDS, TAG, Field, word_of
from groqscope.history import ATTEMPTS, REPORTED_NS, total, zero
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


_WAIT: Final = ("phases.queue", "phases.prefill", "phases.network", "phases.generate")


def _texts(values: frozenset[str]) -> str:
    return ", ".join(f"'{value}'" for value in sorted(values))


_CACHING: Final = ", ".join(f"'{model}'" for model in sorted(CACHING_MODELS))
CACHEABLE: Final = (
    "CASE WHEN usage.cached_tokens IS NOT NULL OR cache_miss IS NOT NULL "
    f"OR coalesce(model IN ({_CACHING}), false) THEN usage.input_tokens END"
)
"""Input tokens, where the model caches prompts."""
IS_FAILED: Final = f"coalesce(outcome IN ({_texts(FAILED)}), false)"
IS_LEFT: Final = f"coalesce(outcome IN ({_texts(LEFT)}), false)"

_OWN: Final[Mapping[str, str]] = {
    "duration": "duration_ns",
    "start": "start_unix_ns",
    "tpot": "measured_tpot * 1e9",
    "throughput": "1 / nullif(measured_tpot, 0)",
    "tpot_source": (
        f"CASE WHEN measured_tpot IS NULL THEN NULL WHEN ({REPORTED_NS}) IS NULL THEN 'observed' ELSE 'reported' END"
    ),
    "wait": f"CASE WHEN coalesce({', '.join(_WAIT)}) IS NOT NULL THEN {total(*map(zero, _WAIT))} END",
    "retries": "measured_retries",
    "attempts": ATTEMPTS,
    "failed": IS_FAILED,
    "tool_calls": "measured_tool_calls",
    "tool": "list_transform(tool_calls, lambda c: coalesce(c.name, ''))",
    "invalid_tool_calls": "len(list_filter(tool_calls, lambda c: coalesce(NOT c.arguments_valid, false)))",
    "executed_tools": "list_transform(executed_tools, lambda t: t.type)",
    "inner_models": "list_transform(usage_models, lambda m: m.model)",
    "usage_deltas": total("len(usage_deltas)", "usage_deltas_dropped"),
    "trace_id": "trace_id",
    "span_id": "span_id",
    "tags": "list_transform(tags, lambda t: t[1] || '=' || t[2])",
    "service": "service",
    "nested": "nested",
    "cached_share": f"{zero('usage.cached_tokens')} / nullif({CACHEABLE}, 0)",
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


MEASURED: Final[Mapping[str, str]] = {
    "duration": "duration_ns",
    "completed": "coalesce(outcome = 'completed', false)",
    "tokens": "usage.output_tokens",
    "reported": "(usage.prompt_time IS NOT NULL OR usage.queue_time IS NOT NULL)",
    **{phase: zero(f"phases.{phase}") for phase in ("queue", "pool_wait", "prepare", "send", "finish", "network")},
    "cold_connection": total(zero("phases.connect"), zero("phases.tls")),
    "caller": zero("caller_delay_ns"),
    "caller_is_least": f"({zero('phases.consume')} > {zero('caller_delay_ns')} AND ({REPORTED_NS}) IS NULL)",
    "retries": "measured_retries_cost",
    "prefill": f"{zero('phases.prefill')} - measured_cache_miss",
    **{name: f"measured_{name}" for name in ("cache_miss", "stall", "reasoning", "tool_call", "generation")},
}
"""What the rules need of a request, as `rules.measure` has it; 0 where a phase did not happen."""
