"""The lengths of a waterfall as text, rounded so that what a reader adds up comes out right."""

from collections.abc import Sequence
from dataclasses import dataclass

from groqscope.audit.reports._text import Unit
from groqscope.audit.reports._waterfall import Waterfall


@dataclass(frozen=True, slots=True)
class Figure:
    """A row's length and those of its parts."""

    text: str
    parts: tuple[str, ...] = ()


def figures(fall: Waterfall, unit: Unit) -> tuple[Figure, ...]:
    """Write the length of every row: the client's add up to the total as written, parts to their row as written."""
    client = [row.length_ns or 0 for row in fall.group("client")]
    steps = iter(apportion(client, unit.steps(fall.total_ns), unit.step_ns))
    written: list[Figure] = []
    for row in fall.rows:
        if row.group != "client" or row.length_ns is None:
            written.append(Figure(unit.text(row.length_ns)))
            continue
        mine = next(steps)
        lengths = [part.ns for part in row.parts]
        parts = zip(apportion(lengths, mine, unit.step_ns), lengths, strict=True)
        written.append(
            Figure(unit.stepped(mine, row.length_ns), tuple(unit.stepped(step, length) for step, length in parts))
        )
    return tuple(written)


def apportion(lengths: Sequence[int], steps: int, step_ns: float) -> list[int]:
    """Round lengths to steps that sum to `steps`, by largest remainder; a part that is off by more is left as it is."""
    exact = [length / step_ns for length in lengths]
    whole = [int(value) for value in exact]
    missing = steps - sum(whole)
    if not 0 <= missing <= len(lengths):
        return [round(value) for value in exact]
    order = sorted(range(len(exact)), key=lambda i: (whole[i] - exact[i], i))
    for index in order[:missing]:
        whole[index] += 1
    return whole
