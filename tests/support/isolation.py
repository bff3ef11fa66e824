"""The state that a process has only once, such as OpenTelemetry's providers: each test begins with a new one."""

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import logfire
import pytest
from logfire._internal import config as logfire_config
from opentelemetry import context, propagate, trace
from opentelemetry._logs import _internal as logs
from opentelemetry.metrics import _internal as metrics
from opentelemetry.util._once import Once

from groqscope import _diagnostics, configuration

_LOGGERS = ("", "groqscope", "groq", "httpx", "logfire", "opentelemetry")


@contextmanager
def as_in_a_new_process() -> Iterator[None]:
    """Begin as a new process does, and restore what was there; what OpenTelemetry lets be set once is set per test.

    A provider that the test set is shut down, so that none of its threads works on into another test.
    """
    with pytest.MonkeyPatch.context() as patch:
        for module, signal_name, proxy in (
            (trace, "TRACER", trace.ProxyTracerProvider),
            (metrics, "METER", metrics._ProxyMeterProvider),
            (logs, "LOGGER", logs.ProxyLoggerProvider),
        ):
            patch.setattr(module, f"_{signal_name}_PROVIDER", None)
            patch.setattr(module, f"_{signal_name}_PROVIDER_SET_ONCE", Once())
            patch.setattr(module, f"_PROXY_{signal_name}_PROVIDER", proxy())
        patch.setattr(propagate, "_HTTP_TEXT_FORMAT", propagate._HTTP_TEXT_FORMAT)
        patch.setattr(configuration, "_provider", None)
        patch.setattr(_diagnostics, "_logged", set())
        if (prompts := sys.modules.get("groqscope.instrument.prompts")) is not None:
            patch.setattr(prompts, "memory", prompts.Memory())
        try:
            yield
        finally:
            _shut_down()


def _shut_down() -> None:
    """Close what the test set for the whole process; logfire is as it is when imported."""
    if logfire_config.GLOBAL_CONFIG._has_set_providers:
        logfire.shutdown(flush=False)
        logfire_config.GLOBAL_CONFIG.__init__()
        made = vars(logfire.DEFAULT_LOGFIRE_INSTANCE)
        for name in [name for name in made if name.endswith(("_provider", "_meter", "_tracer"))]:
            del made[name]  # of the configuration that was
    else:
        set_by_the_test = trace._TRACER_PROVIDER, metrics._METER_PROVIDER, logs._LOGGER_PROVIDER
        for provider in set_by_the_test:
            if (close := getattr(provider, "shutdown", None)) is not None:
                close()


@contextmanager
def left_as_found() -> Iterator[None]:
    """Fail if what runs inside changes the process for good, in a way that cannot be taken back for it.

    Raises:
        AssertionError: something is not as before.
    """
    before = _state()
    yield
    after = _state()
    changed = [what for what, value in before.items() if value != after[what]]

    assert not changed, f"a test changed, and did not restore: {', '.join(changed)}"


def _state() -> dict[str, Any]:
    return {
        "the environment": dict(os.environ) | {"PYTEST_CURRENT_TEST": ""},
        "the working directory": Path.cwd(),
        "sys.path": list(sys.path),
        "the current OpenTelemetry context": dict(context.get_current()),
        "the configuration of groqscope": configuration._current,
        "signal handlers": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        **{f"the logger {name or 'root'}": _of_logger(logging.getLogger(name)) for name in _LOGGERS},
    }


def _of_logger(logger: logging.Logger) -> tuple[Any, ...]:
    return logger.level, logger.propagate, logger.disabled, tuple(logger.handlers), tuple(logger.filters)
