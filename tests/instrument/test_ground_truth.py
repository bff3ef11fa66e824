"""Injected delays are found in the phases they belong to, within 5 ms or 5 %, sync and async."""

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from support.both import Mode
from support.ground_truth import scenarios
from support.ground_truth.runner import PHASES, Bench, table
from support.ground_truth.scenario import Scenario
from support.ground_truth.scenarios import SCENARIOS
from support.sdks import GROQ, SDK, SDKS


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """The servers that the scenarios run against."""
    with Bench().running() as running:
        yield running


def modes_of(scenario: Scenario, number: int, sdk: SDK) -> tuple[Mode, ...]:
    """Both modes with Groq's SDK; with the other one, where only what is above httpx differs, one after the other."""
    if sdk is GROQ or len(scenario.modes) == 1:
        return scenario.modes
    return ("async",) if scenario.drains or number % 2 else ("sync",)


def marks_of(number: int, mode: Mode, sdk: SDK, scenario: Scenario) -> tuple[Any, ...]:
    """A scenario takes the time that it injects: `make test` has it once, with Groq's SDK, sync or async by turns."""
    quick = sdk is GROQ and mode == scenario.modes[number % len(scenario.modes)]
    return () if quick else (pytest.mark.slow,)


RUNS = [
    pytest.param(s, mode, sdk, id=f"{sdk}-{s}-{mode}", marks=marks_of(number, mode, sdk, s))
    for place, sdk in enumerate(SDKS)
    for number, s in enumerate(SCENARIOS, place)
    for mode in modes_of(s, number, sdk)
    if not (s.drains and sdk is not GROQ and mode == "sync")
]


@pytest.mark.wall_clock
@pytest.mark.parametrize(("scenario", "mode", "sdk"), RUNS)
def test_found(scenario: Scenario, mode: Mode, sdk: SDK, bench: Bench) -> None:
    """The injected delay is where it belongs, nothing is elsewhere, the phases add up; one retry on a busy machine."""
    found = bench.run(scenario, mode, sdk)

    assert not found.wrong, "\n".join(table([found]))


def test_every_phase_is_injected_somewhere() -> None:
    """The table leaves no phase out, and has at least thirty scenarios, each under a name of its own."""
    source = inspect.getsource(scenarios)

    assert [phase for phase in PHASES if f'"{phase}": ' not in source] == []
    assert len({s.name for s in SCENARIOS}) == len(SCENARIOS) >= 30
