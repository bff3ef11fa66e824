"""Numbers as the words of a sentence."""

from typing import Final

_STEPS: Final = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"))
_MINUTE: Final = 60e9


def duration(ns: float) -> str:
    """Write a duration with three digits: `1.24 s`, `215 ms`, `38 µs`, `3 min 12 s`."""
    if ns >= 2 * _MINUTE:
        minutes, rest = divmod(round(ns / 1e9), 60)
        return f"{minutes:,} min {rest} s" if rest else f"{minutes:,} min"
    for size, unit in _STEPS:
        if ns >= size * 0.9995:
            return f"{significant(ns / size)} {unit}"
    return f"{round(ns)} ns"


def significant(value: float) -> str:
    """Write a number with three digits, and never an exponent."""
    size = abs(value)
    if size >= 99.95:  # noqa: PLR2004 - where three digits fill the integer part
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 9.995 else f"{value:.2f}" if size >= 0.1 or not size else f"{value:.3g}"  # noqa: PLR2004


def percent(share: float) -> str:
    """Write a share, cut off so that 99.96% is not 100%."""
    value = share * 100
    if value < 1 and share > 0:
        return "<1%"
    return f"{int(value + 1e-9)}%"


def count(number: int, noun: str, plural: str = "") -> str:
    """Write a number and its noun in the right form."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


_NUMBERS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def several(number: int, kind: str) -> str:
    """Write how many of something with a name or a number: `two 429s`, `one timeout`."""
    word = _NUMBERS[number] if number < len(_NUMBERS) else f"{number:,}"
    return f"{word} {kind}{'s' if number > 1 else ''}"


def in_unit(value: float, unit: str) -> str:
    """Write a value of a field in its unit."""
    if unit == "ns":
        return duration(value)
    if unit == "share":
        return f"{significant(value * 100)}%"
    if unit == "usd":
        return f"${value:.6f}".rstrip("0").rstrip(".")
    return significant(value) if value % 1 else f"{value:,.0f}"
