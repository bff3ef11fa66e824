"""Copies a request's parameters, where the SDK would compare each value with its type; the result is equal.

The SDK's chat resources call two functions of their module for that. `instrument()` replaces both in the module, for
all clients. `instrument(client)` changes nothing that clients share: the client's own chat resource gets a `create`
with the SDK's code and with both replaced among its globals.
"""

from collections.abc import Callable
from functools import update_wrapper, wraps
from inspect import getattr_static, iscoroutinefunction
from types import FunctionType, MethodType, ModuleType
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
    """Replace both functions in the SDK's module, where this version of the SDK has them, once."""
    module = scope.family.parameters
    for name in NAMES:
        original = getattr(module, name, None)
        if original is not None and (module, name) not in _originals:
            _originals[module, name] = original
            setattr(module, name, _copying(original, scope))


def remove() -> None:
    """Put the SDK's own functions back."""
    for (module, name), original in _originals.items():
        setattr(module, name, original)
    _originals.clear()


def install_on(cls: Any, scope: Scope) -> None:
    """Have the clients of one class copy their parameters."""
    if scope.family.parameters is not None:
        cls.chat = _Chat(getattr_static(cls, "chat"), scope)


def adopt(client: Any) -> None:
    """Do for a client whose `chat` was used before its class was replaced what `install_on` does for later ones."""
    chat = getattr_static(type(client), "chat", None)
    if isinstance(chat, _Chat) and "chat" in vars(client):
        chat.adopt(vars(client)["chat"])


def release(client: Any) -> None:
    """Put the SDK's own `create` back on one client."""
    completions = getattr(vars(client).get("chat"), "completions", None)
    if isinstance(vars(type(completions)).get("create"), _Create):
        completions.__class__ = type(completions).__bases__[0]


class _Chat:
    """The property `chat` of an observed client: the SDK's, whose `completions` move to a subclass of their class."""

    def __init__(self, inherited: Any, scope: Scope) -> None:
        self.telemetry = scope.telemetry
        self._inherited = inherited
        self._scope = scope
        self._classes: dict[type, type] = {}

    def __get__(self, client: Any, owner: type | None = None) -> Any:
        chat = self._inherited.__get__(client, owner)
        if client is not None:
            self.adopt(chat)
        return chat

    @hook("parameters")
    def adopt(self, chat: Any) -> None:
        completions = chat.completions
        cls = type(completions)
        if isinstance(vars(cls).get("create"), _Create):
            return
        if cls not in self._classes:
            own = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
            self._classes[cls] = type(cls.__name__, (cls,), own | {"create": _Create(self._scope)})
        completions.__class__ = self._classes[cls]


class _Create:
    """The method `create` of one client's resource: the inherited one, as a copy of it if it is the SDK's."""

    def __init__(self, scope: Scope) -> None:
        self.telemetry = scope.telemetry
        self._scope = scope
        self._copies: dict[FunctionType, Callable[..., Any]] = {}

    def __set_name__(self, owner: type, name: str) -> None:
        self._owner = owner

    def __get__(self, resource: Any, owner: type | None = None) -> Any:
        # Asked each time: another library may wrap the SDK's method, and that wrapper has to be called then.
        parent: Any = super(self._owner, owner if resource is None else resource)
        inherited = parent.create
        copying = self._copying(inherited)
        return inherited if copying is None else MethodType(copying, resource)

    @hook("parameters")
    def _copying(self, inherited: Any) -> Callable[..., Any] | None:
        create = inherited.__func__ if isinstance(inherited, MethodType) else None
        if not isinstance(create, FunctionType) or create.__globals__ is not vars(self._scope.family.parameters):
            return None
        if create not in self._copies:
            self._copies[create] = _with_copying_globals(create, self._scope)
        return self._copies[create]


def _with_copying_globals(function: FunctionType, scope: Scope) -> Callable[..., Any]:
    """Return a function with the same code, for which the two names mean our functions."""
    space = dict(function.__globals__)
    for name in filter(space.__contains__, NAMES):
        space[name] = _copying(_originals.get((scope.family.parameters, name)) or space[name], scope)
    copy = FunctionType(function.__code__, space, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return update_wrapper(copy, function)


def _copying(original: Callable[..., Any], scope: Scope) -> Callable[..., Any]:
    if iscoroutinefunction(original):

        @wraps(original)
        async def async_maybe_transform(data: object, expected_type: object) -> Any:
            copied = _copied(scope, data, expected_type)
            return await original(data, expected_type) if copied is None else copied

        return async_maybe_transform

    @wraps(original)
    def maybe_transform(data: object, expected_type: object) -> Any:
        copied = _copied(scope, data, expected_type)
        return original(data, expected_type) if copied is None else copied

    return maybe_transform
