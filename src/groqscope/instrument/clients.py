"""Which objects are clients of Groq's SDK, and the class that one moves to when it alone is observed.

Decided by `type(x)`: mocks and proxies claim another class to `isinstance`, and do not send requests themselves.
"""

from contextlib import suppress
from typing import Any, Final
from weakref import WeakValueDictionary

from groqscope.instrument import seam
from groqscope.instrument.scope import Scope
from groqscope.telemetry import Telemetry

_HOLDERS: Final = ("__wrapped__", "client", "_client")
"""Where objects that stand before a client (Instructor's, pydantic-ai's provider, proxies) hold it."""
_observed: WeakValueDictionary[tuple[type, Telemetry, bool], type] = WeakValueDictionary()
"""The classes that clients have moved to; one is shared by all clients that are observed alike, and goes with them."""


def is_client(target: Any) -> bool:
    """Return whether an object is a client of the SDK, or of a subclass; a mock or a proxy of one is not."""
    return issubclass(type(target), seam.CLIENTS)


def refusal(target: Any) -> str:
    """Return why `instrument(target)` cannot observe it, and what it takes."""
    if issubclass(type(target), type):
        return (
            f"instrument() takes a groq.Groq or groq.AsyncGroq client, got the class {_name(target)}: "
            "call instrument() without a client to observe every client of the process"
        )
    what = f"instrument() takes a groq.Groq or groq.AsyncGroq client, got an object of {_name(type(target))}"
    if type(target).__module__.startswith("unittest.mock"):
        return f"{what}: a mock sends no requests"
    for name in _HOLDERS:
        with suppress(Exception):  # whatever somebody else's attribute does
            if is_client(getattr(target, name)):
                return f"{what}: instrument the client in its `{name}`"
    return what


def observe(client: Any, telemetry: Telemetry, *, fast_path: bool) -> None:
    """Move a client to a subclass of its own class that is observed."""
    original = type(client)
    key = original, telemetry, fast_path
    observed = _observed.get(key)
    if observed is None:
        observed = type(
            original.__name__, (original,), {"__module__": original.__module__, "__doc__": original.__doc__}
        )
        observed.__qualname__ = original.__qualname__
        seam.install(observed, Scope(telemetry, fast_path=fast_path))
        _observed[key] = observed
    # Not the client's own `__setattr__`, which may refuse.
    object.__setattr__(client, "__class__", observed)


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
