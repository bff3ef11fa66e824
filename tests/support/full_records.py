"""Records made by hand: one with every field set, one of a busy request, one of an ordinary request."""

from dataclasses import replace

from groqscope.timeline import (
    Attempt,
    ExecutedTool,
    ModelUsage,
    Phases,
    RateLimits,
    RequestRecord,
    ToolCall,
    Usage,
    UsageDelta,
)
from groqscope.timeline.sampling import fit

MS = 1_000_000

_USAGE = Usage(
    input_tokens=5_003,
    output_tokens=359,
    cached_tokens=256,
    reasoning_tokens=59,
    queue_time=0.018,
    prompt_time=0.0413,
    completion_time=0.6402,
    total_time=0.6815,
)
_TIMES, _STRIDE = fit(tuple(range(146_900, 146_900 + 192 * 2_931, 2_931)), 2)


def full_record() -> RequestRecord:
    """Everything the caller can set and everything Groq can say, at once."""
    return RequestRecord(
        trace_id="0af7651916cd43dd8448eb211c80319c",
        span_id="b7ad6b7169203331",
        service="shop",
        run="answer",
        agent="planner",
        conversation="c-4711",
        user="u-17",
        tags=(("feature", "search"), ("tenant", "acme")),
        request_id="req_01jkmz5v8cfa2v6t1ne6m4k7wd",
        response_id="chatcmpl-2f6ed1c1-0b1c-4d6e-a6b8-1e4f0f1f5f1c",
        region="us-west-1",
        start_unix_ns=1_795_000_000_000_000_000,
        duration_ns=2_812 * MS,
        model="openai/gpt-oss-120b",
        stream=True,
        server_address="api.groq.com",
        server_port=443,
        max_tokens=4_096,
        temperature=0.2,
        top_p=0.9,
        frequency_penalty=0.1,
        presence_penalty=0.1,
        stop_sequences=("###", "</s>"),
        seed=7,
        choice_count=2,
        output_type="json",
        reasoning_effort="high",
        reasoning_format="parsed",
        request_service_tier="auto",
        tools=12,
        messages=31,
        request_size=48_211,
        outcome="error",
        error_type="tool_use_failed",
        status=200,
        stream_error="over capacity",
        retry_after=2.0,
        finish_reasons=("tool_calls", "stop"),
        response_model="openai/gpt-oss-120b",
        response_service_tier="on_demand",
        system_fingerprint="fp_2ddba0a1c1",
        created=1_795_000_001,
        rate_limits=RateLimits(
            requests_limit=14_400,
            requests_remaining=14_370,
            requests_reset=179.56,
            tokens_limit=18_000,
            tokens_remaining=17_997,
            tokens_reset=7.66,
        ),
        usage=_USAGE,
        usage_deltas=tuple(UsageDelta(chunk_index=i, time_ns=i * MS, usage=_USAGE) for i in range(16)),
        usage_deltas_dropped=3,
        usage_models=tuple(ModelUsage(model=f"groq/model-{i}", input_tokens=i, output_tokens=i) for i in range(8)),
        cost=0.00017,
        cost_source="genai-prices 0.2.3",
        cost_estimate=0.005,
        cache_miss="expired",
        cache_missed_tokens=4_608,
        cache_last_used_ns=7_800_000 * MS,
        cache_saved=0.0000192,
        cache_lost=0.0003456,
        chunks=384,
        content_chunks=380,
        reads=214,
        stream_bytes=112_000,
        ttfc_ns=140 * MS,
        ttft_ns=147 * MS,
        ttfrt_ns=147 * MS,
        ttfot_ns=400 * MS,
        first_token_read_ns=148 * MS,
        last_chunk_ns=810 * MS,
        generation_ns=660 * MS,
        generation_chunks=379,
        caller_delay_ns=21 * MS,
        icl_p50_ns=3 * MS,
        icl_p99_ns=7 * MS,
        icl_max_ns=48 * MS,
        icl_excluded=4,
        timeline_us=_TIMES,
        timeline_stride=_STRIDE,
        tool_calls=tuple(
            ToolCall(
                index=i,
                choice=i % 2,
                id=f"call_{i}",
                name="get_weather",
                deltas=3,
                arguments_size=240,
                arguments_valid=True,
                arguments_hash="8f1c2ab35d0e9744",
                first_delta_ns=372 * MS,
                delta_ns=2 * MS,
                assembly_ns=29 * MS,
            )
            for i in range(32)
        ),
        tool_calls_dropped=2,
        executed_tools=tuple(
            ExecutedTool(index=i, type="search", start_ns=200 * MS, duration_ns=60 * MS) for i in range(16)
        ),
        attempts=tuple(
            Attempt(
                start_ns=i * 100 * MS,
                duration_ns=40 * MS,
                status=429,
                error_type="rate_limit_exceeded",
                retry_after=1.0,
                backoff_ns=60 * MS,
                connection_reused=False,
                connect_ns=9 * MS,
                tls_ns=12 * MS,
                send_ns=1 * MS,
                wait_ns=18 * MS,
            )
            for i in range(16)
        ),
        attempts_dropped=1,
        connection_reused=False,
        phases=Phases(
            prepare=2 * MS,
            retry=2_000 * MS,
            pool_wait=1 * MS,
            connect=9 * MS,
            tls=12 * MS,
            send=1 * MS,
            queue=18 * MS,
            prefill=41 * MS,
            network=63 * MS,
            receive=640 * MS,
            consume=24 * MS,
            finish=1 * MS,
        ),
        phases_clamped=True,
    )


def busy_record() -> RequestRecord:
    """A streamed request, retried after a 429, with reasoning and two tool calls, as it comes from real traffic."""
    full = full_record()
    return replace(
        full,
        run=None,
        agent=None,
        conversation=None,
        user=None,
        tags=(),
        top_p=None,
        frequency_penalty=None,
        presence_penalty=None,
        stop_sequences=(),
        seed=None,
        choice_count=None,
        output_type=None,
        reasoning_format=None,
        request_service_tier=None,
        outcome="completed",
        error_type=None,
        stream_error=None,
        retry_after=None,
        finish_reasons=("tool_calls",),
        usage_deltas=full.usage_deltas[:1],
        usage_deltas_dropped=0,
        usage_models=(),
        cost_source=None,
        cost_estimate=None,
        cache_miss=None,
        cache_missed_tokens=None,
        cache_last_used_ns=None,
        cache_lost=None,
        first_token_read_ns=None,
        generation_ns=None,
        generation_chunks=None,
        tool_calls=tuple(replace(call, choice=0) for call in full.tool_calls[:2]),
        tool_calls_dropped=0,
        executed_tools=(),
        attempts=(full.attempts[0], replace(full.attempts[1], status=200, error_type=None, backoff_ns=None)),
        attempts_dropped=0,
        phases_clamped=False,
    )


def ordinary_record() -> RequestRecord:
    """A streamed request over a connection that was open already, without reasoning or retries."""
    busy = busy_record()
    return replace(
        busy,
        reasoning_effort=None,
        ttfrt_ns=None,
        usage=replace(busy.usage, reasoning_tokens=None),
        attempts=(replace(busy.attempts[1], connection_reused=True, connect_ns=None, tls_ns=None),),
        connection_reused=True,
        phases=replace(busy.phases, retry=None, connect=None, tls=None),
    )
