"""`OTEL_CONFIG_FILE`: OpenTelemetry's declarative configuration, by the package opentelemetry-configuration."""

import logging
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

from opentelemetry import _logs, metrics, trace

from groqscope.configuration.environment import Environment
from groqscope.telemetry import run_metrics

VARIABLE: Final = "OTEL_CONFIG_FILE"


def configure(environment: Environment) -> bool | None:
    """Set up from the file; return whether it enables the SDK, or `None` (logged once) if it cannot be used."""
    _, path = environment.text(VARIABLE) or ("", "")
    try:
        from opentelemetry.configuration import (  # pyright: ignore[reportMissingTypeStubs]
            configure_sdk,
            load_config_file,
        )
    except ImportError:
        why = "declarative configuration is not installed (pip install opentelemetry-configuration)"
    else:
        try:
            with _quiet():
                config: Any = load_config_file(path)
            if "${env:" in repr(config):  # it would be used literally
                raise ValueError("the installed opentelemetry-configuration does not know ${env:NAME}: write ${NAME}")
            configure_sdk(config)
        except Exception as error:  # noqa: BLE001 - the file may ask for anything that this version lacks
            why = " ".join(str(error).split()) or type(error).__name__
        else:
            provider: Any = trace.get_tracer_provider()
            if not config.disabled and hasattr(provider, "add_span_processor"):
                provider.add_span_processor(run_metrics())
            return not config.disabled
    environment.note(VARIABLE, path, f"{why}; the other OTEL_* variables are used instead")
    return None


@contextmanager
def _quiet() -> Generator[None]:
    """Silence the package, which logs a traceback for an unreadable file: we log the reason ourselves."""
    logger = logging.getLogger("opentelemetry.configuration")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def shutdown(timeout: float) -> bool:
    """Export everything and shut down the providers; return whether that finished within the timeout."""
    deadline = time.monotonic() + timeout
    for provider in (trace.get_tracer_provider(), metrics.get_meter_provider(), _logs.get_logger_provider()):
        close: Any = getattr(provider, "shutdown", None)
        if close is not None:
            close()
    return time.monotonic() <= deadline
