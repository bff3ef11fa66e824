"""Only the timeline writes its own state: all others call its methods, and read."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import groqscope

SOURCES = Path(groqscope.__file__).parent
MUTATING = {"append", "clear", "extend", "insert", "pop", "popitem", "remove", "setdefault", "update"}


def reached_into(tree: ast.AST) -> Iterator[Any]:
    """Yield assignments and mutating calls to anything inside a `timeline`, and uses of its private attributes."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Delete)):
            targets = node.targets if isinstance(node, (ast.Assign, ast.Delete)) else [node.target]
            yield from (target for target in targets if in_a_timeline(target))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATING:
            yield from [node] if in_a_timeline(node.func.value) else []
        elif isinstance(node, ast.Attribute) and node.attr.startswith("_") and is_timeline(node.value):
            yield node


def in_a_timeline(node: ast.AST) -> bool:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
        if is_timeline(node):
            return True
    return False


def is_timeline(node: ast.AST) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr in {"timeline", "_timeline"}) or (
        isinstance(node, ast.Name) and node.id == "timeline"
    )


def test_what_reaches_into_a_timeline_is_found() -> None:
    """The four ways of writing into a timeline are found; reading is not."""
    writing = "self.timeline.bytes += 1\ntimeline.response['a'] = 1\nx.timeline.request.update(a=1)\ntimeline._mark\n"
    reading = "timeline.received(1)\nself.timeline = timeline\nx = self.timeline.usage\n"

    assert len(list(reached_into(ast.parse(writing)))) == 4
    assert not list(reached_into(ast.parse(reading)))


def test_only_the_timeline_writes_its_state() -> None:
    """No module outside of `groqscope.timeline` writes into one."""
    files = [file for file in SOURCES.rglob("*.py") if file.parent.name != "timeline"]

    assert len(files) > 100
    assert [
        f"{file.name}:{node.lineno}" for file in files for node in reached_into(ast.parse(file.read_text("utf-8")))
    ] == []
