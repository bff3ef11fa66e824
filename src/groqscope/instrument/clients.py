"""Recognises clients of the SDKs, and moves a client that is observed on its own to an observed subclass.

Recognised by `type(x)`: mocks and proxies pretend another class to `isinstance`, and send no requests themselves.
"""

import logging
from contextlib import suppress
from typing import Any, Final
from weakref import WeakValueDictionary

from groqscope.instrument import families, parameters, seam
from groqscope.instrument.hosts import Hosts, is_at
from groqscope.instrument.scope import Scope
from groqscope.telemetry import Telemetry

logger = logging.getLogger("groqscope")
_HOLDERS: Final = ("__wrapped__", "client", "_client")
"""Attributes in which wrappers of a client (Instructor's, pydantic-ai's provider, proxies) keep it."""
_observed: WeakValueDictionary[tuple[type, Telemetry, bool, Hosts, bool], type] = WeakValueDictionary()
"""The observed subclasses. Clients with the same settings share one, which lives as long as they do."""


def is_client(target: Any) -> bool:
    """Return whether an object is a client of the SDK, or of a subclass; a mock or a proxy of one is not."""
    return families.of(type(target)) is not None


def refusal(target: Any) -> str:
    """Return a message that says why `instrument(target)` cannot observe the target, and what to pass instead."""
    if issubclass(type(target), type):
        return (
            f"instrument() takes a client of groq or openai, got the class {_name(target)}: "
            "call instrument() without a client to observe all clients of the process"
        )
    what = f"instrument() takes a client of groq or openai, got an object of {_name(type(target))}"
    if type(target).__module__.startswith("unittest.mock"):
        return f"{what}: a mock sends no requests"
    for name in _HOLDERS:
        with suppress(Exception):  # a property may raise anything
            if is_client(getattr(target, name)):
                return f"{what}: instrument the client in its `{name}`"
    return what


def observe(client: Any, telemetry: Telemetry, *, fast_path: bool, hosts: Hosts, cache_doctor: bool) -> None:
    """Move a client to a subclass of its own class that is observed."""
    original = type(client)
    family = families.of(original) or families.GROQ
    if not family.groq_only and not is_at(client.base_url, hosts):
        logger.warning(
            "groqscope: this client of %s asks another host than Groq's, so its requests are not observed; "
            "name a host that passes them on to Groq: instrument(client, groq_hosts=[...])",
            family.package,
        )
    key = original, telemetry, fast_path, hosts, cache_doctor
    observed = _observed.get(key)
    if observed is None:
        observed = type(
            original.__name__, (original,), {"__module__": original.__module__, "__doc__": original.__doc__}
        )
        observed.__qualname__ = original.__qualname__
        seam.install(observed, scope := Scope(telemetry, fast_path, family, hosts, cache_doctor))
        if fast_path:
            parameters.install_on(observed, scope)
        _observed[key] = observed
    # Past the client's own `__setattr__`, which may refuse.
    object.__setattr__(client, "__class__", observed)
    parameters.adopt(client)


def forget(client: Any) -> None:
    """Move a client that `observe` moved back to its own class."""
    object.__setattr__(client, "__class__", type(client).__bases__[0])
    parameters.release(client)


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
