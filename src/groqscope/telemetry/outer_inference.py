"""Find the inference span of another library that encloses a request, so that the inference is counted only once.

Most libraries make their span the current one. Those that wrap `create` of Groq's SDK do not, or set its attributes
only after the answer; their span is found in the local variables of the wrapper, further up the call stack.
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
from groqscope.semconv import INFERENCES

_OLDER: Final = frozenset({"chat", "completion"})
"""Values of `llm.request.type`, an older attribute that OpenLLMetry writes, that mean an inference."""

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
"""Metrics that pydantic-ai records (its cost is called `operation.cost`); also assumed for unknown libraries."""
_OPENTELEMETRY: Final = frozenset({_DURATION, _TOKENS, _TTFC, _TPOC})
_OPENLLMETRY: Final = frozenset({_DURATION, _TOKENS})
_OPENLIT: Final = frozenset({_DURATION, _TOKENS, _TTFC, _TPOC, _COST})
_WRAPPERS: Final[Mapping[str, frozenset[str]]] = {
    "opentelemetry.instrumentation.groq": _OPENLLMETRY,
    "openlit.instrumentation.groq.groq": _OPENLIT,
    "openlit.instrumentation.groq.async_groq": _OPENLIT,
}
"""Modules whose wrappers keep their span in a local variable `span` while they wait for the SDK."""
_MAX_FRAMES: Final = 20
"""How many stack frames are searched; the wrapper of `create` is about ten frames up."""


class OuterInference(NamedTuple):
    """The inference span of another library around a request."""

    span: Span
    metrics: frozenset[str]
    """Names of the metrics that the other library records, so that groqscope does not."""


def find_outer_inference(context: Context) -> OuterInference | None:
    """Return the inference of another library around this call; `None` if there is none."""
    modules = sys.modules
    # Walk the stack only if one of the two libraries is loaded.
    if "opentelemetry.instrumentation.groq" in modules or "openlit.instrumentation.groq" in modules:
        return _on_the_stack() or _in_context(context)
    return _in_context(context)


def _in_context(context: Context) -> OuterInference | None:
    span = trace.get_current_span(context)
    if otel_context.get_value(_UTIL_GENAI, context) is not None:
        return OuterInference(span, _OPENTELEMETRY)
    attributes: Any = getattr(span, "attributes", None) or {}
    if not span.is_recording() or semconv.RECORD in attributes:
        return None
    if attributes.get(semconv.OPENINFERENCE_KIND) == "LLM":
        return OuterInference(span, frozenset())
    if attributes.get(semconv.OPERATION_NAME) in INFERENCES or attributes.get(semconv.LLM_REQUEST_TYPE) in _OLDER:
        scope: Any = getattr(span, "instrumentation_scope", None)
        openllmetry = str(getattr(scope, "name", "")).startswith("opentelemetry.instrumentation.")
        return OuterInference(span, _OPENLLMETRY if openllmetry else _AGENT)
    return None


def _on_the_stack() -> OuterInference | None:
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - `inspect.currentframe` has no depth
    for _ in range(_MAX_FRAMES):
        if frame is None:
            break
        recorded = _WRAPPERS.get(frame.f_globals.get("__name__", ""))
        if recorded is not None:
            span = frame.f_locals.get("span")
            if isinstance(span, Span) and span.get_span_context().is_valid:
                return OuterInference(span, recorded)
        frame = frame.f_back
    return None
