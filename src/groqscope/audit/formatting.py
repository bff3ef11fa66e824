"""Formats numbers, units, plurals and names as text, without control characters that a terminal would obey."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from groqscope._visible import visible
from groqscope.audit.model import Unit
from groqscope.timeline import RequestRecord

UNKNOWN: Final = "-"
"""A value that is not known; never written as 0."""

UnitName = Literal["us", "ms", "s"]


@dataclass(frozen=True, slots=True)
class DurationUnit:
    """The unit of all durations of a report."""

    name: UnitName
    ns: int
    decimals: int

    @classmethod
    def of(cls, name: UnitName) -> "DurationUnit":
        """Return the unit of this name."""
        return _UNITS[name]

    @classmethod
    def fitting(cls, values: Iterable[float | None]) -> "DurationUnit":
        """Return the unit in which the largest value has at most five digits before the point."""
        largest = max((v for v in values if v is not None), default=0)
        return _UNITS["s" if largest >= 60e9 else "ms" if largest >= 1e6 else "us"]  # a minute, a millisecond

    @property
    def step_ns(self) -> float:
        """The smallest length that can be written."""
        return self.ns / 10**self.decimals

    def steps(self, ns: float) -> int:
        """Return a length as a number of steps, rounded."""
        return round(ns / self.step_ns)

    def stepped(self, steps: int, ns: float) -> str:
        """Return the text of a number of steps; a length (`ns`) above 0 is written as less than a step, not as 0."""
        if not steps and ns > 0:
            return f"<{10**-self.decimals:.{self.decimals}f}"
        return f"{steps / 10**self.decimals:,.{self.decimals}f}"

    def text(self, ns: float | None) -> str:
        """Return a duration without its unit."""
        return UNKNOWN if ns is None else self.stepped(self.steps(ns), ns)

    def full(self, ns: float | None) -> str:
        """Return a duration with its unit."""
        return UNKNOWN if ns is None else f"{self.text(ns)} {self.label}"

    @property
    def label(self) -> str:
        """The unit's sign."""
        return "µs" if self.name == "us" else self.name


_UNITS: Final[dict[str, DurationUnit]] = {
    "us": DurationUnit("us", 1_000, 1),
    "ms": DurationUnit("ms", 1_000_000, 1),
    "s": DurationUnit("s", 1_000_000_000, 3),
}


def summed(ns: float) -> str:
    """Return a sum of durations, with the unit that fits it."""
    return f"{ns / 1e9:,.1f} s" if ns >= 1e8 else f"{ns / 1e6:,.1f} ms"  # a tenth of a second


def share(part: float, whole: float) -> str:
    """Return a share in per cent, cut rather than rounded, so that 99.96% is not 100%."""
    if whole <= 0:
        return UNKNOWN
    permille = int(part / whole * 1000 + 1e-9)
    return "<0.1%" if part > 0 and not permille else f"{permille / 10:.1f}%"


def count(value: int | None, noun: str = "", plural: str = "") -> str:
    """Return a number with its noun: `1 chunk`, `2 chunks`."""
    if value is None:
        return UNKNOWN
    return f"{value:,} {noun if value == 1 else plural or f'{noun}s'}" if noun else f"{value:,}"


def tokens_out(record: RequestRecord) -> str:
    """Return the output tokens; if there was no usage, the estimate, marked `~`."""
    tokens, estimate = record.usage.output_tokens, record.output_tokens_estimate
    return f"~{estimate:,}" if tokens is None and estimate is not None else count(tokens)


def rate(value: float | None) -> str:
    """Return tokens per second."""
    return UNKNOWN if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.1f}"  # two digits are enough


def money(usd: float | None) -> str:
    """Return US dollars with two significant digits below a cent, cents above a dollar."""
    if usd is None:
        return UNKNOWN
    if usd == 0:
        return "$0"
    if usd >= 1:
        return f"${usd:,.2f}"
    decimals = 4
    while decimals < 9 and round(usd, decimals) * 10**decimals < 10:
        decimals += 1
    return f"${usd:.{decimals}f}"


def size(value: int | None) -> str:
    """Return a number of bytes."""
    if value is None:
        return UNKNOWN
    if value < 10_000:  # five digits are hard to read
        return f"{value:,} B"
    return f"{value / 1024:,.1f} KiB" if value < 1 << 20 else f"{value / (1 << 20):,.1f} MiB"


def seconds(value: float | None) -> str:
    """Return seconds that Groq reports, as short as possible."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f} s" if value >= 100 else f"{value:.3g} s"  # three digits


def ago(ns: int) -> str:
    """Return how long ago something was: `2 h 10 m`, `45 m`, `20 s`."""
    minutes, rest = divmod(round(ns / 1e9), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} m" if hours else f"{minutes} m" if minutes else f"{rest} s"


def moment(unix_ns: int) -> str:
    """Return a moment as ISO 8601, UTC, in milliseconds."""
    try:
        date = datetime.fromtimestamp(unix_ns // 1_000_000_000, UTC)
    except (OverflowError, ValueError, OSError):
        return UNKNOWN
    return f"{date:%Y-%m-%d %H:%M:%S}.{unix_ns // 1_000_000 % 1000:03d}Z"


def plain(value: object) -> str:
    """Return a setting or an attribute."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        items: tuple[object, ...] = value  # pyright: ignore[reportUnknownVariableType]
        return ", ".join(plain(item) for item in items)
    return visible(str(value), limit=200)


_STEPS: Final = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"))
_MINUTE: Final = 60e9


def capital(sentence: str) -> str:
    """Return a sentence, or the beginning of one, with a capital letter."""
    return sentence[:1].upper() + sentence[1:]


def duration(ns: float) -> str:
    """Return a duration with three digits: `1.24 s`, `215 ms`, `38 µs`, `3 min 12 s`."""
    if ns >= 2 * _MINUTE:
        minutes, rest = divmod(round(ns / 1e9), 60)
        return f"{minutes:,} min {rest} s" if rest else f"{minutes:,} min"
    for size, unit in _STEPS:
        if ns >= size * 0.9995:
            return f"{significant(ns / size)} {unit}"
    return f"{round(ns)} ns"


def significant(value: float) -> str:
    """Return a number with three digits, and never an exponent."""
    size = abs(value)
    if size >= 99.95:  # where three digits fill the integer part
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 9.995 else f"{value:.2f}" if size >= 0.1 or not size else f"{value:.3g}"


def percent(share: float) -> str:
    """Return a share, cut off so that 99.96% is not 100%."""
    value = share * 100
    if value < 1 and share > 0:
        return "<1%"
    return f"{int(value + 1e-9)}%"


_NUMBERS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def several(number: int, kind: str) -> str:
    """Return a small number in words, with what is counted: `two 429s`, `one timeout`."""
    word = _NUMBERS[number] if number < len(_NUMBERS) else f"{number:,}"
    return f"{word} {kind}{'s' if number > 1 else ''}"


def measure(value: float | None, kind: Unit, unit: DurationUnit | None = None) -> str:
    """Return a value of any kind with its unit; a duration by itself has three digits."""
    if value is None:
        return UNKNOWN
    if kind == "ns":
        return duration(value) if unit is None else unit.full(value)
    return _PLAIN.get(kind, _number)(value) + (f" {kind}" if kind in ("tokens", "tokens/s") else "")


def _percent(value: float) -> str:
    return f"{int(value * 10_000 + 1e-6) / 100:g}%"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1e5 else f"{value:,.4g}"  # no exponents


def _bytes(value: float) -> str:
    return size(round(value))


_PLAIN: Final[dict[str, Callable[[float], str]]] = {"share": _percent, "usd": money, "bytes": _bytes}
