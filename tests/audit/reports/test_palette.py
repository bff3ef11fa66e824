"""The colours: one for each phase, told apart by everybody, readable in light and in dark."""

import math
import re
from itertools import combinations, pairwise
from typing import get_args

import pytest
from support.report_samples import judged, queued, retried

from groqscope.audit.reports import HtmlRenderer, Look, TerminalRenderer
from groqscope.audit.reports.palette import BAD, CAUSES, GOOD, PARTS, PHASES, colour_of, contrast, css
from groqscope.audit.rules import RULES
from groqscope.runs.spans import PartKind
from groqscope.timeline import PHASE_NAMES

LIGHT, DARK, GRAFANA_DARK = "#FFFFFF", "#1C2026", "#181B1F"
CLOSE = 0.06
"""A distance in OKLab at which two areas side by side are still told apart."""
CLOSE_IN_A_LEGEND, FAINT = 0.08, 0.04
"""Distances for areas anywhere: of somebody who sees all colours, and of others."""
TOGETHER = ("retry", "connect", "queue", "prefill", "network", "generate", "receive", "consume")
"""Phases that take the most of a request, so that any two of them may lie side by side."""
SIGHT = {
    "all colours": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "no green": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "no blue": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}
"""How linear red, green and blue are seen (Machado, Oliveira and Fernandes 2009, severity 1)."""


def seen(colour: str, sight: str) -> tuple[float, ...]:
    """Return a colour in OKLab, as somebody with that sight sees it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    r, g, b = (max(0.0, sum(x * y for x, y in zip(row, linear, strict=True))) for row in SIGHT[sight])
    long = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3)
    middle = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3)
    short = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3)
    return (
        0.2104542553 * long + 0.793617785 * middle - 0.0040720468 * short,
        1.9779984951 * long - 2.428592205 * middle + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * middle - 0.808675766 * short,
    )


def test_every_phase_part_and_cause_has_a_colour():
    """A new phase, kind of part or cause without a colour would have none in a report."""
    assert tuple(PHASES) == PHASE_NAMES
    assert set(PARTS) == set(get_args(PartKind))
    assert {rule.code for rule in RULES} >= set(CAUSES)
    assert all(colour_of(rule.code) for rule in RULES)


@pytest.mark.parametrize("ground", [LIGHT, DARK, GRAFANA_DARK])
def test_stands_out(ground: str):
    """A bar stands out from a white and from a dark ground (WCAG 1.4.11)."""
    assert {name: c for name, p in PHASES.items() if (c := contrast(p.hex, ground)) < 3} == {}


def test_text_is_readable():
    """Text on a bar, and the words for passed and failed, keep to AA."""
    assert {name: c for name, p in PHASES.items() if (c := contrast(p.hex, p.ink)) < 4.5} == {}
    assert all(contrast(light, LIGHT) >= 4.5 and contrast(dark, DARK) >= 4.5 for light, dark in (GOOD, BAD))


@pytest.mark.parametrize("sight", SIGHT)
def test_neighbours_are_told_apart(sight: str):
    """Phases side by side differ, whichever colours somebody sees."""
    pairs = [*pairwise(PHASES), *((a, b) for i, a in enumerate(TOGETHER) for b in TOGETHER[i + 1 :])]
    near = {(a, b): math.dist(seen(PHASES[a].hex, sight), seen(PHASES[b].hex, sight)) for a, b in pairs}

    assert {pair: round(distance, 3) for pair, distance in near.items() if distance < CLOSE} == {}


@pytest.mark.parametrize("sight", SIGHT)
def test_any_two_are_told_apart(sight: str):
    """No two phases look the same, in a legend or in a chart of all of them."""
    least = CLOSE_IN_A_LEGEND if sight == "all colours" else FAINT
    near = {
        (a, b): math.dist(seen(PHASES[a].hex, sight), seen(PHASES[b].hex, sight)) for a, b in combinations(PHASES, 2)
    }

    assert {pair: round(distance, 3) for pair, distance in near.items() if distance < least} == {}


def test_no_phase_is_red():
    """Red says that something failed; no phase does, for eyes that see red."""
    reds = [seen(colour, "all colours") for colour in BAD]
    near = {
        name for name, p in PHASES.items() if any(math.dist(seen(p.hex, "all colours"), red) < CLOSE for red in reds)
    }

    assert near == set()


@pytest.mark.parametrize(("name", "record"), [("queue", queued), ("retry", retried)])
def test_a_phase_has_its_colour_in_terminal_and_page(name: str, record):
    """The terminal's escape sequence and the page's style sheet say the same, whatever share of the time it is."""
    report, colour = judged(record()), PHASES[name].hex
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))

    assert f"38;2;{red};{green};{blue}m" in TerminalRenderer(Look(colour=True)).render(report)

    page = HtmlRenderer().render(report)

    assert f".phase-{name} {{ --phase: {colour.lower()};" in page
    assert f'"phase-{name}"' in page


def test_neighbours_differ_in_sixteen_colours():
    """So do they where a terminal has few."""
    assert all(PHASES[a].ansi != PHASES[b].ansi for a, b in pairwise(PHASES))


def test_sixteen_colours_have_names():
    """A terminal with few colours gets one of its own for each phase, not the nearest by chance."""
    text = TerminalRenderer(Look(colour=True, depth="standard")).render(judged(queued()))

    assert "38;2;" not in text
    assert "38;5;" not in text
    assert re.search(r"\x1b\[(1;)?93m█", text)


def test_css_names_every_class():
    """The style sheet has a class for each phase and each part."""
    sheet = css()

    assert all(f".phase-{name} {{" in sheet for name in PHASES)
    assert all(f".part-{name} {{" in sheet for name in PARTS)
