"""Somebody else's inference around a request, so that it is counted once: whose span it is, and what they measure.

Most libraries make their span current. Those that replace `create` of Groq's SDK do not, or write nothing on it before
the answer is there; theirs is found where it is, in the call that waits for ours.
"""

import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any, Final, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span

from groqscope import semconv

INFERENCE: Final = frozenset({"chat", "text_completion", "generate_content", "embeddings"})
"""Operations that are an inference."""
_OLDER: Final = frozenset({"chat", "completion"})
"""What OpenLLMetry calls them where it writes older names."""

_UTIL_GENAI: Final = "opentelemetry.genai.client.inference.context"
_DURATION, _TOKENS, _TTFC, _TPOC, _COST = (
    metric.name
    for metric in (
        semconv.METRIC_DURATION,
        semconv.METRIC_TOKENS,
        semconv.METRIC_TTFC,
        semconv.METRIC_TPOC,
        semconv.METRIC_COST,
    )
)
_AGENT: Final = frozenset({_TOKENS, _TTFC, _COST})
"""What pydantic-ai measures (its cost is called `operation.cost`); taken for whoever is not known."""
_OPENTELEMETRY: Final = frozenset({_DURATION, _TOKENS, _TTFC, _TPOC})
_OPENLLMETRY: Final = frozenset({_DURATION, _TOKENS})
_OPENLIT: Final = frozenset({_DURATION, _TOKENS, _TTFC, _TPOC, _COST})
_WRAPPERS: Final[Mapping[str, frozenset[str]]] = {
    "opentelemetry.instrumentation.groq": _OPENLLMETRY,
    "openlit.instrumentation.groq.groq": _OPENLIT,
    "openlit.instrumentation.groq.async_groq": _OPENLIT,
}
"""Modules whose functions hold their span, in a variable `span`, while they wait for the SDK."""
_FRAMES: Final = 20
"""How far up the call they are looked for: `create` is some ten calls above."""


class Around(NamedTuple):
    """An inference around a request."""

    span: Span
    left: frozenset[str]
    """Names of the metrics that are recorded there, and so not here."""


def around(context: Context) -> Around | None:
    """Find somebody else's inference around the call."""
    modules = sys.modules
    # Where neither is used, this is all that they cost.
    if "opentelemetry.instrumentation.groq" in modules or "openlit.instrumentation.groq" in modules:
        return _waiting() or _current(context)
    return _current(context)


def _current(context: Context) -> Around | None:
    span = trace.get_current_span(context)
    if otel_context.get_value(_UTIL_GENAI, context) is not None:
        return Around(span, _OPENTELEMETRY)
    attributes: Any = getattr(span, "attributes", None) or {}
    if not span.is_recording() or semconv.RECORD in attributes:
        return None
    if attributes.get("openinference.span.kind") == "LLM":
        return Around(span, frozenset())
    if attributes.get(semconv.OPERATION_NAME) in INFERENCE or attributes.get("llm.request.type") in _OLDER:
        scope: Any = getattr(span, "instrumentation_scope", None)
        openllmetry = str(getattr(scope, "name", "")).startswith("opentelemetry.instrumentation.")
        return Around(span, _OPENLLMETRY if openllmetry else _AGENT)
    return None


def _waiting() -> Around | None:
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - what `inspect` would give, without reading sources
    for _ in range(_FRAMES):
        if frame is None:
            break
        left = _WRAPPERS.get(frame.f_globals.get("__name__", ""))
        if left is not None:
            span = frame.f_locals.get("span")
            if isinstance(span, Span) and span.get_span_context().is_valid:
                return Around(span, left)
        frame = frame.f_back
    return None
