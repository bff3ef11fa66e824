"""Reads spans of other instrumentations, as far as they follow the GenAI conventions."""

from collections.abc import Mapping
from typing import Any, Final

from groqscope import codec, semconv
from groqscope.codec import Warn
from groqscope.timeline import RequestRecord

_READ: Final = frozenset(a.name for a in semconv.FIELDS if not a.name.startswith(("groqscope.", "groq.")))


def is_inference(attributes: Mapping[str, Any]) -> bool:
    """Return whether a span of another library with these attributes is an inference of Groq."""
    provider = attributes.get(semconv.PROVIDER_NAME) or attributes.get(semconv.SYSTEM)
    operation = attributes.get(semconv.OPERATION_NAME) or attributes.get(semconv.LLM_REQUEST_TYPE)
    return str(provider).lower() == semconv.PROVIDER and operation in semconv.INFERENCES


def foreign_record(
    attributes: Mapping[str, Any],
    *,
    start_unix_ns: int,
    duration_ns: int,
    trace_id: str | None = None,
    span_id: str | None = None,
    service: str | None = None,
    failed: bool = False,
    warn: Warn = lambda _: None,
) -> RequestRecord:
    """Return a record from the attributes of the GenAI conventions, without phases, attempts or tool calls.

    Attributes of the wrong type are omitted, and reported to `warn`.
    """
    found: dict[str, Any] = {}
    for name, value in attributes.items():
        known = semconv.ALIASES.get(name, name)
        if known not in _READ or (known != name and known in attributes):
            continue
        if _fits(known, value):
            found[known] = value
        else:
            warn(f"{name}: expected {_TYPES[known]}, got {type(value).__name__}; omitted")
    operation = attributes.get(semconv.OPERATION_NAME) or attributes.get(semconv.LLM_REQUEST_TYPE)
    if isinstance(operation, str):
        found[semconv.OPERATION] = operation
    found[semconv.OUTCOME] = "error" if failed or semconv.ERROR_TYPE in found else "completed"
    return codec.decode(
        found,
        (),
        start_unix_ns=start_unix_ns,
        duration_ns=duration_ns,
        trace_id=trace_id,
        span_id=span_id,
        nested=False,
        service=service,
        warn=warn,
    )


def _fits(name: str, value: object) -> bool:
    expected = _TYPES[name]
    if expected == "string[]":
        return isinstance(value, tuple)
    if expected == "boolean" or isinstance(value, bool):
        return expected == "boolean" and isinstance(value, bool)
    return isinstance(value, str) if expected == "string" else isinstance(value, int | float)


_TYPES: Final = {a.name: a.type for a in semconv.FIELDS}
