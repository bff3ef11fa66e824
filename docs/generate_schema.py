"""Write `audit.schema.json`: the JSON form of reports, from the dataclasses and the sentences under their fields.

`--check` writes nothing and says whether the file is what the code says.
"""

import ast
import inspect
import json
import sys
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache, cached_property
from pathlib import Path
from textwrap import dedent
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from groqscope.audit import model
from groqscope.audit.model import AUDIT_VERSION, Audit, Comparison, RequestAudit
from groqscope.audit.reports.json import BESIDE, DERIVED, KINDS, OF_A_RUN
from groqscope.audit.reports.runs import RunRow
from groqscope.audit.reports.waterfall import Waterfall
from groqscope.audit.runs import RunAudit, RunEntry, RunsAudit
from groqscope.runs import Part, Run
from groqscope.timeline import RequestRecord

_SIMPLE: Final[dict[object, str]] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    types.NoneType: "null",
}
_SECTIONS: Final = ("tools", "why", "budgets", "groups")

_NAMES: Final[dict[type, str]] = {Part: "RunPart"}
"""Definitions that are not called as their class, because another is."""

Schema = dict[str, Any]


def schema() -> Schema:
    """Describe every report that `--json` writes."""
    definitions: dict[str, Schema] = {}
    kinds: list[Schema] = []
    for kind, cls in KINDS.items():
        _define(cls, definitions)
        kinds.append(_kind(kind, definitions[cls.__name__]))
    overview = definitions[Audit.__name__]["properties"]
    for name in _SECTIONS:
        parts = {key: overview[key] for key in ("provenance", "sentence", name, *BESIDE.get(name, ()))}
        kinds.append(_kind(name, {"properties": parts}))
    for cls in (Audit, RequestAudit, Comparison, RunsAudit, RunAudit):
        del definitions[cls.__name__]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"groqscope audit --json, version {AUDIT_VERSION}",
        "description": inspect.cleandoc(model.__doc__ or "").replace("\n", " "),
        "oneOf": kinds,
        "$defs": dict(sorted(definitions.items())),
    }


def _kind(kind: str, described: Schema) -> Schema:
    properties: Schema = {"schema_version": {"const": AUDIT_VERSION}, "kind": {"const": kind}}
    properties.update({name: of for name, of in described["properties"].items() if name != "schema_version"})
    said = {"description": described["description"]} if "description" in described else {}
    return {
        **said,
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _define(cls: type, definitions: dict[str, Schema]) -> Schema:
    """Describe a dataclass once, and refer to it."""
    name = _NAMES.get(cls, cls.__name__)
    if name not in definitions:
        definitions[name] = {}
        properties = _properties(cls, definitions)
        definitions[name] = {
            "description": inspect.cleandoc(cls.__doc__ or ""),
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }
    return {"$ref": f"#/$defs/{name}"}


def _properties(cls: type, definitions: dict[str, Schema]) -> dict[str, Schema]:
    if cls is RunEntry:
        return _run(definitions)
    if cls is RunAudit:
        return {"provenance": _attribute(RunAudit, "provenance", definitions), **_run(definitions)}
    found = {field.name: _attribute(cls, field.name, definitions) for field in fields(cls)}
    if cls is RequestRecord:
        found.update({name: _attribute(cls, name, definitions) for name in DERIVED})
        found["waterfall"] = _define(Waterfall, definitions)
    if cls is RunRow:
        found["phases"] = {**found["phases"], **_of(Mapping[str, int], definitions)}
        found["waited_ns"] = _attribute(cls, "waited_ns", definitions)
    return found


def _run(definitions: dict[str, Schema]) -> dict[str, Schema]:
    """Describe a run with its reasons."""
    derived = {
        "id": {"type": "string", "description": "What `groqscope audit ID` takes."},
        "requests": {"type": "integer", "description": "How many Groq requests it made."},
        "missed_prefill_ns": {
            "type": ["integer", "null"],
            "description": "Prefill of tokens that would have been cached, estimated; `null` if no model caches any.",
        },
        "spans": {"type": "array", "items": _define(RunRow, definitions)},
    }
    of_run = {name: derived[name] if name in derived else _attribute(Run, name, definitions) for name in OF_A_RUN}
    return {**of_run, **{name: _attribute(RunEntry, name, definitions) for name in ("sentence", "reasons")}}


def _attribute(cls: type, name: str, definitions: dict[str, Schema]) -> Schema:
    """Describe a field or a property."""
    made = inspect.getattr_static(cls, name, None)
    getter = made.func if isinstance(made, cached_property) else made.fget if isinstance(made, property) else None
    if getter is not None:
        hint, said = get_type_hints(getter)["return"], inspect.cleandoc(getter.__doc__ or "")
    else:
        hint, said = get_type_hints(cls)[name], _sentences(cls).get(name)
    found = _of(hint, definitions)
    return found if said is None else {**found, "description": said}


def _of(hint: Any, definitions: dict[str, Schema]) -> Schema:
    """Describe a type."""
    if hint in _SIMPLE:
        return {"type": _SIMPLE[hint]}
    if is_dataclass(hint) and isinstance(hint, type):
        return _define(hint, definitions)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return _either([_of(argument, definitions) for argument in arguments])
    if origin is tuple:
        return _array(arguments, definitions)
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _of(arguments[1], definitions)}
    raise TypeError(f"no JSON form for {hint!r}: add it to {__name__}")


def _array(arguments: tuple[Any, ...], definitions: dict[str, Schema]) -> Schema:
    if arguments[-1] is Ellipsis:
        return {"type": "array", "items": _of(arguments[0], definitions)}
    items = [_of(argument, definitions) for argument in arguments]
    return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}


def _either(choices: list[Schema]) -> Schema:
    if all(choice.keys() == {"type"} for choice in choices):
        return {"type": [choice["type"] for choice in choices]}
    return {"anyOf": choices}


@cache
def _sentences(cls: type) -> dict[str, str]:
    """Read the docstrings under a class's fields."""
    (tree,) = ast.parse(dedent(inspect.getsource(cls))).body
    assert isinstance(tree, ast.ClassDef)
    said: dict[str, str] = {}
    for field, below in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            text = ast.literal_eval(below.value)
            said[field.target.id] = inspect.cleandoc(text).replace("\n", " ")
    return said


def main() -> int:
    """Write the schema, or say that it is not the one in the repository."""
    page = Path(__file__).with_name("audit.schema.json")
    text = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    if "--check" not in sys.argv[1:]:
        page.write_text(text, "utf-8")
    elif page.read_text("utf-8") != text:
        print(f"{page.name} is not what the code says: run python docs/{Path(__file__).name}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
