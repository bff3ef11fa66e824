"""One stack for all tests of this folder, with an hour of traffic in it; without tools these tests are left out."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from stack_support import traffic
from stack_support.services import Services, run, running, tools, until

NO_TOOLS = "GROQSCOPE_STACK_TOOLS names no folder with build, images, compose and shot, which can run the services"
MINUTES = 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs the tools where there are none, and say so."""
    if tools() is None:
        for item in items:
            if item.get_closest_marker("stack") and Path(__file__).parent in Path(item.fspath).parents:
                item.add_marker(pytest.mark.skip(reason=NO_TOOLS))  # nothing can run the services


@pytest.fixture(scope="session")
def folder() -> Path:
    """The tools."""
    found = tools()
    assert found is not None
    return found


@pytest.fixture(scope="session")
def programs(folder: Path) -> dict[str, str]:
    """Paths of otelcol, promtool, Tempo and the others, by name."""
    lines = run(folder / "build", "all", timeout=2400).splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


@pytest.fixture(scope="session")
def services(folder: Path) -> Iterator[Services]:
    """The stack, up."""
    with running(folder) as up:
        yield up


@dataclass
class Traffic:
    """What was sent, and when."""

    sent: traffic.Sent
    start_s: float
    end_s: float


@pytest.fixture(scope="session")
def seeded(services: Services) -> Traffic:
    """An hour of traffic, arrived at both ends."""
    end_s = time.time()
    sent = traffic.send(services.post, end_unix_s=end_s, minutes=MINUTES)
    last = max(sent.ended, key=lambda r: r.start_unix_ns)
    until("the last trace is in Tempo", lambda: services.trace(last.trace_id or ""), seconds=120)
    instances = "|".join(sent.instances)
    counted = f'sum(groqscope_stream_outcomes_total{{instance=~"{instances}"}})'
    until("the last metrics are in Prometheus", lambda: services.total(counted) >= len(sent.ended), seconds=120)
    return Traffic(sent, end_s - MINUTES * 60, end_s)
