"""The table of scenarios: known delays, and the phases that they belong to."""

from collections.abc import Mapping
from typing import Any, Final

from groqscope.simulator import (
    Answer,
    Chunk,
    Close,
    Connection,
    Cut,
    Delays,
    ErrorEvent,
    Failure,
    Hang,
    Reset,
    Response,
    ToolCall,
    ToolDelta,
    Truncated,
    Usage,
)
from support.ground_truth.callers import (
    Cancelled,
    TimeOutInThePool,
    WaitForThePool,
    ask,
    ask_and_catch,
    ask_twice,
    break_after_a_pause,
    break_at_once,
    drop_after_a_pause,
    pause_then_close,
    pause_then_read,
    read,
    read_and_catch,
    read_lines_slowly,
    read_slowly,
)
from support.ground_truth.scenario import TOLERANCE_S, Expected, Scenario, Truth
from support.transports import renewing, retrying


def text(count: int = 2) -> list[Chunk]:
    """Chunks that each carry a token, the last one also usage."""
    return [Chunk("a") for _ in range(count)]


def first_event(truth: Truth) -> Mapping[str, float]:
    """The whole wait is the network's."""
    return {"network": truth.until_event(0)}


def first_and_rest(truth: Truth) -> Mapping[str, float]:
    """Waiting for the first event, then for all others."""
    return {"network": truth.until_event(0), "receive": truth.between_events(0, -1)}


NO_TIMES: Final = Usage(queue_time=0.0, prompt_time=0.0, completion_time=0.0)
"""The server says nothing about its time, so that all of a wait is network."""


def streamed(chunks: list[Chunk] | None = None, usage: Usage | None = NO_TIMES, **options: Any) -> Answer:
    """A stream whose first event brings the first token."""
    return Answer(chunks=chunks or text(), usage=usage, **options)


def _wait_of(queue: float, prefill: float) -> Expected:
    def expected(truth: Truth) -> Mapping[str, float]:
        return {"queue": queue, "prefill": prefill, "network": truth.until_event(0) - queue - prefill}

    return expected


SCENARIOS: Final = [
    # the wait for the first token
    Scenario("headers late", read, streamed(delays=Delays(before_headers=0.05)), first_event),
    Scenario("first chunk late", read, streamed(delays=Delays(before_first=0.05)), first_event),
    Scenario(
        "headers and first chunk late",
        read,
        streamed(delays=Delays(before_headers=0.03, before_first=0.04)),
        first_event,
    ),
    Scenario(
        "role first, then silence",
        read,
        Answer(chunks=[Chunk(role="assistant", content=""), Chunk("a", delay=0.05)], usage=NO_TIMES),
        lambda t: {"network": t.until_event(1)},
        check=lambda r, _: r.ttft_ns is not None and r.ttfc_ns is not None and r.ttft_ns - r.ttfc_ns > 45_000_000,
    ),
    Scenario(
        "reasoning before the answer",
        read,
        streamed([Chunk(reasoning="so"), Chunk("a", delay=0.05)]),
        first_and_rest,
        check=lambda r, _: r.ttfot_ns is not None and r.ttfrt_ns is not None and r.ttfot_ns - r.ttfrt_ns > 45_000_000,
    ),
    Scenario(
        "server times agree",
        read,
        streamed(usage=Usage(queue_time=0.03, prompt_time=0.04), delays=Delays(before_headers=0.03, before_first=0.04)),
        _wait_of(0.03, 0.04),
        check=lambda r, _: not r.phases_clamped,
    ),
    Scenario(
        "server times are a part",
        read,
        streamed(usage=Usage(queue_time=0.02, prompt_time=0.02), delays=Delays(before_first=0.08)),
        _wait_of(0.02, 0.02),
        check=lambda r, _: not r.phases_clamped,
    ),
    Scenario(
        "queue time that cannot be",
        read,
        streamed(usage=Usage(queue_time=9.0, prompt_time=0.02), delays=Delays(before_first=0.05)),
        lambda t: {"queue": t.until_event(0)},
        check=lambda r, _: r.phases_clamped and r.phases.prefill == r.phases.network == 0,
    ),
    Scenario(
        "prompt time that cannot be",
        read,
        streamed(usage=Usage(queue_time=0.02, prompt_time=9.0), delays=Delays(before_first=0.05)),
        lambda t: {"queue": 0.02, "prefill": t.until_event(0) - 0.02},
        check=lambda r, _: r.phases_clamped and r.phases.network == 0,
    ),
    Scenario(
        "accepted late",
        read,
        streamed(),
        lambda t: {"network": (t.served[-1].events_ns[0] - t.served[-1].connection.accepted_ns) / 1e9},
        connections=(Connection(accept_delay=0.05),),
    ),
    # the stream
    Scenario("chunks come slowly", read, streamed(text(4), delays=Delays(per_chunk=0.02)), first_and_rest),
    Scenario(
        "one long gap",
        read,
        streamed(text(5), delays=Delays(at={3: 0.06})),
        first_and_rest,
        check=lambda r, _: r.icl_max_ns is not None and r.icl_max_ns > 55_000_000,
    ),
    Scenario("[DONE] late", read, streamed(delays=Delays(before_done=0.05)), first_and_rest),
    Scenario(
        "end of the message late",
        read,
        streamed(delays=Delays(before_close=0.05)),
        lambda t: {"network": t.until_event(0), "receive": t.between_events(0, -1) + t.after_event(-1)},
        drains=True,
    ),
    Scenario(
        "silence before a tool call",
        read,
        streamed(
            [Chunk("a"), Chunk(tool_calls=[ToolDelta(id="c", name="f", arguments="{}")])],
            delays=Delays(before_tools=0.06),
        ),
        first_and_rest,
        check=lambda r, t: (
            55_000_000 < (r.tool_calls[0].assembly_ns or 0) < t.until_end() * 1e9 and r.tool_calls[0].delta_ns == 0
        ),
    ),
    Scenario(
        "tool call in fragments",
        read,
        Answer("a", tool_calls=[ToolCall("f", ['{"a"', ":", "1}"])], usage=NO_TIMES, delays=Delays(inside_tools=0.02)),
        lambda t: {"network": t.until_event(1), "receive": t.between_events(1, -1)},
        check=lambda r, t: (
            r.tool_calls[0].deltas >= 3 and 35_000_000 < (r.tool_calls[0].delta_ns or 0) < t.until_end() * 1e9
        ),
    ),
    Scenario(
        "tool call first of all",
        read,
        streamed(
            [Chunk(tool_calls=[ToolDelta(id="c", name="f", arguments="{}")]), Chunk()], delays=Delays(before_first=0.05)
        ),
        first_and_rest,
        check=lambda r, t: abs((r.tool_calls[0].assembly_ns or 0) / 1e9 - t.until_event(0)) < TOLERANCE_S,
    ),
    Scenario(
        "truncated after a gap",
        read,
        streamed(text(3), delays=Delays(at={1: 0.05}), ending=Truncated(2)),
        first_and_rest,
        "truncated",
    ),
    # the caller's own time
    Scenario(
        "slow caller, fast server",
        read_slowly,
        streamed(text(4)),
        lambda t: {"network": t.until_event(0), "consume": t.paused()},
        check=lambda r, _: r.icl_excluded == max(0, (r.reads or 0) - 1),
    ),
    Scenario(
        "slow caller, several events a read",
        read_slowly,
        streamed(text(5), events_per_write=5),
        lambda t: {"network": t.until_event(0), "consume": t.paused()},
        check=lambda r, _: (r.reads or 9) <= 2,
    ),
    Scenario(
        "caller slower than the server",
        read_slowly,
        streamed(text(4), delays=Delays(per_chunk=0.01)),
        lambda t: {"network": t.until_event(0), "consume": t.paused()},
    ),
    Scenario(
        "server slower than the caller",
        read_slowly,
        streamed(text(4), delays=Delays(per_chunk=0.05)),
        lambda t: {
            "network": t.until_event(0),
            "consume": t.paused(),
            "receive": t.between_events(0, 3) - sum(t.caller.pauses[:3]),
        },
    ),
    Scenario(
        "caller reads lines slowly",
        read_lines_slowly,
        streamed(text(3)),
        lambda t: {"network": t.until_event(0), "consume": t.paused()},
    ),
    Scenario("pause before reading", pause_then_read, streamed(), lambda t: {"consume": t.paused()}),
    Scenario(
        "pause before reading, server slower",
        pause_then_read,
        streamed(delays=Delays(before_first=0.1)),
        lambda t: {"consume": t.paused(), "network": t.until_event(0) - t.paused()},
    ),
    Scenario(
        "pause, then close",
        pause_then_close,
        streamed(delays=Delays(before_first=1.0)),
        lambda t: {"consume": t.paused()},
        "closed",
    ),
    Scenario(
        "break after a pause",
        break_after_a_pause,
        streamed(text(3), delays=Delays(at={1: 1.0})),
        lambda t: {"consume": t.paused(), "network": t.until_event(0)},
        "closed",
    ),
    Scenario(
        "dropped after a pause",
        drop_after_a_pause,
        streamed(text(3), delays=Delays(at={1: 1.0})),
        first_event,
        "abandoned",
    ),
    # not streamed
    Scenario(
        "whole answer",
        ask,
        Answer(
            "a b",
            usage=Usage(queue_time=0.01, prompt_time=0.02, completion_time=0.03),
            delays=Delays(before_headers=0.08),
        ),
        lambda t: {"queue": 0.01, "prefill": 0.02, "generate": 0.03, "network": t.until_end() - 0.06},
    ),
    Scenario(
        "whole answer, body late",
        ask,
        Answer("a b", usage=NO_TIMES, delays=Delays(before_first=0.05)),
        lambda t: {"network": t.until_end()},
    ),
    Scenario(
        "whole answer, completion time that cannot be",
        ask,
        Answer(
            "a b", usage=Usage(queue_time=0.0, prompt_time=0.0, completion_time=9.0), delays=Delays(before_first=0.05)
        ),
        lambda t: {"generate": t.until_end()},
        check=lambda r, _: r.phases_clamped,
    ),
    # before and after
    Scenario("slow to build the request", read, streamed(), lambda _: {"prepare": 0.05}, slow_build=0.05),
    Scenario(
        "slow to close",
        break_at_once,
        streamed(text(3), delays=Delays(at={1: 1.0})),
        lambda t: {"network": t.until_event(0), "finish": 0.05},
        "closed",
        slow_close=0.05,
    ),
    # connections
    Scenario(
        "slow to connect",
        read,
        streamed(),
        lambda _: {"connect": 0.05},
        slow_connect=0.05,
        check=lambda r, _: r.connection_reused is False,
    ),
    Scenario(
        "slow handshake",
        read,
        streamed(),
        lambda t: {"tls": ((t.served[-1].connection.tls_done_ns or 0) - t.served[-1].connection.accepted_ns) / 1e9},
        connections=(Connection(tls_delay=0.05),),
        secure=True,
    ),
    Scenario(
        "slow to connect, then a handshake",
        ask,
        Answer("a", usage=NO_TIMES),
        lambda t: {
            "connect": 0.04,
            "tls": ((t.served[-1].connection.tls_done_ns or 0) - t.served[-1].connection.accepted_ns) / 1e9,
        },
        connections=(Connection(tls_delay=0.03),),
        secure=True,
        slow_connect=0.04,
    ),
    Scenario("slow to send", ask, Answer("a", usage=NO_TIMES), lambda _: {"send": 0.05}, slow_send=0.05),
    Scenario(
        "pool of one",
        WaitForThePool(),  # type: ignore[arg-type] - threads and tasks are written out
        [streamed(delays=Delays(before_done=5.0)), Answer("a", usage=NO_TIMES)],
        lambda t: {"pool_wait": (t.caller.marks["released"] - t.caller.marks["asked"]) / 1e9},
        client=lambda lib: {"http": {"limits": lib.Limits(max_connections=1)}},
    ),
    Scenario(
        "reused connection",
        ask_twice,
        [Answer("a"), Answer("a", usage=NO_TIMES, delays=Delays(before_headers=0.05))],
        lambda t: {"network": t.until_end()},
        check=lambda r, _: r.connection_reused is True and r.phases.connect is r.phases.tls is None,
    ),
    # retries
    Scenario(
        "429 once",
        ask,
        [Failure(429, retry_after=0.05), Answer("a", usage=NO_TIMES)],
        lambda t: {"retry": t.before_last_attempt()},
        check=lambda r, t: (
            [a.status for a in r.attempts] == [429, 200]
            and 49_000_000 < (r.attempts[0].backoff_ns or 0) < t.before_last_attempt() * 1e9
        ),
    ),
    Scenario(
        "429 twice, then slow",
        read,
        [Failure(429, retry_after=0.03), Failure(429, retry_after=0.03), streamed(delays=Delays(before_first=0.05))],
        lambda t: {"retry": t.before_last_attempt(), "network": t.until_event(0)},
        check=lambda r, _: len(r.attempts) == 3,
    ),
    Scenario(
        "503 that is slow itself",
        ask,
        [
            Failure(503, headers={"retry-after-ms": "20"}, delays=Delays(before_headers=0.05)),
            Answer("a", usage=NO_TIMES),
        ],
        lambda t: {"retry": t.before_last_attempt()},
        check=lambda r, _: (r.attempts[0].wait_ns or 0) > 45_000_000,
    ),
    Scenario(
        "reset, then answered",
        ask,
        [Reset(delay=0.02), Answer("a", usage=NO_TIMES)],
        lambda t: {"retry": t.before_last_attempt()},
        check=lambda r, _: [a.status for a in r.attempts] == [None, 200],
    ),
    # exchanges below the SDK
    Scenario(
        "429 twice, retried by the transport",
        ask,
        [Failure(429), Failure(429), Answer("a", usage=NO_TIMES)],
        lambda t: {"retry": t.before_last_attempt()},
        check=lambda r, t: (
            [a.status for a in r.attempts] == [429, 429, 200]
            and r.retries == 2
            and all((a.backoff_ns or 0) > 49_000_000 for a in r.attempts[:-1])
            and sum(a.backoff_ns or 0 for a in r.attempts) < t.before_last_attempt() * 1e9
        ),
        transport=lambda lib, mode: retrying(lib)(mode, 0.05),
    ),
    Scenario(
        "503 that is slow itself, retried by the transport",
        read,
        [Failure(503, delays=Delays(before_headers=0.05)), streamed(delays=Delays(before_first=0.05))],
        lambda t: {"retry": t.before_last_attempt(), "network": t.until_event(0)},
        check=lambda r, _: [a.error_type for a in r.attempts] == ["503", None],
        transport=lambda lib, mode: retrying(lib)(mode, 0.03),
    ),
    Scenario(
        "reset, retried by the transport",
        ask,
        [Reset(delay=0.02), Answer("a", usage=NO_TIMES)],
        lambda t: {"retry": t.before_last_attempt()},
        check=lambda r, _: [a.status for a in r.attempts] == [None, 200] and r.attempts[0].error_type is not None,
        transport=lambda lib, mode: retrying(lib)(mode, 0.05),
    ),
    Scenario(
        "redirected",
        ask,
        [
            Response(
                status=307, headers={"location": "/openai/v1/chat/completions"}, delays=Delays(before_headers=0.05)
            ),
            Answer("a", usage=NO_TIMES, delays=Delays(before_headers=0.05)),
        ],
        lambda t: {"network": t.before_last_attempt() + t.until_end()},
        check=lambda r, _: [a.status for a in r.attempts] == [307, 200] and r.retries == 0,
        client=lambda _: {"http": {"follow_redirects": True}},
    ),
    Scenario(
        "credentials renewed",
        ask,
        [
            Failure(401, delays=Delays(before_headers=0.05)),
            Answer("a", usage=NO_TIMES, delays=Delays(before_headers=0.05)),
        ],
        lambda t: {"network": t.before_last_attempt() + t.until_end()},
        check=lambda r, _: [a.status for a in r.attempts] == [401, 200] and r.retries == 0,
        client=lambda lib: {"http": {"auth": renewing(lib)()}},
    ),
    # errors at every stage
    Scenario(
        "nobody there",
        ask_and_catch,
        Close(),
        lambda _: {"connect": 0.05},
        "error",
        slow_connect=-0.05,
        client=lambda _: {"max_retries": 0},
    ),
    Scenario(
        "certificate not trusted",
        ask_and_catch,
        Close(),
        lambda _: {"tls": 0.05},
        "error",
        connections=(Connection(tls_delay=0.05),),
        secure=True,
        trusted=False,
        client=lambda _: {"max_retries": 0},
    ),
    Scenario(
        "time-out in the pool",
        TimeOutInThePool(),  # type: ignore[arg-type] - as above
        streamed(delays=Delays(before_done=5.0)),
        lambda _: {"pool_wait": 0.06},
        "error",
        client=lambda lib: {
            "max_retries": 0,
            "timeout": lib.Timeout(5, pool=0.06),
            "http": {"limits": lib.Limits(max_connections=1)},
        },
    ),
    Scenario(
        "closed before the headers",
        ask_and_catch,
        Close(delay=0.05),
        lambda t: {"network": t.until_end()},
        "error",
        client=lambda _: {"max_retries": 0},
    ),
    Scenario(
        "time-out before the headers",
        ask_and_catch,
        Hang(),
        lambda _: {"network": 0.08},
        "error",
        client=lambda _: {"max_retries": 0, "timeout": 0.08},
        check=lambda r, _: r.error_type == "timeout",
    ),
    Scenario(
        "error status",
        read_and_catch,
        Failure(400, delays=Delays(before_headers=0.05)),
        lambda t: {"network": t.until_end()},
        "error",
    ),
    Scenario(
        "error status, body late",
        read_and_catch,
        Failure(400, delays=Delays(before_first=0.05)),
        lambda t: {"network": t.until_end()},
        "error",
    ),
    Scenario(
        "reset in the stream",
        read_and_catch,
        streamed(text(3), delays=Delays(at={1: 0.05}), ending=Reset(2)),
        lambda t: {"network": t.until_event(0), "receive": t.between_events(0, 1)},
        "error",
    ),
    Scenario(
        "cut in the stream",
        read_and_catch,
        streamed(text(3), delays=Delays(at={1: 0.05}), ending=Cut(2)),
        lambda t: {"network": t.until_event(0), "receive": t.between_events(0, 1)},
        "error",
    ),
    Scenario(
        "time-out in the stream",
        read_and_catch,
        streamed(text(3), ending=Hang(1)),
        lambda t: {"network": t.until_event(0), "receive": 0.08},
        "error",
        client=lambda _: {"timeout": 0.08},
    ),
    Scenario(
        "error event after a gap",
        read_and_catch,
        streamed(text(3), delays=Delays(at={1: 0.05}), ending=ErrorEvent(2)),
        lambda t: {"network": t.until_event(0), "receive": t.between_events(0, -1)},
        "error",
    ),
    Scenario(
        "cancelled in the stream",
        Cancelled(),  # type: ignore[arg-type] - only async
        streamed(text(3), ending=Hang(1)),
        lambda t: {
            "network": t.until_event(0),
            "receive": (t.caller.marks["cancelled"] - t.served[-1].events_ns[0]) / 1e9,
        },
        "cancelled",
        modes=("async",),
    ),
]
