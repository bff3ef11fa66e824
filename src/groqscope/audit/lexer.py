"""The tokens of the expression language: numbers with units, quoted text, names and operators, with their positions."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from groqscope.audit.errors import ExpressionError
from groqscope.audit.model import Unit

TokenKind = Literal["number", "text", "name", "op", "end"]

DURATION_UNITS: Final = {
    "ns": 1.0,
    "us": 1e3,
    "µs": 1e3,
    "ms": 1e6,
    "s": 1e9,
    "min": 60e9,
    "m": 60e9,
    "h": 3600e9,
    "d": 86400e9,
}
"""Nanoseconds each."""
_SCALES: Final[dict[str, tuple[float, Unit | None]]] = {
    **{unit: (factor, "ns") for unit, factor in DURATION_UNITS.items()},
    "%": (0.01, "share"),
    "usd": (1.0, "usd"),
    "$": (1.0, "usd"),
    "k": (1e3, None),
    "M": (1e6, None),
    "B": (1.0, "bytes"),
    "kB": (1e3, "bytes"),
    "MB": (1e6, "bytes"),
}
UNITS: Final = tuple(_SCALES)

_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<number>\$?[-+]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?)(?P<unit>%|[A-Za-zµ$]+)?
      | (?P<text>'[^']*'|"[^"]*")
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_0-9]+)*)
      | (?P<op><=|>=|!=|==|<>|!~|[<>=~(),])
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """One token."""

    kind: TokenKind
    text: str
    position: int
    value: float = 0.0
    """A number, scaled by its unit."""
    unit: Unit | None = None
    """What the unit measures; `None` for a plain number."""


def unix_ns(text: str) -> int:
    """Return a moment in ISO form as Unix nanoseconds; without a zone it is local time.

    Raises:
        ValueError: it is no such moment, or its year is out of range.
    """
    try:
        # Whole microseconds: a double cannot hold nanoseconds since 1970 exactly.
        return round(datetime.fromisoformat(text.strip()).timestamp() * 1e6) * 1000
    except (OverflowError, OSError) as error:
        raise ValueError(str(error)) from error


def tokenize(text: str) -> list[Token]:
    """Split a text into tokens; the last is of kind `end`.

    Raises:
        ExpressionError: there is an unknown character or unit.
    """
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            rest = text[position:].lstrip()
            if not rest:
                break
            raise _stray(text, len(text) - len(rest))
        tokens.append(_token(text, match))
        position = match.end()
    tokens.append(Token("end", "", len(text)))
    return tokens


def _stray(text: str, position: int) -> ExpressionError:
    character = text[position]
    if character in "'\"":
        return ExpressionError(f"the text that begins with {character} is not closed", text, position)
    return ExpressionError(f"unexpected character {character!r}", text, position)


def _token(text: str, match: re.Match[str]) -> Token:
    if match["number"] is not None:
        return _number(text, match)
    kind: TokenKind = "text" if match["text"] is not None else "name" if match["name"] is not None else "op"
    word: str = match[kind]
    start = match.start(kind)
    return Token(kind, word[1:-1] if kind == "text" else word, start)


def _number(text: str, match: re.Match[str]) -> Token:
    digits: str = match["number"]
    unit: str = match["unit"] or ("$" if digits.startswith("$") else "")
    if unit and unit not in _SCALES:
        unit = unit.lower() if unit.lower() in _SCALES else unit
    if unit and unit not in _SCALES:
        raise ExpressionError(f"unknown unit {unit!r}: use one of {', '.join(UNITS)}", text, match.start("unit"))
    factor, dimension = _SCALES[unit] if unit else (1.0, None)
    value = float(digits.lstrip("$").replace("_", "")) * factor
    return Token("number", match["number"] + (match["unit"] or ""), match.start("number"), value, dimension)
