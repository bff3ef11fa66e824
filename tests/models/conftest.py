"""A simulator for all tests of the room."""

from collections.abc import Iterator

import pytest

from groqscope.instrument import faults, flush
from groqscope.simulator import Simulator


@pytest.fixture(scope="session")
def _server() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def sim(_server: Simulator) -> Iterator[Simulator]:
    """A simulator that answers nothing until the test says what; afterwards nothing of ours may have failed."""
    faults.counts.clear()
    _server.play(None)
    yield _server
    flush()

    assert not faults.counts
