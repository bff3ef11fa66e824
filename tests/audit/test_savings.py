"""What is shown and blamed, against the same request with another caller, or without the cause.

On the wall clock: what the threads of this process waited for a processor is allowed on top.
"""

from collections.abc import Iterator

import pytest
from support import savings
from support.savings import CAUSES, CELLS, TOKENS, Bench, Cause, Cell

from groqscope.audit.verdict import judge

pytestmark = [pytest.mark.slow, pytest.mark.wall_clock]
MARGIN_NS = 25_000_000


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """The simulators."""
    with savings.bench() as made:
        yield made


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_speed_is_true_and_the_caller_is_blamed_for_what_would_be_saved(bench: Bench, cell: Cell) -> None:
    """Over server and caller speeds, three kinds of reader, with and without Groq's `completion_time`."""
    run = bench.cell(cell)
    record, speed = run.record, run.record.output_token_throughput
    margin = MARGIN_NS + 0.1 * abs(run.saved_ns) + 2 * run.waited_ns
    blamed = record.caller_delay_ns or 0

    if cell.reported:
        assert speed == pytest.approx(run.truth, rel=0.05)
        assert abs(blamed - run.saved_ns) < margin
    else:
        assert speed is None or abs(TOKENS / speed - TOKENS * cell.server_s) * 1e9 < MARGIN_NS + 2 * run.waited_ns
        assert blamed < run.saved_ns + margin
    if cell.caller_s > 2 * cell.server_s:
        assert (speed is None) == (not cell.reported)
    named = [cause.code for cause in judge(record, {}).causes]
    if run.saved_ns < 0.1 * record.duration_ns - 2 * run.waited_ns:
        assert "caller" not in named
    if cell.reported and run.saved_ns > 0.3 * record.duration_ns + 150_000_000:
        assert "caller" in named


@pytest.mark.parametrize("cause", CAUSES, ids=str)
def test_a_cause_takes_what_its_absence_saves(bench: Bench, cause: Cause) -> None:
    """The same request without the queue, the failed attempt, the new connection, the full pool."""
    run = bench.cause(cause)

    assert abs(run.blamed_ns - run.saved_ns) < MARGIN_NS + 0.1 * run.saved_ns + 2 * run.waited_ns
    assert run.saved_ns > 150_000_000
