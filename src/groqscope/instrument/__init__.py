"""The seam on Groq's clients: `instrument`, `uninstrument`, `record_of`, `on_record`, OpenTelemetry's instrumentor.

Importing this imports neither the SDK nor OpenTelemetry (0.6 s together), because the command line and the pytest
plugin import `groqscope` too and may need neither.
"""

import threading
import warnings
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack, overload

from groqscope import _lazy

if TYPE_CHECKING:
    from importlib.abc import MetaPathFinder

    from groq import AsyncGroq, Groq
    from openai import AsyncOpenAI, OpenAI
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from groqscope.instrument.hosts import Hosts
    from groqscope.instrument.instrumentor import GroqInstrumentor
    from groqscope.instrument.lifecycle import flush
    from groqscope.instrument.records import on_record
    from groqscope.instrument.seam import is_instrumented
    from groqscope.telemetry import ContentPolicy, Telemetry
    from groqscope.timeline import RequestRecord

__all__ = ["GroqInstrumentor", "flush", "instrument", "is_instrumented", "on_record", "record_of", "uninstrument"]

ClientT = TypeVar("ClientT", "Groq", "AsyncGroq", "OpenAI", "AsyncOpenAI")

__getattr__, __dir__ = _lazy.attach(
    __name__,
    {
        "instrumentor": ["GroqInstrumentor"],
        "lifecycle": ["flush"],
        "seam": ["is_instrumented"],
        "records": ["on_record"],
    },
)
_lock = threading.RLock()
"""Reentrant, because observing an SDK may import parts of it."""
_awaited: "MetaPathFinder | None" = None
"""The finder that waits for openai to be imported."""


class Options(TypedDict, total=False):
    """The settings that `instrument()` describes."""

    tracer_provider: "TracerProvider | None"
    meter_provider: "MeterProvider | None"
    fast_path: bool
    phase_spans: bool
    content: "ContentPolicy | None"
    groq_hosts: Iterable[str] | None
    cache_doctor: bool | None
    fast_decode: bool | None


@overload
def instrument(client: ClientT, **options: Unpack[Options]) -> ClientT: ...


@overload
def instrument(client: None = None, **options: Unpack[Options]) -> None: ...


def instrument(
    client: Any = None,
    *,
    tracer_provider: "TracerProvider | None" = None,
    meter_provider: "MeterProvider | None" = None,
    fast_path: bool = True,
    phase_spans: bool = True,
    content: "ContentPolicy | None" = None,
    groq_hosts: Iterable[str] | None = None,
    cache_doctor: bool | None = None,
    fast_decode: bool | None = None,
) -> Any:
    """Observe every Groq client of the process, or the one given (and its copies), which is returned.

    Clients of the openai SDK are observed in requests to Groq, also where openai is imported later; their requests to
    other hosts are not touched. Calling it again changes nothing: a client that is observed already is left as it is.

    Args:
        client: a `groq.Groq`, `groq.AsyncGroq`, `openai.OpenAI` or `openai.AsyncOpenAI`, or an instance of a subclass.
        tracer_provider: where spans go; the global provider when not given.
        meter_provider: where metrics go; the global provider when not given.
        fast_path: build chunks and completions by pydantic-core (equal objects, a tenth of the CPU time), and copy a
            request's parameters instead of comparing each with its type. `False` leaves both to the SDK.
        phase_spans: a child span per phase; the phases are on the record span in any case.
        content: whether prompts and answers are recorded; the conventions' environment variable decides when not given.
        groq_hosts: hosts beside `api.groq.com` at which the openai SDK reaches Groq, as a proxy or a gateway is: `host`
            or `host:port`. The environment variable `GROQSCOPE_HOSTS` (separated by commas) decides when not given.
        cache_doctor: remember salted hashes of prompts in this process, to find out why one was not cached. The
            environment variable `GROQSCOPE_CACHE_DOCTOR` (`off`) decides when not given.
        fast_decode: the former name of `fast_path`, for this release.

    Raises:
        TypeError: `client` is something else, a mock or a proxy of one included; the message says what to do.
        ValueError: one of `groq_hosts` is not a host.
    """
    global _awaited  # noqa: PLW0603 - the process is observed once
    from groqscope.instrument import clients, families, imports, prompts, seam
    from groqscope.instrument.hosts import hosts
    from groqscope.telemetry import shared_telemetry

    if client is not None and not clients.is_client(client):
        raise TypeError(clients.refusal(client))
    if fast_decode is not None:
        warnings.warn("instrument(fast_decode=…) is now called fast_path", DeprecationWarning, stacklevel=2)
        fast_path = fast_decode
    at, doctor = hosts(groq_hosts), prompts.wanted(cache_doctor)
    with _lock:
        targets = _client_classes() if client is None else (type(client),)
        if all(seam.is_instrumented(t) for t in targets):
            return client
        telemetry = shared_telemetry(tracer_provider, meter_provider, phase_spans=phase_spans, content=content)
        if client is not None:
            clients.observe(client, telemetry, fast_path=fast_path, hosts=at, cache_doctor=doctor)
            return client
        observe = partial(_observe, telemetry, fast_path=fast_path, at=at, cache_doctor=doctor)
        observe()
        if _awaited is None:
            _awaited = imports.when_imported(families.AWAITED, observe)
    return None


def _client_classes() -> tuple[type, ...]:
    from groqscope.instrument import families

    return tuple(cls for family in families.loaded() for cls in family.clients)


def _observe(telemetry: "Telemetry", *, fast_path: bool, at: "Hosts", cache_doctor: bool) -> None:
    """Observe the clients of every SDK that is imported."""
    from groqscope.instrument import families, parameters, seam
    from groqscope.instrument.scope import Scope

    with _lock:
        for family in families.loaded():
            scope = Scope(telemetry, fast_path, family, at, cache_doctor)
            for cls in family.clients:
                if not seam.is_instrumented(cls):
                    seam.install(cls, scope)
            if fast_path:
                parameters.install(scope)


def uninstrument(client: Any = None) -> None:
    """Undo `instrument`, for the process or for one client. Open streams are still observed."""
    global _awaited  # noqa: PLW0603 - as in `instrument`
    from groqscope.instrument import clients, imports, parameters, seam

    with _lock:
        if client is None:
            imports.forget(_awaited)
            _awaited = None
            for cls in _client_classes():
                seam.remove(cls)
            parameters.remove()
        elif "_groqscope_scope" in type(client).__dict__ and type(client) not in _client_classes():
            clients.forget(client)


def record_of(answer: Any) -> "RequestRecord | None":
    """Return the record of a completion, a stream (as of now, while it runs), a raw response, or an error of the SDK.

    `None` when the request was not observed. Nothing is stored on the SDK's objects.
    """
    from groqscope.instrument import records, seam

    request = seam.recorder_of(answer) or records.recall(answer)
    return None if request is None else request.record
