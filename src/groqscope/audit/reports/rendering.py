"""What can be rendered, and what a terminal can show: width, unicode and colour, each a switch of its own."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from groqscope.audit.formatting import DurationUnit, UnitName
from groqscope.audit.model import Audit, Comparison, Groups, RequestAudit
from groqscope.audit.runs import RunAudit, RunsAudit
from groqscope.timeline import RequestRecord

Report = Audit | RequestAudit | Comparison | RequestRecord | RunsAudit | RunAudit
"""An overview, one request with its verdict, two sets side by side, or a record alone."""
Depth = Literal["standard", "256", "truecolor"]
"""How many colours a terminal has: sixteen, 256, or all."""
Section = Literal["all", "tools", "why", "budgets", "groups"]
"""Which part of an overview."""


def unit_of(report: Report | Groups, forced: UnitName | None = None) -> DurationUnit:
    """Return the unit of all durations of a report: the one that fits the largest, unless another is forced."""
    return DurationUnit.of(forced) if forced else DurationUnit.fitting(_durations(report))


def _durations(report: Report | Groups) -> Iterable[float | None]:
    match report:
        case Audit():
            yield from (d.max for m in (report.total, *report.models) for d in (m.duration, m.ttfc, m.ttft))
            yield from (entry.record.duration_ns for entry in report.entries)
            yield from (v for result in report.budgets if result.unit == "ns" for v in (result.measured, result.limit))
        case Groups():
            yield report.total.duration.max
        case Comparison():
            changes = (change for row in report.rows if row.unit == "ns" for change in (row.median, row.p95))
            yield from (value for change in changes for value in (change.a, change.b))
        case RunsAudit():
            yield report.duration.max
            yield from (entry.run.duration_ns for entry in report.entries)
        case RunAudit():
            yield report.entry.run.duration_ns
        case RequestAudit():
            yield from _durations(report.record)
        case _:
            yield report.duration_ns
            usage = report.usage
            yield from (t * 1e9 for t in (usage.queue_time, usage.prompt_time, usage.completion_time) if t is not None)


MIN_WIDTH = 40
DEFAULT_WIDTH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the terminal can show."""

    width: int = DEFAULT_WIDTH
    unicode: bool = True
    """Eighth blocks and arrows; without it everything is ASCII, names from data included."""
    colour: bool = False
    depth: Depth = "truecolor"
    """How many colours, where there is colour."""
    unit: UnitName | None = None
    """Force a unit of durations; `None`: the one that fits the largest value."""

    def __post_init__(self) -> None:
        """Widen what is too narrow for any report."""
        if self.width < MIN_WIDTH:
            object.__setattr__(self, "width", MIN_WIDTH)


def look_of(
    *, tty: bool, encoding: str | None, columns: int, environ: Mapping[str, str], unit: UnitName | None = None
) -> Look:
    """Return what an output can show.

    `NO_COLOR` (set to anything) turns colour off; `FORCE_COLOR` turns it on in a pipe or with `TERM=dumb`, and is 2 for
    256 colours, 3 for all.
    """
    if environ.get("NO_COLOR"):
        colour = False
    elif environ.get("FORCE_COLOR") not in (None, "", "0"):
        colour = True
    else:
        colour = tty and environ.get("TERM") != "dumb"
    unicode = (encoding or "ascii").lower().replace("_", "-").startswith(("utf", "cp65001"))
    width = columns if columns > 0 else DEFAULT_WIDTH
    return Look(width=width, unicode=unicode, colour=colour, depth=_depth(environ), unit=unit)


def _depth(environ: Mapping[str, str]) -> Depth:
    forced, term = environ.get("FORCE_COLOR"), environ.get("TERM", "")
    if forced == "3" or environ.get("COLORTERM") in ("truecolor", "24bit") or "WT_SESSION" in environ:
        return "truecolor"
    return "256" if forced == "2" or "256color" in term else "standard"
