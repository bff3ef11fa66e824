"""Sets up providers with logfire, using our exporters instead of its own."""

import os
from typing import Any, Final, Literal

import logfire
from logfire import AdvancedOptions, MetricsOptions, SamplingOptions, ScrubbingOptions, ScrubMatch
from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View

from groqscope import semconv
from groqscope.configuration import pipelines
from groqscope.configuration.settings import Settings
from groqscope.telemetry import run_metrics

_ENDPOINTS: Final = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
)

_FREE_TEXT: Final = frozenset({semconv.STREAM_ERROR, semconv.STOP_SEQUENCES, semconv.TOOL_CALL_ARGUMENTS})
"""Attributes with free text, which are scrubbed like all others."""
_FIXED_FORM: Final = (
    frozenset(
        attribute.name
        for attributes in (
            semconv.FIELDS,
            semconv.DERIVED,
            semconv.USAGE_BREAKDOWN,
            *(event.attributes for event in semconv.EVENTS),
        )
        for attribute in attributes
    )
    - _FREE_TEXT
)


def configure(
    settings: Settings, service_name: str | None, scrubbing: ScrubbingOptions | Literal[False] | None
) -> bool:
    """Set up logfire's providers; return whether they also send to logfire's cloud."""
    processors = [*pipelines.span_processors(settings), run_metrics()]
    readers = pipelines.metric_readers(settings)
    logs = pipelines.log_processors(settings)
    with settings.environment.presented(hidden=_ENDPOINTS):  # with an endpoint, logfire would add its own exporters
        instance = logfire.configure(
            send_to_logfire=_send_to_logfire(),
            service_name=service_name,
            console=False,
            additional_span_processors=processors,
            metrics=MetricsOptions(additional_readers=readers, views=_views()),
            scrubbing=_scrubbing(scrubbing),
            sampling=_sampling(settings),
            # Baggage may contain personal data.
            add_baggage_to_attributes=False,
            distributed_tracing=None if os.environ.get("LOGFIRE_DISTRIBUTED_TRACING") else True,
            advanced=_advanced(settings, logs),
        )
    return bool(instance.config.token)


def _advanced(settings: Settings, logs: list[LogRecordProcessor]) -> AdvancedOptions:
    options = AdvancedOptions(log_record_processors=logs, emit_configuration_span=False)
    if settings.id_generator is not None:
        options.id_generator = settings.id_generator
    return options


def _send_to_logfire() -> Literal[False, "if-token-present"]:
    """Send to logfire only with a token, and never if the user set `LOGFIRE_SEND_TO_LOGFIRE` to no."""
    value = os.environ.get("LOGFIRE_SEND_TO_LOGFIRE", "").strip().lower()
    return False if value in {"false", "0", "f", "no", "n", "off"} else "if-token-present"


def _sampling(settings: Settings) -> SamplingOptions | None:
    """Leave `OTEL_TRACES_SAMPLER` to the SDK, because logfire reads only `OTEL_TRACES_SAMPLER_ARG`."""
    if settings.sampler is not None:
        return SamplingOptions(head=settings.sampler)
    return SamplingOptions(head=1.0) if settings.environment.text("OTEL_TRACES_SAMPLER") else None


def _views() -> list[View]:
    """Return logfire's views except the one that makes every histogram exponential: ours have explicit buckets."""
    return [
        view
        for view in MetricsOptions.DEFAULT_VIEWS
        if not isinstance(view._aggregation, ExponentialBucketHistogramAggregation)  # noqa: SLF001 - views have no getter
    ]


def _scrubbing(given: ScrubbingOptions | Literal[False] | None) -> ScrubbingOptions | Literal[False]:
    """Return the user's options with our fixed-format attributes exempt; the user's callback applies to all others."""
    if given is False:
        return False
    options = given or ScrubbingOptions()
    callback = options.callback

    def exempt(match: ScrubMatch) -> Any:
        if _is_ours(match.path):
            return match.value
        return callback(match) if callback is not None else None

    return ScrubbingOptions(callback=exempt, extra_patterns=options.extra_patterns)


def _is_ours(path: tuple[str | int, ...]) -> bool:
    match path:
        case ("attributes", str() as name, *_) | ("otel_events", int(), "attributes", str() as name, *_):
            return name in _FIXED_FORM
        case _:
            return False
