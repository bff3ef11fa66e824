"""Hypothesis strategies for records: every field of every nested record, by its type and its name."""

import types
from dataclasses import fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from groqscope.timeline import RequestRecord
from groqscope.timeline.sampling import fit

MAX_NS = 10**15
"""Eleven days; a double tells nanoseconds apart up to 104."""
MAX_INT = 2**53
"""Beyond it a double does not hold every integer."""

_BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=24),
    bool: st.booleans(),
    int: st.integers(0, MAX_INT),
    float: st.floats(0, allow_nan=False, allow_infinity=False).map(lambda x: x + 0.0),  # -0.0 is nobody's measurement
}
_LENGTHS = st.integers(0, MAX_NS)


def _of_type(annotation: Any, name: str) -> st.SearchStrategy[Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return st.one_of(*(st.none() if a is type(None) else _of_type(a, name) for a in arguments))
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return st.lists(_of_type(arguments[0], name), max_size=3).map(tuple)
    if isinstance(annotation, type) and is_dataclass(annotation):
        return of(annotation)
    return _LENGTHS if annotation is int and name.endswith("_ns") else _BY_TYPE[annotation]


def _tags(tags: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """As a request carries them: sorted by name."""
    return tuple(sorted(tags.items()))


def of(record: type) -> st.SearchStrategy[Any]:
    """Records of one class, every field of it drawn."""
    hints = get_type_hints(record)
    phases = record.__name__ == "Phases"
    drawn = {f.name: st.none() | _LENGTHS if phases else _of_type(hints[f.name], f.name) for f in fields(record)}
    if "tags" in drawn:
        drawn["tags"] = st.dictionaries(st.text(max_size=8), st.text(max_size=24), max_size=3).map(_tags)
    return st.builds(record, **drawn)


def _with_timeline(record: RequestRecord, times: list[int], stride: int) -> RequestRecord:
    """Put in a timeline as `Timeline` makes it: rising, short enough when packed, of all chunks."""
    times_us, stride = fit(tuple(sorted(times)), stride) if times else ((), 1)
    given = {f.name: getattr(record, f.name) for f in fields(record)}
    chunks = min(record.chunks, len(times_us) * stride) if times_us and record.chunks is not None else record.chunks
    return RequestRecord(**given | {"timeline_us": times_us, "timeline_stride": stride, "chunks": chunks})


records: st.SearchStrategy[RequestRecord] = st.builds(
    _with_timeline,
    of(RequestRecord),
    st.lists(st.integers(0, MAX_NS // 1000), max_size=400),
    st.sampled_from((1, 2, 64, 1024)),
)
