"""Delays: the client observes them, and the simulator's own ground truth says when each was.

Lower bounds are strict: nothing leaves early. Upper bounds belong to the machine: the best of three runs counts.
"""

import itertools
import time
from typing import Any

import httpx
import pytest
from groq import Groq

from groqscope.simulator import Answer, Connection, Delays, Drip, Served, Simulator, ToolCall

pytestmark = pytest.mark.wall_clock
MS = 1_000_000


def watch(sim: Simulator, **request: Any) -> tuple[int, int, list[int], int]:
    """Stream once and note the monotonic time of the call, of the headers, of each chunk, of the end."""
    client = Groq(base_url=sim.base_url, api_key="test", http_client=httpx.Client(verify=sim.client_tls or False))
    with client:
        begin = time.monotonic_ns()
        stream: Any = client.chat.completions.create(model="m", messages=[], stream=True, **request)
        headers = time.monotonic_ns()
        chunks = [time.monotonic_ns() for _ in stream]
        return begin, headers, chunks, time.monotonic_ns()


def since_body(served: Served) -> list[int]:
    return [t - (served.body_received_ns or 0) for t in served.events_ns]


def test_nothing_leaves_early(sim: Simulator) -> None:
    """Every event is written at or after the moment its delays add up to."""
    delays = Delays(before_headers=0.02, before_first=0.01, per_chunk=0.003, at={2: 0.02, -1: 0.01}, before_done=0.01)
    sim.play(Answer(["a", "b", "c"], delays=delays))
    watch(sim)
    (served,) = sim.settle()

    due = list(itertools.accumulate([0.03, 0.003, 0.023, 0.003, 0.013, 0.01]))
    assert served.headers_sent_ns - served.body_received_ns >= 20 * MS
    assert all(sent >= at * 1e9 - 1_000 for sent, at in zip(since_body(served), due, strict=True))


def test_lateness_does_not_add_up(sim: Simulator) -> None:
    """Two hundred delays of a millisecond: the last event is late by what one is late, not by two hundred times it."""

    def late() -> float:
        sim.forget()
        watch(sim)
        (served,) = sim.settle()
        return (since_body(served)[-1] - 201 * MS) / MS

    sim.play(Answer(["a"] * 200, delays=Delays(per_chunk=0.001)))
    # relative sleeps would be late by half a millisecond and more each, a hundred and more together
    assert min(late() for _ in range(3)) < 80


def test_the_client_sees_what_the_ground_truth_says(sim: Simulator) -> None:
    """No chunk is seen before it was written, and (on a machine that keeps up) within some milliseconds after."""
    sim.play(Answer(["a", "b", "c"], delays=Delays(before_headers=0.03, before_first=0.02, per_chunk=0.02)))

    def lags() -> list[int]:
        sim.forget()
        begin, headers, chunks, _ = watch(sim)
        (served,) = sim.settle()
        assert begin <= served.headers_received_ns <= served.body_received_ns <= served.headers_sent_ns <= headers
        found = [seen - sent for seen, sent in zip(chunks, served.events_ns, strict=False)]
        assert min(found) >= 0
        assert headers - begin >= 30 * MS
        return found

    assert min(max(lags()) for _ in range(3)) < 25 * MS


def test_before_close_comes_after_done(sim: Simulator) -> None:
    """The end of the message is later than `[DONE]`: the SDK reads on, so its loop ends late."""
    sim.play(Answer(["a"], delays=Delays(before_close=0.04)))
    _, _, chunks, end = watch(sim)
    (served,) = sim.settle()

    assert served.ended_ns - served.body_received_ns >= 40 * MS - 1_000
    assert served.events_ns[-1] < served.ended_ns <= end
    assert chunks[-1] < end


def test_the_silence_before_and_inside_a_tool_call(sim: Simulator) -> None:
    """A pause before the call's first event, others between its fragments."""
    call = ToolCall("f", ['{"a"', ":", "1}"])
    sim.play(Answer(tool_calls=[call], delays=Delays(before_tools=0.04, inside_tools=0.02)))
    watch(sim)
    (served,) = sim.settle()

    due = list(itertools.accumulate([0, 40, 20, 20, 0, 0]))
    assert all(sent >= at * MS - 1_000 for sent, at in zip(since_body(served), due, strict=True))


def test_a_slow_drip_spreads_an_event(sim: Simulator) -> None:
    """Pieces leave one by one; an event counts with its last piece."""
    sim.play(Answer(["a"], drip=Drip(size=100, delay=0.002)))
    watch(sim)
    (served,) = sim.settle()

    pieces = [w for w in served.writes if w.events == 0] + [next(w for w in served.writes if w.events == 1)]
    assert len(pieces) >= 3
    assert pieces[-1].ns - served.body_received_ns >= (len(pieces) - 1) * 2 * MS - 1_000


def test_an_unstreamed_answer_waits_before_headers_body_and_close(sim: Simulator) -> None:
    """Its three delays, in that order."""
    sim.play(Answer("a", delays=Delays(before_headers=0.02, before_first=0.02, before_close=0.02)))
    with Groq(base_url=sim.base_url, api_key="test") as client:
        client.chat.completions.create(model="m", messages=[])
    (served,) = sim.settle()

    marks = [served.body_received_ns, served.headers_sent_ns, served.first_write_ns, served.ended_ns]
    assert [mark - marks[0] >= due * MS - 1_000 for mark, due in zip(marks, [0, 20, 40, 60], strict=True)] == [True] * 4


def test_a_connection_is_taken_late() -> None:
    """`accept_delay`: the request waits in the kernel; the ground truth says when reading began."""
    with Simulator(Answer("a"), connections=[Connection(accept_delay=0.05)]) as sim:
        begin, headers, _, _ = watch(sim)
        (served,) = sim.settle()

    assert served.connection.opened_ns - served.connection.accepted_ns >= 50 * MS - 1_000
    assert served.headers_received_ns >= served.connection.opened_ns
    assert headers - begin >= 50 * MS - 1_000


def test_a_tls_handshake_is_answered_late() -> None:
    """`tls_delay`: before the handshake, with a certificate made for the occasion."""
    with Simulator(Answer("a"), tls=True, connections=[Connection(tls_delay=0.05)]) as sim:
        begin, headers, _, _ = watch(sim)
        (served,) = sim.settle()

    connection = served.connection
    assert sim.base_url.startswith("https://")
    assert connection.tls_started_ns - connection.accepted_ns >= 50 * MS - 1_000
    assert connection.tls_started_ns <= connection.tls_done_ns <= served.headers_received_ns
    assert headers - begin >= 50 * MS - 1_000


def test_a_connection_is_reused_or_new(sim: Simulator) -> None:
    """Requests of one client share a connection; the ground truth tells the first from the later ones."""
    sim.play(Answer("a"))
    with Groq(base_url=sim.base_url, api_key="test") as client:
        for _ in range(2):
            client.chat.completions.create(model="m", messages=[])
    first, second = sim.settle()

    assert first.connection is second.connection
    assert (first.first_on_connection, second.first_on_connection) == (True, False)


@pytest.mark.parametrize("count", [300])
def test_many_streams_at_once(count: int) -> None:
    """Hundreds of concurrent streams: each complete, and no event of any of them early."""
    import asyncio

    from groq import AsyncGroq

    async def read_all(sim: Simulator) -> list[int]:
        limits = httpx.Limits(max_connections=count, max_keepalive_connections=0)
        http = httpx.AsyncClient(limits=limits, verify=False, timeout=60)
        async with AsyncGroq(base_url=sim.base_url, api_key="test", http_client=http) as client:

            async def one() -> int:
                stream: Any = await client.chat.completions.create(model="m", messages=[], stream=True)
                return len([chunk async for chunk in stream])

            return await asyncio.gather(*(one() for _ in range(count)))

    with Simulator(Answer(["a"] * 5, delays=Delays(before_headers=0.2, per_chunk=0.02))) as sim:
        found = asyncio.run(read_all(sim))
        served = sim.settle()

    assert found == [7] * count
    assert {s.left for s in served} == {"complete"}
    assert all(since_body(s)[-1] >= 320 * MS - 1_000 for s in served)
    # they were open together
    assert max(s.headers_received_ns for s in served) < max(s.ended_ns or 0 for s in served)
