"""Reads values that a caller or a server sent; a value is used only if it has the type of its field."""

import re
from math import inf, isfinite
from typing import Any, Final, TypeGuard

_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


def member(part: Any, name: str) -> Any:
    """Return a member of a part of an answer; the SDKs leave what they have no model for as dictionaries."""
    return part.get(name) if type(part) is dict else getattr(part, name, None)


def is_code(value: Any) -> TypeGuard[str]:
    """Return whether a server's text is an error code: short and lower case, so no sentence and none of Groq's keys."""
    return isinstance(value, str) and _CODE.fullmatch(value) is not None and not value.startswith("gsk_")


def as_integer(value: Any) -> int | None:
    """Return the value if it is an integer of 64 bits, else `None`."""
    return value if isinstance(value, int) and not isinstance(value, bool) and -(2**63) < value < 2**63 else None


def as_number(value: Any) -> float | None:
    """Return a finite number as a float."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if isfinite(found) else None  # not NaN: a record with it would not equal itself


def as_count(value: Any) -> int | None:
    """Return an integer that is not negative."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else None


def as_amount(value: Any) -> float | None:
    """Return a finite number that is not negative."""
    if type(value) is float and 0.0 <= value < inf:
        return value
    found = as_number(value)
    return None if found is None or found < 0 else found


def as_text(value: Any) -> str | None:
    """Return the beginning of a text."""
    if not isinstance(value, str):
        return None
    # JSON may contain half of a surrogate pair, which no exporter can write.
    return value[:512] if value.isascii() else value[:512].encode("utf-8", "replace").decode()


def as_list(value: Any) -> list[Any]:
    """Return the value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []
