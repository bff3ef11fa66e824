"""Hold the committed dashboards against the schema of a Grafana, as the SDK that is imported describes it.

    PYTHONPATH=folder-of-an-sdk python tests/stack_support/grafana_schema.py

Each dashboard is read into the SDK's classes. What they do not know, and values that are not of the type that they
name, are printed as a list in JSON, one fault a line and path.
"""

import enum
import json
import types
import typing
from collections.abc import Iterator
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard

FOLDER = Path(__file__).parents[2] / "dashboards/json"


def faults(board: dict[str, Any]) -> Iterator[str]:
    """Yield what the schema does not know, and what is not as it says."""
    read = dashboard.Dashboard.from_json(board)
    written = json.loads(json.dumps(read, cls=JSONEncoder))
    yield from _unknown(board, written, "")
    yield from _wrong(read, type(read), "")


def _unknown(given: Any, written: Any, path: str) -> Iterator[str]:
    """Compare what was read with what the classes would write: they leave out what they do not know."""
    if isinstance(given, dict) and isinstance(written, dict):
        for key, value in given.items():
            if key in written:
                yield from _unknown(value, written[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}: unknown"
    elif isinstance(given, list) and isinstance(written, list) and len(given) == len(written):
        for one, other in zip(given, written, strict=True):
            yield from _unknown(one, other, f"{path}[]")
    elif given != written:
        yield f"{path}: {given!r} is read as {written!r}"


def _wrong(value: Any, hint: Any, path: str) -> Iterator[str]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        tried = [list(_wrong(value, one, path)) for one in arguments if one is not type(None) or value is None]
        yield from tried[0] if all(tried) else ()
    elif origin in (list, dict):
        yield from _wrong_items(value, origin, arguments[-1], path)
    elif origin is typing.Literal:
        yield from () if value in arguments else (f"{path}: {value!r} is not {arguments}",)
    elif isinstance(hint, type):
        yield from _wrong_instance(value, hint, path)


def _wrong_items(value: Any, container: type, hint: Any, path: str) -> Iterator[str]:
    if not isinstance(value, container):
        yield f"{path}: {value!r} is no {container.__name__}"
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _wrong(item, hint, f"{path}.{key}")
    else:
        for item in value:
            yield from _wrong(item, hint, f"{path}[]")


def _wrong_instance(value: Any, hint: type, path: str) -> Iterator[str]:
    if issubclass(hint, enum.Enum):
        if value not in [member.value for member in hint]:
            yield f"{path}: {value!r} is no {hint.__name__}"
    elif hint is float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield f"{path}: {value!r} is no number"
    elif hint in (str, int, bool, type(None)):
        if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
            yield f"{path}: {value!r} is no {hint.__name__}"
    else:
        yield from _wrong_fields(value, path)


def _wrong_fields(value: Any, path: str) -> Iterator[str]:
    """Look into an object of one of the SDK's classes, whatever was expected: panels and queries are of many kinds."""
    known = type(value)
    if not known.__module__.startswith("grafana_foundation_sdk.models"):
        return
    for name, hint in typing.get_type_hints(known, vars(import_module(known.__module__))).items():
        yield from _wrong(getattr(value, name), hint, f"{path}.{name}")


def main() -> None:
    """Print the SDK's version and the faults of each dashboard."""
    plugins.register_default_plugins()
    found = {
        file.stem: sorted(set(faults(json.loads(file.read_text(encoding="utf-8"))))) for file in FOLDER.glob("*.json")
    }
    print(json.dumps({"sdk": metadata.version("grafana-foundation-sdk"), "faults": found}, indent=1))


if __name__ == "__main__":
    main()
