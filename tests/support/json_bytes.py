"""Hypothesis strategies for what a server could send: JSON that fits a model of the SDK, with a few things wrong."""

import json
import types
from collections.abc import Iterator
from random import Random
from typing import Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st
from pydantic import BaseModel

integers = st.integers(-3, 5_000) | st.sampled_from([2**31, 2**53 + 1, 2**63, -(2**63), 2**64, 10**30])
numbers = integers | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(max_size=12) | st.sampled_from(["", "get_weather", '{"city": "Tromsø"}', "\u2028", "😀", "null"])
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
_extra_names = st.sampled_from(
    ["channel", "error", "self", "type", "model_config", "model_extra", "copy", "dict", "__dict__", "ä", ""]
) | st.text(max_size=6)


def _fitting(annotation: Any) -> st.SearchStrategy[Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return st.one_of(*map(_fitting, arguments))
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is list:
        return st.lists(_fitting(arguments[0]), max_size=2)
    if origin is dict:
        return st.dictionaries(texts, _fitting(arguments[1]), max_size=2)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return st.deferred(lambda: _model(annotation))
    return {str: texts, int: integers, float: numbers, bool: st.booleans(), type(None): st.none()}.get(
        annotation, values
    )


def _model(model: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    required = {n: _fitting(f.annotation) for n, f in model.model_fields.items() if f.is_required()}
    optional = {n: _fitting(f.annotation) for n, f in model.model_fields.items() if not f.is_required()}
    extra = st.just({}) | st.dictionaries(_extra_names, values, max_size=2)
    return st.builds(lambda told, more: {**more, **told}, st.fixed_dictionaries(required, optional=optional), extra)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a value with each of its keys."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from _places(inner)


def _spoilt(value: Any, wrong: list[Any], random: Random) -> Any:
    """Put each of the wrong values somewhere, `...` meaning: take out what stands there."""
    for bad in wrong:
        places = list(_places(value))
        if not places:
            return bad if bad is not ... else value
        container, key = random.choice(places)
        if bad is ...:
            del container[key]
        else:
            container[key] = bad
    return value


def payloads(model: type[BaseModel]) -> st.SearchStrategy[bytes]:
    """Bytes of JSON for a model, half of them with one or two things wrong, with and without escapes and blanks."""
    wrong = st.just([]) | st.lists(values | st.just(...), min_size=1, max_size=2)
    value = st.builds(_spoilt, _fitting(model), wrong, st.randoms(use_true_random=False))
    return st.builds(
        lambda value, ascii_only, separators: json.dumps(
            value, ensure_ascii=ascii_only, separators=separators
        ).encode(),
        value,
        st.booleans(),
        st.sampled_from([(",", ":"), (", ", ": ")]),
    )
