"""A record as a row, and back: `record_of(row_of(record)) == record`.

The columns are the fields of `RequestRecord` and their types are derived from its annotations, so that a new field is
a new column. A nested record is a struct, a tuple a list. Between DuckDB and Python a row is a line of JSON, which both
sides read and write in C.
"""

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Final, Literal, Union, cast, get_args, get_origin, get_type_hints

import msgspec

from groqscope.timeline import RequestRecord

SCALARS: Final[Mapping[Any, str]] = {str: "VARCHAR", int: "BIGINT", float: "DOUBLE", bool: "BOOLEAN"}
_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(RequestRecord)


def row_of(record: RequestRecord) -> bytes:
    """Return a record as a line of JSON, without its newline.

    Raises:
        UnicodeEncodeError: a text has half of a surrogate pair, which no column can hold.
    """
    return _encoder.encode(record)


def record_of(row: bytes | str) -> RequestRecord:
    """Return the record of a line of JSON; a column that is missing or empty has its default.

    Raises:
        msgspec.DecodeError: the line is no record.
    """
    try:
        return _decoder.decode(row)
    except msgspec.ValidationError:
        # Written before a field existed: where an engine puts files together, what one of them lacks is null.
        return msgspec.convert(_without_nulls(msgspec.json.decode(row)), RequestRecord)


@cache
def columns() -> Mapping[str, str]:
    """Return the type of each column, in SQL."""
    return dict(_members(RequestRecord))


@cache
def defaults() -> Mapping[str, object]:
    """Return what a column holds in files from before it existed, for columns that are never null."""
    hints = get_type_hints(RequestRecord)
    return {
        f.name: f.default
        for f in fields(RequestRecord)
        if f.default is not MISSING and type(None) not in get_args(hints[f.name])
    }


def _members(record: Any) -> list[tuple[str, str]]:
    hints = get_type_hints(record)
    return [(f.name, _sql_type(hints[f.name])) for f in fields(record)]


def _sql_type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in {Union, types.UnionType}:  # `X | None`
        return _sql_type(next(a for a in arguments if a is not type(None)))
    if origin is Literal:
        return _sql_type(type(arguments[0]))
    if origin is tuple:
        return f"{_sql_type(arguments[0])}[]"
    if is_dataclass(annotation):
        return f"STRUCT({', '.join(f'{name} {kind}' for name, kind in _members(annotation))})"
    return SCALARS[annotation]


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(one) for key, one in cast("dict[str, Any]", value).items() if one is not None}
    if isinstance(value, list):
        return [_without_nulls(one) for one in cast("list[Any]", value)]
    return value
