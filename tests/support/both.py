"""One scenario, two clients: an `async def` is taken as it stands, and as the plain function it is without `await`."""

import ast
import asyncio
import inspect
import textwrap
from collections.abc import Callable
from typing import Any, Literal

import pytest

Mode = Literal["sync", "async"]
MODES: tuple[Mode, ...] = ("sync", "async")
each_mode = pytest.mark.parametrize("mode", MODES)

_NAMES = {
    "aiter": "iter",
    "anext": "next",
    "aclosing": "closing",
    "aclose": "close",
    "__anext__": "__next__",
    "__aiter__": "__iter__",
    "asynchronous": "synchronous",
    "StopAsyncIteration": "StopIteration",
    "AsyncStream": "Stream",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
}


class _Unasync(ast.NodeTransformer):
    """`await x` to `x`, `async for` to `for`, and so on."""

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        self.generic_visit(node)
        return _as(ast.FunctionDef, node)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        self.generic_visit(node)
        return _as(ast.For, node)

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        self.generic_visit(node)
        return _as(ast.With, node)

    def visit_Await(self, node: ast.Await) -> ast.AST:
        self.generic_visit(node)
        return node.value

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        self.generic_visit(node)
        node.is_async = 0
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = _NAMES.get(node.id, node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        node.attr = _NAMES.get(node.attr, node.attr)
        return node


def _as(kind: type[ast.AST], node: ast.AST) -> ast.AST:
    return ast.copy_location(kind(**dict(ast.iter_fields(node))), node)


def unasync(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make the plain function of an `async def` of a module."""
    lines, first = inspect.getsourcelines(function)
    tree = ast.parse(textwrap.dedent("".join(lines)))
    definition = tree.body[0]
    assert isinstance(definition, ast.AsyncFunctionDef)
    definition.decorator_list = []
    ast.increment_lineno(tree, first - 1)
    module = ast.fix_missing_locations(_Unasync().visit(tree))
    space: dict[str, Any] = {}
    exec(compile(module, inspect.getsourcefile(function) or "?", "exec"), function.__globals__, space)
    return space[function.__name__]


class Both:
    """A scenario for either client. Scenarios use each other by `await other.asynchronous(…)`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.name = function.__name__
        self.__doc__ = function.__doc__
        self.asynchronous = function
        self.synchronous = unasync(function)

    def __call__(self, mode: Mode, *args: Any, **kwargs: Any) -> Any:
        """Run it to its end, async in a loop of its own, and return what it returns."""
        if mode == "sync":
            return self.synchronous(*args, **kwargs)
        return asyncio.run(self.asynchronous(*args, **kwargs))


def both(function: Callable[..., Any]) -> Both:
    """Decorate an `async def` so that it runs either way."""
    return Both(function)
