"""Values that a caller or a server sent: each is taken only if of the type that its field has."""

import re
from math import isfinite
from typing import Any, Final, TypeGuard

_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


def member(part: Any, name: str) -> Any:
    """Return a member of an answer's part; what an SDK has no model for it leaves a dictionary."""
    return part.get(name) if type(part) is dict else getattr(part, name, None)


def is_code(value: Any) -> TypeGuard[str]:
    """Whether a server's word is an error code: short, lower case, so not a sentence, and not one of Groq's keys."""
    return isinstance(value, str) and _CODE.fullmatch(value) is not None and not value.startswith("gsk_")


def as_integer(value: Any) -> int | None:
    """Return an integer of 64 bits."""
    return value if isinstance(value, int) and not isinstance(value, bool) and -(2**63) < value < 2**63 else None


def as_number(value: Any) -> float | None:
    """Return a finite number as a float."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if isfinite(found) else None  # a record with NaN would not equal itself


def as_count(value: Any) -> int | None:
    """Return an integer that is not negative."""
    found = as_integer(value)
    return None if found is None or found < 0 else found


def as_amount(value: Any) -> float | None:
    """Return a finite number that is not negative."""
    found = as_number(value)
    return None if found is None or found < 0 else found


def as_text(value: Any) -> str | None:
    """Return the beginning of a text."""
    if not isinstance(value, str):
        return None
    # JSON may hold half of a surrogate pair, which no exporter could write.
    return value[:512] if value.isascii() else value[:512].encode("utf-8", "replace").decode()


def as_list(value: Any) -> list[Any]:
    """Return a list; what is none is empty."""
    return value if isinstance(value, list) else []
