"""Requests as a day of work makes them, with causes of slowness injected where a test wants them."""

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from groqscope.timeline import Attempt, Phases, RequestRecord, ToolCall, Usage

MS = 1_000_000
MODEL = "llama-3.3-70b-versatile"
START = 1_790_000_000_000_000_000


def request(number: int = 0, *, rng: random.Random | None = None, **injected: int) -> RequestRecord:
    """Make a completed streamed request of about 400 ms; `injected` adds nanoseconds to phases of that name.

    `stall` is a pause in `receive`, `reasoning` is reasoning in `receive`, `tokens` sets the number of output tokens.
    """
    rng = rng or random.Random(number)
    tokens = injected.pop("tokens", rng.randrange(180, 220))
    stall, reasoning = injected.pop("stall", 0), injected.pop("reasoning", 0)
    gap = round(1.5 * MS * rng.uniform(0.9, 1.1))
    lengths: dict[str, int] = {
        "prepare": rng.randrange(1 * MS, 2 * MS),
        "send": rng.randrange(MS // 2, MS),
        "queue": rng.randrange(2 * MS, 8 * MS),
        "prefill": rng.randrange(20 * MS, 30 * MS),
        "network": rng.randrange(15 * MS, 30 * MS),
        "receive": gap * (tokens - 1) + stall + reasoning,
        "consume": rng.randrange(4 * MS, 8 * MS),
        "finish": rng.randrange(MS // 10, MS // 5),
    }
    for name, extra in injected.items():
        lengths[name] = lengths.get(name, 0) + extra
    phases = Phases(**lengths)
    first = sum(v for k, v in phases.items() if k not in {"receive", "consume", "finish"})
    return RequestRecord(
        trace_id=f"{number + 1:032x}",
        span_id=f"{number + 1:016x}",
        service="worker",
        request_id=f"req_01k{number:023d}",
        response_id=f"chatcmpl-{number:08d}",
        start_unix_ns=START + number * 250 * MS,
        duration_ns=phases.total(),
        model=MODEL,
        stream=True,
        status=200,
        finish_reasons=("stop",),
        usage=Usage(
            input_tokens=rng.randrange(400, 600),
            output_tokens=tokens,
            queue_time=lengths["queue"] / 1e9,
            prompt_time=lengths["prefill"] / 1e9,
            completion_time=gap * tokens / 1e9,
        ),
        cost=tokens * 8e-7,
        chunks=tokens + 2,
        content_chunks=tokens,
        reads=tokens + 2,
        ttfc_ns=first,
        ttft_ns=first,
        ttfrt_ns=first if reasoning else None,
        ttfot_ns=first + reasoning,
        last_chunk_ns=phases.total() - (phases.finish or 0),
        caller_delay_ns=injected.get("consume", 0),
        icl_p50_ns=gap,
        icl_p99_ns=2 * gap,
        icl_max_ns=max(3 * gap, stall),
        attempts=(Attempt(start_ns=lengths["prepare"], duration_ns=first - lengths["prepare"], status=200),),
        connection_reused="connect" not in lengths,
        phases=phases,
    )


def retried(number: int, *, backoff_ns: int, status: int = 429) -> RequestRecord:
    """Make a request whose first two attempts failed."""
    record = request(number, retry=2 * backoff_ns + 40 * MS)
    failed = Attempt(start_ns=MS, duration_ns=20 * MS, status=status, error_type=str(status), backoff_ns=backoff_ns)
    return replace(record, attempts=(failed, failed, *record.attempts))


def failed(number: int, error: str = "rate_limit_exceeded", **changes: Any) -> RequestRecord:
    """Make a request that failed without an answer."""
    phases = Phases(prepare=MS, send=MS, network=30 * MS)
    return replace(
        request(number),
        outcome="error",
        error_type=error,
        status=429,
        usage=Usage(),
        cost=None,
        phases=phases,
        duration_ns=phases.total(),
        chunks=None,
        content_chunks=None,
        finish_reasons=(),
        **dict.fromkeys(("ttfc_ns", "ttft_ns", "ttfot_ns", "last_chunk_ns", "icl_p50_ns", "icl_p99_ns", "icl_max_ns")),
        **changes,
    )


def with_tool(
    number: int, name: str = "get_weather", *, assembly_ns: int = 60 * MS, valid: bool = True
) -> RequestRecord:
    """Make a request that called a tool."""
    call = ToolCall(
        index=0, id="call_1", name=name, deltas=1, arguments_size=32, arguments_valid=valid, assembly_ns=assembly_ns
    )
    return replace(request(number), tool_calls=(call,), finish_reasons=("tool_calls",))


def traffic(count: int, seed: int = 0) -> Iterator[RequestRecord]:
    """Make requests of two models with a little of everything that happens."""
    rng = random.Random(seed)
    for number in range(count):
        dice = rng.random()
        if dice < 0.01:
            record = failed(number)
        elif dice < 0.03:
            record = retried(number, backoff_ns=rng.randrange(300, 900) * MS)
        elif dice < 0.06:
            record = request(number, rng=rng, queue=rng.randrange(300, 1500) * MS)
        elif dice < 0.08:
            record = request(number, rng=rng, connect=rng.randrange(20, 60) * MS, tls=rng.randrange(80, 160) * MS)
        elif dice < 0.14:
            record = with_tool(number)
        else:
            record = request(number, rng=rng)
        if number % 3 == 0:
            record = replace(record, model="openai/gpt-oss-120b")
        yield record
