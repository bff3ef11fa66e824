"""The JSON form of reports as a JSON Schema, made from the dataclasses and the sentences under their fields."""

import ast
import inspect
import types
from dataclasses import fields, is_dataclass
from functools import cache
from textwrap import dedent
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from groqscope.audit import model
from groqscope.audit.model import AUDIT_VERSION, Audit, Comparison, RequestAudit
from groqscope.audit.reports.json import BESIDE, DERIVED
from groqscope.audit.reports.waterfall import Waterfall
from groqscope.timeline import RequestRecord

_SIMPLE: Final[dict[object, str]] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    types.NoneType: "null",
}
_KINDS: Final = {"overview": Audit, "request": RequestAudit, "comparison": Comparison, "record": RequestRecord}
_SECTIONS: Final = ("tools", "why", "budgets", "groups")

Schema = dict[str, Any]


def schema() -> Schema:
    """Describe every report that `--json` writes."""
    definitions: dict[str, Schema] = {}
    kinds: list[Schema] = []
    for kind, cls in _KINDS.items():
        _define(cls, definitions)
        kinds.append(_kind(kind, definitions[cls.__name__]))
    overview = definitions[Audit.__name__]["properties"]
    for name in _SECTIONS:
        parts = {key: overview[key] for key in ("provenance", "sentence", name, *BESIDE.get(name, ()))}
        kinds.append(_kind(name, {"properties": parts}))
    for cls in (Audit, RequestAudit, Comparison):
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
    name = cls.__name__
    if name not in definitions:
        definitions[name] = {}
        hints = get_type_hints(cls)
        said = _sentences(cls)
        properties: dict[str, Schema] = {}
        for field in fields(cls):
            found = _of(hints[field.name], definitions)
            properties[field.name] = {**found, "description": said[field.name]} if field.name in said else found
        if cls is RequestRecord:
            properties.update(_derived(definitions))
        definitions[name] = {
            "description": inspect.cleandoc(cls.__doc__ or ""),
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }
    return {"$ref": f"#/$defs/{name}"}


def _derived(definitions: dict[str, Schema]) -> dict[str, Schema]:
    found: dict[str, Schema] = {}
    for name in DERIVED:
        getter = getattr(RequestRecord, name).fget
        found[name] = {
            **_of(get_type_hints(getter)["return"], definitions),
            "description": inspect.cleandoc(getter.__doc__),
        }
    found["waterfall"] = _define(Waterfall, definitions)
    return found


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
        if arguments[-1] is Ellipsis:
            return {"type": "array", "items": _of(arguments[0], definitions)}
        items = [_of(argument, definitions) for argument in arguments]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    raise TypeError(f"no JSON form for {hint!r}: add it to {__name__}")


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
