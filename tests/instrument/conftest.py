"""A simulator for all tests of the room, and providers of each test's own."""

from collections.abc import Iterator

import pytest
from support.scope import Exported

from groqscope.instrument import _faults, flush
from groqscope.simulator import Simulator


@pytest.fixture(scope="session")
def _server() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def sim(_server: Simulator) -> Simulator:
    """A simulator that answers nothing until the test says what."""
    _server.play(None)
    _server.take(())
    return _server


@pytest.fixture
def exported() -> Iterator[Exported]:
    """Where spans and metrics go; afterwards nothing of ours may have failed."""
    _faults.counts.clear()
    exported = Exported()
    yield exported
    flush()
    exported.shutdown()

    assert not _faults.counts
