"""Telling apart what `==` does not: 1 from 1.0, a model's extra fields, and which of its fields were set."""

from typing import Any

from pydantic import BaseModel

_PLAIN = {str, int, bool, type(None)}


def told_apart(value: Any) -> Any:
    """Return a value as plain data in which everything that a caller could see of it takes part in `==`."""
    kind = type(value)
    if kind in _PLAIN:  # nearly all, and sooner found than the rest
        return kind, value
    if isinstance(value, BaseModel):
        fields = {name: told_apart(given) for name, given in value.__dict__.items()}
        return kind, fields, told_apart(value.model_extra), frozenset(value.model_fields_set)
    if isinstance(value, dict):
        return kind, {key: told_apart(given) for key, given in value.items()}
    if isinstance(value, list):
        return kind, [told_apart(given) for given in value]
    if isinstance(value, Exception):
        body, status = (getattr(value, name, None) for name in ("body", "status_code"))
        return kind, value.args, str(value), told_apart(body), status
    return kind, repr(value)  # repr: -0.0 is not 0.0, and NaN is NaN
