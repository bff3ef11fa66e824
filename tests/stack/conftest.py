"""One stack for all tests of this folder, with an hour of traffic in it: the one that was given, or one run here."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from stack_support import given, traffic
from stack_support.stack import Stack, local
from stack_support.stack import given as hold
from support.waiting import wait_for

MINUTES = 60


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack, up."""
    addresses = given.running_stack()
    with hold(addresses) if addresses else local(tmp_path_factory.mktemp("stack")) as up:
        yield up


@dataclass
class Traffic:
    """What was sent, and when."""

    sent: traffic.Sent
    start_s: float
    end_s: float


@pytest.fixture(scope="session")
def seeded(stack: Stack) -> Traffic:
    """An hour of traffic, arrived at both ends."""
    end_s = time.time()
    sent = traffic.send(stack.post, end_unix_s=end_s, minutes=MINUTES)
    last = max(sent.ended, key=lambda r: r.start_unix_ns)
    wait_for(lambda: stack.trace(last.trace_id or ""), "the last trace is in Tempo", seconds=120)
    instances = "|".join(sent.instances)
    counted = f'sum(groqscope_stream_outcomes_total{{instance=~"{instances}"}})'
    wait_for(lambda: stack.total(counted) >= len(sent.ended), "the last metrics are in Prometheus", seconds=120)
    return Traffic(sent, end_s - MINUTES * 60, end_s)
