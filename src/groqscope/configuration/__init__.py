"""`configure()`: providers, processors and exporters from logfire and the `OTEL_*` variables.

    Configuration        where telemetry goes
    ConfigurationError   a ValueError: an argument that cannot be used, by name and value

What an application or logfire set before stays. Nothing is sent to logfire's cloud unless a logfire token is present.
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
from groqscope.configuration.errors import ConfigurationError
from groqscope.configuration.signals import LEAVE_S, before_termination, on_sigterm

if TYPE_CHECKING:
    from logfire import ScrubbingOptions

    from groqscope.configuration.environment import Environment
    from groqscope.configuration.settings import Settings
    from groqscope.delivery import OtlpSender

__all__ = [
    "Configuration",
    "ConfigurationError",
    "before_termination",
    "configure",
    "flush",
    "otlp_sender",
    "shutdown",
]

_logger = logging.getLogger("groqscope")
_lock = threading.Lock()
_current: "Configuration | None" = None
_provider: object = None
"""The tracer provider that we set; the API allows it once per process."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Where telemetry goes."""

    status: Literal["configured", "existing", "disabled"]
    """`existing`: the application's own providers are used and nothing was added. `disabled`: by
    `OTEL_SDK_DISABLED`, or by the configuration file."""
    service_name: str | None = None
    endpoint: str | None = None
    """Where spans are sent over OTLP; `None` when they are not."""
    protocol: str | None = None
    directory: Path | None = None
    """The local store; `None` when nothing is written to it."""
    exporters: tuple[str, ...] = ()
    """Of spans: `otlp`, `local`, `console`, `none`, or the name under which a package registered one."""
    logfire: bool = False
    """Whether a logfire token is present, so that telemetry goes to logfire's cloud too."""
    config_file: Path | None = None
    """The file of declarative configuration that was used in place of everything else (`OTEL_CONFIG_FILE`)."""
    problems: tuple[str, ...] = ()
    """A sentence for each variable that could not be used as it was."""


def configure(
    *,
    service_name: str | None = None,
    endpoint: str | None = None,
    protocol: str | None = None,
    headers: Mapping[str, str] | None = None,
    directory: Path | str | None = None,
    scrubbing: "ScrubbingOptions | Literal[False] | None" = None,
) -> Configuration:
    """Set up tracing and metrics; say where they go.

    All settings come from the `OTEL_*` variables; an argument goes before its variable. Without an endpoint telemetry
    goes to the local store. Where providers are set already they stay and nothing is added; a second call changes
    nothing. A variable that cannot be used is logged once and passed over.

    Args:
        service_name: `OTEL_SERVICE_NAME`.
        endpoint: `OTEL_EXPORTER_OTLP_ENDPOINT`, without `/v1/traces`; the variables of single signals then do not
            count.
        protocol: `OTEL_EXPORTER_OTLP_PROTOCOL`: `http/protobuf` (default), `http/json`, or `grpc`, which needs
            `groqscope[grpc]`.
        headers: Added to `OTEL_EXPORTER_OTLP_HEADERS`.
        directory: Write to this local store, whatever endpoint the variables name.
        scrubbing: Options of logfire's scrubber; attributes of fixed form stay as they are.

    Raises:
        ConfigurationError: an argument cannot be used.
    """
    global _current  # noqa: PLW0603 - providers are process-wide, and so is this
    arguments = (service_name, endpoint, protocol, headers, directory, scrubbing)
    with _lock:
        if _current is not None:
            if any(a is not None for a in arguments):
                log_once(
                    _logger,
                    logging.WARNING,
                    "groqscope is configured already; these settings change nothing: call shutdown() first.",
                )
            return _current
        from groqscope.configuration import settings
        from groqscope.configuration.environment import Environment

        if endpoint is not None and directory is not None:
            raise ConfigurationError(f"endpoint={endpoint!r} and directory={str(directory)!r}: give one of them")
        environment = Environment()
        if environment.boolean("OTEL_SDK_DISABLED"):
            return Configuration("disabled")
        with_file = environment.text("OTEL_CONFIG_FILE") is not None
        read = partial(settings.read, endpoint=endpoint, protocol=protocol, headers=headers, directory=directory)
        if with_file:
            read(environment=Environment({}))  # the arguments must be right all the same
            if not _has_providers(environment) and (told := _by_file(environment)) is not None:
                if any(a is not None for a in arguments):
                    sentence = "OTEL_CONFIG_FILE is set: the file is used, and these settings change nothing."
                    log_once(_logger, logging.WARNING, sentence)
                _current = told if told.status == "configured" else None
                return told
        chosen = read(environment=environment)
        if _has_providers(environment):
            level = logging.WARNING if any(a is not None for a in arguments) else logging.INFO
            log_once(
                _logger,
                level,
                "OpenTelemetry providers are set already: groqscope uses them as they are and adds nothing.",
            )
            return Configuration("existing")
        _check_directory(chosen)
        with environment.presented():
            _current = _set_up(chosen, service_name, scrubbing)
        return _current


def otlp_sender(
    signal: Literal["traces", "metrics", "logs"],
    *,
    endpoint: str | None = None,
    protocol: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> "OtlpSender":
    """Make what sends one signal to the endpoint that arguments and variables name; `groqscope push` uses it.

    Raises:
        ConfigurationError: an argument cannot be used, there is no endpoint, or the protocol is gRPC.
    """
    from groqscope.configuration import pipelines, settings

    destination = settings.destination(signal, endpoint=endpoint, protocol=protocol, headers=headers)
    return pipelines.sender_for(destination, signal)


def flush(timeout: float = 30.0) -> bool:
    """Export what has ended, spans first; whether it was done within so many seconds. Metrics get one at the least."""
    from opentelemetry import metrics, trace

    from groqscope.telemetry import worker

    worker.drain()
    deadline = time.monotonic() + timeout
    spans = _flushed(trace.get_tracer_provider(), timeout)
    return _flushed(metrics.get_meter_provider(), max(1.0, deadline - time.monotonic())) and spans


def shutdown(timeout: float = 30.0) -> bool:
    """Export what has ended and close; whether it was done within so many seconds. Providers of others are left alone.

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

    from groqscope.configuration import logfire_setup
    from groqscope.store.address import without_password

    with_logfire, name = logfire_setup.configure(settings, service_name, scrubbing)
    _provider = trace.get_tracer_provider()
    on_sigterm(_leave)
    destination = settings.traces.destination
    return Configuration(
        "configured",
        service_name=name,
        endpoint=without_password(destination.endpoint) if destination else None,
        protocol=destination.protocol if destination else None,
        directory=settings.directory,
        exporters=settings.traces.exporters,
        logfire=with_logfire,
        problems=tuple(settings.environment.problems),
    )


def _by_file(environment: "Environment") -> Configuration | None:
    """Set up by declarative configuration; `None` when the file cannot be used."""
    environment.only_installed("OTEL_PROPAGATORS", "opentelemetry_propagator", known=("none",))
    with environment.presented():
        from groqscope.configuration import declarative

        told = declarative.configure(environment)
        if told is None:
            return None
        if not told:
            return Configuration("disabled", problems=tuple(environment.problems))
        on_sigterm(_leave)
        _, path = environment.text(declarative.VARIABLE) or ("", "")
        return Configuration(
            "configured",
            service_name=declarative.service_name(),
            config_file=Path(path),
            problems=tuple(environment.problems),
        )


def _flushed(provider: Any, seconds: float) -> bool:
    try:
        return not hasattr(provider, "force_flush") or provider.force_flush(int(seconds * 1000)) is not False
    except Exception:  # noqa: BLE001 - the SDK's meter provider raises when the time is over
        return False


def _leave() -> None:
    """Export what has ended; what is still on its way after some seconds waits on disk for the next process."""
    from groqscope.configuration import pipelines

    flush(LEAVE_S - 2)
    for sender in tuple(pipelines.senders):
        sender.close(0)


def _has_providers(environment: "Environment") -> bool:
    """Whether somebody else set a tracer provider; one that we set and shut down is ours to fill again."""
    with environment.presented():
        from opentelemetry import trace

        provider: Any = trace.get_tracer_provider()
    return not isinstance(provider, trace.ProxyTracerProvider) and provider is not _provider


def _check_directory(settings: "Settings") -> None:
    if settings.directory is None:
        return
    from groqscope.store.directory import make_private, say_not_written

    try:
        make_private(settings.directory)
        if not os.access(settings.directory, os.W_OK | os.X_OK):
            raise PermissionError(13, os.strerror(13))
    except OSError as error:
        if settings.own_directory:
            raise ConfigurationError(
                f"{settings.directory}: the local store cannot be written there: {error.strerror or error}; "
                "give another directory"
            ) from error
        say_not_written(settings.directory, error)
