"""Telling apart what `==` does not: 1 from 1.0, a model's extra fields, and which of its fields were set."""

from typing import Any

from pydantic import BaseModel


def told_apart(value: Any) -> Any:
    """A value as plain data in which everything a caller could see of it takes part in `==`."""
    if isinstance(value, BaseModel):
        fields = {name: told_apart(given) for name, given in value.__dict__.items()}
        return type(value).__name__, fields, told_apart(value.model_extra), sorted(value.model_fields_set)
    if isinstance(value, dict):
        return "dict", {key: told_apart(given) for key, given in value.items()}
    if isinstance(value, list):
        return "list", [told_apart(given) for given in value]
    return type(value).__name__, repr(value)  # repr: -0.0 is not 0.0, and NaN is NaN
