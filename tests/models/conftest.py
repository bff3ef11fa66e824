"""A simulator for all tests of the room."""

from collections.abc import Iterator

import pytest

from groqscope.instrument import flush
from groqscope.simulator import Simulator


@pytest.fixture(scope="session")
def _server() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def sim(_server: Simulator) -> Iterator[Simulator]:
    """A simulator that answers nothing until the test says what."""
    _server.play(None)
    yield _server
    flush()
