"""A request's parameters, copied where the SDK would walk through their types: before the seam, and not observed.

The SDK's chat resource takes its two functions for that from its module, so they are replaced there, for all clients of
the process: what they return is equal, whoever asks. So this is for `instrument()` without a client only, and its
`uninstrument()` puts the SDK's own back.
"""

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from types import ModuleType
from typing import Any, Final

from groqscope.fastpath import copy_parameters
from groqscope.instrument.faults import hook
from groqscope.instrument.scope import Scope

NAMES: Final = ("maybe_transform", "async_maybe_transform")
_originals: dict[tuple[ModuleType | None, str], Callable[..., Any]] = {}


@hook("parameters")
def _copied(_scope: Scope, data: object, expected: Any) -> dict[str, Any] | None:
    return copy_parameters(data, expected)


def install(scope: Scope) -> None:
    """Replace both, unless they are, or another version of the SDK has none."""
    module = scope.family.parameters
    for name in NAMES:
        original = getattr(module, name, None)
        if original is not None and (module, name) not in _originals:
            _originals[module, name] = original
            setattr(module, name, (_wrap_async if iscoroutinefunction(original) else _wrap)(scope, original))


def remove() -> None:
    """Put the SDK's own back."""
    for (module, name), original in _originals.items():
        setattr(module, name, original)
    _originals.clear()


def _wrap(scope: Scope, original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def maybe_transform(data: object, expected_type: object) -> Any:
        copied = _copied(scope, data, expected_type)
        return original(data, expected_type) if copied is None else copied

    return maybe_transform


def _wrap_async(scope: Scope, original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    async def async_maybe_transform(data: object, expected_type: object) -> Any:
        copied = _copied(scope, data, expected_type)
        return await original(data, expected_type) if copied is None else copied

    return async_maybe_transform
