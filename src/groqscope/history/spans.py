"""The spans around requests as rows: what runs are made of. Of a request's own span there is its place in the trace."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import Any, Final, get_type_hints

import msgspec

from groqscope.history.rows import SCALARS
from groqscope.runs import TraceSpan
from groqscope.timeline import RequestRecord

_encoder: Final = msgspec.json.Encoder()
_LINK: Final = "request"
"""Whether the span is that of a request, whose record is among the requests."""


@cache
def columns() -> Mapping[str, str]:
    """Return the type of each column, in SQL: a span's, attributes as JSON, and whether it is a request."""
    hints = get_type_hints(TraceSpan)
    kinds = {
        f.name: SCALARS.get(hints[f.name], "BIGINT")
        for f in fields(TraceSpan)
        if f.name not in {"record", "attributes"}
    }
    return {**kinds, "parent_id": "VARCHAR", "attributes": "VARCHAR", _LINK: "BOOLEAN"}


def row_of(span: TraceSpan) -> bytes:
    """Return a span as a line of JSON, without its newline."""
    row: dict[str, Any] = {name: getattr(span, name) for name in _PLAIN}
    row["attributes"] = _encoder.encode(span.attributes).decode()
    row[_LINK] = span.record is not None
    return _encoder.encode(row)


def span_of(row: Sequence[Any], record: RequestRecord | None) -> TraceSpan:
    """Return the span of a row, in the order of `columns`."""
    values = dict(zip(columns(), row, strict=True))
    del values[_LINK]
    values["attributes"] = msgspec.json.decode(values["attributes"])
    return TraceSpan(**values, record=record)


_PLAIN: Final = tuple(f.name for f in fields(TraceSpan) if f.name not in {"record", "attributes"})
