"""Fixtures that rooms share; each room's conftest takes those it needs."""

from collections.abc import Iterator

import pytest

from groqscope.instrument import flush, on_record
from groqscope.simulator import Simulator
from groqscope.timeline import RequestRecord
from support.hooks import HOOKS
from support.scope import Exported


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    """One server for all tests."""
    with Simulator() as running:
        yield running


@pytest.fixture
def sim(simulator: Simulator) -> Iterator[Simulator]:
    """A simulator that answers nothing until the test says what."""
    simulator.play(None)
    simulator.take(())
    yield simulator
    flush()


@pytest.fixture
def records() -> Iterator[list[RequestRecord]]:
    """Records of the test's requests, as a callback gets them."""
    found: list[RequestRecord] = []
    remove = on_record(found.append)
    yield found
    remove()
    flush()


@pytest.fixture
def exported() -> Iterator[Exported]:
    """Where spans and metrics go."""
    # Loaded before a test breaks the timeline, whose methods stand in a table of the recorder.
    assert HOOKS
    exported = Exported()
    yield exported
    flush()
    exported.shutdown()
