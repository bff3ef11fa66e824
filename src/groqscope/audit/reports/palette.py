"""The colours of every view: terminal, HTML report, live page, documentation and the phases on Grafana's boards.

A phase has one colour everywhere, in light and in dark. Each stands out from a white and from a dark ground (3:1, WCAG
1.4.11), and text on it is readable (4.5:1). Any two are told apart by people who see all colours; those that lie side
by side, also by people who see no red, no green or no blue. How bad something is, is never said by a phase's colour:
weight, a mark and words say it, and `BAD`.
"""

from dataclasses import dataclass
from typing import Final

_DARK_INK: Final = "#101317"
_LIGHT_INK: Final = "#FFFFFF"
_READABLE: Final = 4.5


@dataclass(frozen=True, slots=True)
class Colour:
    """One colour."""

    hex: str
    ansi: str
    """What stands for it in a terminal that has only sixteen colours."""

    @property
    def ink(self) -> str:
        """The colour of text on it."""
        return _LIGHT_INK if contrast(self.hex, _LIGHT_INK) >= _READABLE else _DARK_INK


PHASES: Final[dict[str, Colour]] = {
    "prepare": Colour("#617946", "bright_blue"),
    "retry": Colour("#F43BAB", "magenta"),
    "pool_wait": Colour("#AB8D5A", "bright_yellow"),
    "connect": Colour("#A35601", "yellow"),
    "tls": Colour("#799400", "bright_green"),
    "send": Colour("#50879C", "bright_cyan"),
    "queue": Colour("#DC6F33", "bright_yellow"),
    "prefill": Colour("#2C9AED", "cyan"),
    "network": Colour("#7A647F", "bright_black"),
    "generate": Colour("#5965D8", "blue"),
    "receive": Colour("#169B7A", "green"),
    "consume": Colour("#A059FF", "bright_magenta"),
    "finish": Colour("#C2777D", "bright_blue"),
}
"""In the order in which they happen. Pink and orange: waiting that somebody can do something about; blue and green:
Groq at work; violet: the caller's own code; brown, olive, steel and grey: what is between."""

PARTS: Final[dict[str, Colour]] = {
    "model": PHASES["generate"],
    "tool": PHASES["consume"],
    "retrieval": PHASES["pool_wait"],
    "io": PHASES["send"],
    "own": PHASES["prepare"],
    "idle": PHASES["finish"],
}
"""What the time of a run goes into: Groq is blue, the caller's own work violet, as in a request."""

CAUSES: Final[dict[str, str]] = {
    "cache_miss": "prefill",
    "retries": "retry",
    "cold_connection": "connect",
    "caller": "consume",
    "stall": "receive",
    "reasoning": "generate",
    "tool_call": "receive",
    "long_answer": "generate",
    "slow_generation": "generate",
}
"""The phase that a cause takes its time from, where their names differ."""

GOOD: Final = ("#1A7F37", "#5BC77A")
BAD: Final = ("#B3261E", "#FF8A7A")
"""Passed and failed, on a light and on a dark ground; always beside a word or a mark."""


def colour_of(name: str) -> Colour:
    """Return the colour of a phase, or of a cause by the phase that it takes its time from."""
    return PHASES[CAUSES.get(name, name)]


def phase_of(part: str) -> str | None:
    """Return the phase behind a name in a waterfall; `None` if there is none, as of time that is not accounted for."""
    name = {"your code": "consume", "pool": "pool_wait"}.get(part, part)
    return name if name in PHASES else None


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour as WCAG defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG defines it, 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def css() -> str:
    """Return the colours as a style sheet: `.phase-queue` fills a shape, and knows the colour of text on it."""
    classes = [f".phase-{name}" for name in PHASES] + [f".part-{name}" for name in PARTS]
    colours = [*PHASES.values(), *PARTS.values()]
    lines = [
        f"{name} {{ --phase: {colour.hex.lower()}; --on-phase: {colour.ink.lower()}; fill: {colour.hex.lower()}; }}"
        for name, colour in zip(classes, colours, strict=True)
    ]
    schemes = (
        f"  --{name}: light-dark({light.lower()}, {dark.lower()});"
        for name, (light, dark) in (("good", GOOD), ("bad", BAD))
    )
    return "\n".join((":root {", *schemes, "}", *lines, ""))
