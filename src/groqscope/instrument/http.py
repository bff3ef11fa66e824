"""The HTTP libraries that the SDKs use: httpx, and httpx2, which has the same classes.

An object is compared with the classes of each library that is imported, so that a client can use either, and only httpx
is required.
"""

import sys
from types import ModuleType
from typing import Any, Final, TypeGuard

import httpx

_LIBRARIES: Final = ("httpx", "httpx2")
_known: dict[tuple[str, ...], tuple[type, ...]] = {}
"""Classes of every library, by their names, once all libraries are imported."""


def classes(*names: str) -> tuple[type, ...]:
    """Return the classes of these names in every HTTP library that is imported."""
    known = _known.get(names)
    if known is not None:
        return known
    imported = [module for library in _LIBRARIES if (module := sys.modules.get(library)) is not None]
    found = tuple(cls for module in imported for name in names if isinstance(cls := getattr(module, name, None), type))
    if len(found) == len(_LIBRARIES) * len(names):
        _known[names] = found
    return found


def is_response(value: object) -> TypeGuard[httpx.Response]:
    """Return whether a value is a response of one of the libraries."""
    return value is not None and isinstance(value, classes("Response"))


def is_request(value: object) -> TypeGuard[httpx.Request]:
    """Return whether a value is a request of one of the libraries."""
    return value is not None and isinstance(value, classes("Request"))


def library_of(response: Any) -> ModuleType:
    """Return the library that a response belongs to."""
    for name in _LIBRARIES:
        module = sys.modules.get(name)
        if module is not None and isinstance(response, getattr(module, "Response", ())):
            return module
    return httpx
