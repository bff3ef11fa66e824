"""The HTTP libraries below the SDKs: httpx, and httpx2, whose classes have the same names and mean the same.

What an object is, is decided by the classes of every library that is imported: one that is not has made no object. So a
client can be on either, and nothing but httpx is needed.
"""

import sys
from types import ModuleType
from typing import Any, Final, TypeGuard

import httpx

_LIBRARIES: Final = ("httpx", "httpx2")


def classes(*names: str) -> tuple[type, ...]:
    """Return the classes of these names in every HTTP library that is imported."""
    imported = [module for library in _LIBRARIES if (module := sys.modules.get(library)) is not None]
    return tuple(
        found for module in imported for name in names if isinstance(found := getattr(module, name, None), type)
    )


def is_response(value: object) -> TypeGuard[httpx.Response]:
    """Return whether it is a response of one of the libraries."""
    return isinstance(value, classes("Response"))


def is_request(value: object) -> TypeGuard[httpx.Request]:
    """Return whether it is a request of one of the libraries."""
    return isinstance(value, classes("Request"))


def library_of(response: Any) -> ModuleType:
    """Return the library that a response is of."""
    for name in _LIBRARIES:
        module = sys.modules.get(name)
        if module is not None and isinstance(response, module.Response):
            return module
    return httpx
