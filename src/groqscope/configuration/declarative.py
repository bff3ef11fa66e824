"""`OTEL_CONFIG_FILE`: OpenTelemetry's declarative configuration, done by the package that OpenTelemetry has for it."""

import logging
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

from opentelemetry import _logs, metrics, trace

from groqscope import semconv
from groqscope.configuration.environment import Environment

VARIABLE: Final = "OTEL_CONFIG_FILE"


def configure(environment: Environment) -> bool | None:
    """Set up what the file says; whether it says anything, or `None` when it cannot be used, which is said once."""
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
                told: Any = load_config_file(path)
            if "${env:" in repr(told):  # it would be taken literally
                raise ValueError("the installed opentelemetry-configuration does not know ${env:NAME}: write ${NAME}")
            configure_sdk(told)
        except Exception as error:  # noqa: BLE001 - whatever the file says that this version cannot do
            why = " ".join(str(error).split()) or type(error).__name__
        else:
            return not told.disabled
    environment.note(VARIABLE, path, f"{why}; the other OTEL_* variables are used instead")
    return None


@contextmanager
def _quiet() -> Generator[None]:
    """Leave it to us to say why a file cannot be read: the package logs it too, with a traceback."""
    logger = logging.getLogger("opentelemetry.configuration")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def service_name() -> str | None:
    """Return the name of the service in the file's resource."""
    resource: Any = getattr(trace.get_tracer_provider(), "resource", None)
    return resource.attributes.get(semconv.SERVICE_NAME) if resource is not None else None


def shutdown(timeout: float) -> bool:
    """Export what has ended and close the providers; whether it was done within so many seconds."""
    deadline = time.monotonic() + timeout
    for provider in (trace.get_tracer_provider(), metrics.get_meter_provider(), _logs.get_logger_provider()):
        close: Any = getattr(provider, "shutdown", None)
        if close is not None:
            close()
    return time.monotonic() <= deadline
