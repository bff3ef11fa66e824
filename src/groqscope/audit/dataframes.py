"""Records as data frames: a row per request, a column per field of the vocabulary, durations in seconds."""

from collections.abc import Iterable
from importlib import import_module
from typing import Any, Final

from groqscope.audit.fields import FIELDS, Field, Kind, Value
from groqscope.timeline import RequestRecord


def columns(records: Iterable[RequestRecord]) -> dict[str, list[Any]]:
    """Return the values by column: durations in seconds (floats), times in Unix nanoseconds, texts as they are."""
    found: dict[str, list[Any]] = {field.name: [] for field in FIELDS}
    getters = [(found[field.name].append, field, field.get) for field in FIELDS]
    for record in records:
        for add, field, get in getters:
            add(_plain(field, get(record)))
    return found


def to_polars(records: Iterable[RequestRecord]) -> Any:
    """Return a polars data frame; `start` and `created` are UTC datetimes.

    Raises:
        ImportError: polars is not installed.
    """
    pl = _imported("polars")
    schema = {field.name: _polars_type(pl, field.kind) for field in FIELDS}
    frame = pl.DataFrame(columns(records), schema=schema, strict=False)
    return frame.with_columns(pl.from_epoch(name, time_unit="ns").dt.replace_time_zone("UTC") for name in _TIMES)


def to_pandas(records: Iterable[RequestRecord]) -> Any:
    """Return a pandas data frame; `start` and `created` are UTC datetimes.

    Raises:
        ImportError: pandas is not installed.
    """
    pd = _imported("pandas")
    frame = pd.DataFrame(columns(records))
    for name in _TIMES:
        frame[name] = pd.to_datetime(frame[name], unit="ns", utc=True)
    return frame


_TIMES: Final = [field.name for field in FIELDS if field.kind == "time"]


def _imported(name: str) -> Any:
    # Imported by name, because neither is a dependency that the type checker could find.
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(f"to_{name}() needs {name}: pip install {name}") from error


def _polars_type(pl: Any, kind: Kind) -> Any:
    if kind == "texts":
        return pl.List(pl.String)
    return {"text": pl.String, "flag": pl.Boolean, "time": pl.Int64}.get(kind, pl.Float64)


def _plain(field: Field, value: Value) -> Any:
    if isinstance(value, tuple):
        return list(value)
    if field.kind == "duration" and isinstance(value, int | float):
        return value / 1e9
    return value
