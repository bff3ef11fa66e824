"""`configure()`: providers, processors and exporters from logfire and the `OTEL_*` variables.

    Configuration        where telemetry goes
    ConfigurationError   a ValueError for an invalid argument; its message has the argument's name and value

Providers that the application or logfire set before are kept. Nothing is sent to logfire's cloud without a logfire
token.
"""

import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from groqscope._diagnostics import log_once
from groqscope._termination import LEAVE_S, on_sigterm
from groqscope.configuration.environment import ConfigurationError, Environment

if TYPE_CHECKING:
    from logfire import ScrubbingOptions

    from groqscope.configuration.settings import Settings
    from groqscope.delivery import OtlpSender, Signal

__all__ = ["Configuration", "ConfigurationError", "Environment", "configure", "flush", "otlp_sender", "shutdown"]

_logger = logging.getLogger("groqscope")
_lock = threading.Lock()
_current: "Configuration | None" = None
_provider: object = None
"""The tracer provider that groqscope set; the API allows setting it once per process."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Where telemetry goes."""

    status: Literal["configured", "existing", "disabled"]
    """`existing`: the application's own providers are used, unchanged. `disabled`: by `OTEL_SDK_DISABLED`, or by the
    configuration file."""
    service_name: str | None = None
    endpoint: str | None = None
    """The OTLP endpoint of spans; `None` when they are not sent over OTLP."""
    protocol: str | None = None
    directory: Path | None = None
    """The directory of the local store; `None` when nothing is written to it."""
    exporters: tuple[str, ...] = ()
    """The exporters of spans: `otlp`, `local`, `console`, `none`, or the registered name of another package's."""
    logfire: bool = False
    """Whether a logfire token is present, so that telemetry is also sent to logfire's cloud."""
    config_file: Path | None = None
    """The declarative configuration file that was used instead of all other settings (`OTEL_CONFIG_FILE`)."""
    problems: tuple[str, ...] = ()
    """A sentence for each variable that was ignored or changed."""


def configure(
    *,
    service_name: str | None = None,
    endpoint: str | None = None,
    protocol: str | None = None,
    headers: Mapping[str, str] | None = None,
    directory: Path | str | None = None,
    scrubbing: "ScrubbingOptions | Literal[False] | None" = None,
) -> Configuration:
    """Set up tracing and metrics, and return where they are exported to.

    All settings come from the `OTEL_*` variables; an argument overrides its variable. Without an endpoint, telemetry is
    written to the local store. Existing providers are kept unchanged, and a second call has no effect. An invalid
    variable is logged once and ignored.

    Args:
        service_name: `OTEL_SERVICE_NAME`.
        endpoint: `OTEL_EXPORTER_OTLP_ENDPOINT`, without `/v1/traces`; it also overrides the variables of single
            signals.
        protocol: `OTEL_EXPORTER_OTLP_PROTOCOL`: `http/protobuf` (default), `http/json`, or `grpc`, which needs
            `groqscope[grpc]`.
        headers: Added to `OTEL_EXPORTER_OTLP_HEADERS`.
        directory: Write to this local store, even if the variables name an endpoint.
        scrubbing: Options of logfire's scrubber; attributes with a fixed format are never scrubbed.

    Raises:
        ConfigurationError: an argument is invalid.
    """
    global _current  # noqa: PLW0603 - providers are process-wide, and so is this
    arguments = (service_name, endpoint, protocol, headers, directory, scrubbing)
    with _lock:
        if _current is not None:
            if any(a is not None for a in arguments):
                log_once(
                    _logger, "groqscope is configured already; these settings have no effect: call shutdown() first."
                )
            return _current
        from groqscope.configuration import settings

        if endpoint is not None and directory is not None:
            raise ConfigurationError(f"endpoint={endpoint!r} and directory={str(directory)!r}: give one of them")
        environment = Environment()
        if environment.boolean("OTEL_SDK_DISABLED"):
            return Configuration("disabled")
        with_file = environment.text("OTEL_CONFIG_FILE") is not None
        read = partial(settings.read, endpoint=endpoint, protocol=protocol, headers=headers, directory=directory)
        if with_file:
            read(environment=Environment({}))  # invalid arguments are errors in this case too
            if not _has_providers(environment) and (by_file := _by_file(environment)) is not None:
                if any(a is not None for a in arguments):
                    sentence = "OTEL_CONFIG_FILE is set: the file is used, and these settings have no effect."
                    log_once(_logger, sentence)
                _current = by_file if by_file.status == "configured" else None
                return by_file
        chosen = read(environment=environment)
        if _has_providers(environment):
            log_once(
                _logger,
                "OpenTelemetry providers are set already: groqscope uses them unchanged. For metrics of runs, add "
                "groqscope.run_metrics() to the span processors of yours.",
                level=logging.WARNING if any(a is not None for a in arguments) else logging.INFO,
            )
            return Configuration("existing")
        _check_directory(chosen)
        with environment.presented():
            _current = _set_up(chosen, service_name, scrubbing)
        return _current


def otlp_sender(
    signal: "Signal",
    *,
    endpoint: str | None = None,
    protocol: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> "OtlpSender":
    """Return a sender for one signal to the configured endpoint; `groqscope push` uses it.

    Raises:
        ConfigurationError: an argument is invalid, there is no endpoint, or the protocol is gRPC.
    """
    from groqscope.configuration import pipelines, settings

    destination = settings.destination(signal, endpoint=endpoint, protocol=protocol, headers=headers)
    return pipelines.sender_for(destination, signal)


def flush(timeout: float = 30.0) -> bool:
    """Export spans, then metrics; return whether that finished within the timeout. Metrics get at least one second."""
    from opentelemetry import metrics, trace

    from groqscope.telemetry import worker

    worker.drain()
    deadline = time.monotonic() + timeout
    spans = _flushed(trace.get_tracer_provider(), timeout)
    return _flushed(metrics.get_meter_provider(), max(1.0, deadline - time.monotonic())) and spans


def shutdown(timeout: float = 30.0) -> bool:
    """Export everything and shut down our providers; return whether that finished within the timeout.

    Afterwards `configure()` may be called again.
    """
    global _current
    with _lock:
        if _current is None:
            return True
        from groqscope.telemetry import worker

        worker.drain()
        by_file, _current = _current.config_file is not None, None
        if by_file:
            from groqscope.configuration import declarative

            return declarative.shutdown(timeout)
        import logfire

        return logfire.shutdown(int(timeout * 1000))


def _set_up(
    settings: "Settings", service_name: str | None, scrubbing: "ScrubbingOptions | Literal[False] | None"
) -> Configuration:
    global _provider  # noqa: PLW0603 - as in configure
    from opentelemetry import trace

    from groqscope._exchange import without_password
    from groqscope.configuration import logfire_setup

    with_logfire = logfire_setup.configure(settings, service_name, scrubbing)
    _provider = trace.get_tracer_provider()
    on_sigterm(_leave)
    destination = settings.traces.destination
    return Configuration(
        "configured",
        service_name=_service_name(),
        endpoint=without_password(destination.endpoint) if destination else None,
        protocol=destination.protocol if destination else None,
        directory=settings.directory,
        exporters=settings.traces.exporters,
        logfire=with_logfire,
        problems=tuple(settings.environment.problems),
    )


def _by_file(environment: "Environment") -> Configuration | None:
    """Set up from the declarative configuration file; return `None` if it cannot be used."""
    environment.only_installed("OTEL_PROPAGATORS", "opentelemetry_propagator", known=("none",))
    with environment.presented():
        from groqscope.configuration import declarative

        enabled = declarative.configure(environment)
        if enabled is None:
            return None
        if not enabled:
            return Configuration("disabled", problems=tuple(environment.problems))
        on_sigterm(_leave)
        _, path = environment.text(declarative.VARIABLE) or ("", "")
        return Configuration(
            "configured", service_name=_service_name(), config_file=Path(path), problems=tuple(environment.problems)
        )


def _service_name() -> str | None:
    from opentelemetry import trace

    from groqscope import semconv

    resource: Any = getattr(trace.get_tracer_provider(), "resource", None)
    return None if resource is None else resource.attributes.get(semconv.SERVICE_NAME)


def _flushed(provider: Any, seconds: float) -> bool:
    try:
        return not hasattr(provider, "force_flush") or provider.force_flush(int(seconds * 1000)) is not False
    except Exception:  # noqa: BLE001 - the SDK's meter provider raises on timeout
        return False


def _leave() -> None:
    """Export at exit; what is not sent within some seconds stays on disk for the next process."""
    from groqscope.configuration import pipelines

    flush(LEAVE_S - 2)
    for sender in tuple(pipelines.senders):
        sender.close(0)


def _has_providers(environment: "Environment") -> bool:
    """Return whether the application set a tracer provider; one that we set and shut down can be reused."""
    with environment.presented():
        from opentelemetry import trace

        provider: Any = trace.get_tracer_provider()
    return not isinstance(provider, trace.ProxyTracerProvider) and provider is not _provider


def _check_directory(settings: "Settings") -> None:
    if settings.directory is None:
        return
    from groqscope.store import make_private, say_not_written

    try:
        make_private(settings.directory)
        if not os.access(settings.directory, os.W_OK | os.X_OK):
            raise PermissionError(13, os.strerror(13))
    except OSError as error:
        if settings.own_directory:
            raise ConfigurationError(
                f"{settings.directory}: cannot write the local store there: {error.strerror or error}; "
                "give another directory"
            ) from error
        say_not_written(settings.directory, error)
