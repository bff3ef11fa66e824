"""Chunks of a stream: first tokens by channel, gaps, reads, and the packed timeline."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st
from support.observed import MS, Observed, at

from groqscope.timeline import Channel, Usage
from groqscope.timeline.packing import MAX_PACKED, fit, pack, unpack


def _stream() -> Observed:
    return Observed(stream=True).tell(prepared=1, sending=2, sent=3).answered(20).tell(returned=21, asked=22)


def test_first_tokens_are_three_numbers() -> None:
    """First chunk, first token, first reasoning token and first answer token are told apart."""
    seen = _stream().chunk(30, Channel.NONE).chunk(40, Channel.REASONING).chunk(50, Channel.REASONING)
    record = seen.chunk(60, Channel.CONTENT).chunk(70, Channel.CONTENT).end(71)

    assert (record.ttfc_ns, record.ttft_ns, record.ttfrt_ns, record.ttfot_ns) == (30 * MS, 40 * MS, 40 * MS, 60 * MS)
    assert (record.chunks, record.content_chunks, record.reads) == (5, 4, 5)
    assert record.last_chunk_ns == 70 * MS


def test_a_tool_call_is_an_answer() -> None:
    """The first answer token may be a tool call; without reasoning there is no first reasoning token."""
    record = _stream().chunk(30, Channel.NONE).tool(40, 0, "{}").end(41)

    assert (record.ttft_ns, record.ttfot_ns, record.ttfrt_ns) == (40 * MS, 40 * MS, None)


def test_one_chunk_of_several_channels() -> None:
    """Content and reasoning in one chunk are the first of each."""
    record = _stream().chunk(30, Channel.REASONING | Channel.CONTENT).end(41)

    assert record.ttfrt_ns == record.ttfot_ns == record.ttft_ns == 30 * MS


def test_a_stream_without_tokens_has_no_first_token() -> None:
    """Role-only chunks are chunks, not tokens."""
    record = _stream().chunk(30, Channel.NONE).end(41)

    assert (record.ttfc_ns, record.ttft_ns, record.ttfot_ns) == (30 * MS, None, None)
    assert record.phases.receive is None


def test_a_stream_without_chunks() -> None:
    """What never came is absent, not 0."""
    record = _stream().end(41, "error", "APIConnectionError")

    assert (record.chunks, record.reads, record.stream_bytes, record.ttfc_ns) == (None, None, None, None)
    assert (record.icl_p50_ns, record.icl_excluded, record.timeline_us) == (None, None, ())


def test_not_streamed_has_no_stream_fields() -> None:
    """A whole answer has no chunks and no first chunk."""
    record = Observed().tell(prepared=1, sending=2, sent=3).answered(20).tell(last_byte=21).end(22)

    assert (record.chunks, record.ttfc_ns, record.ttft_ns, record.tpot) == (None, None, None, None)


def test_gaps_are_between_reads() -> None:
    """Several chunks in one read are one arrival: they make no gaps of 0."""
    seen = _stream().chunk(30).chunk(30).chunk(30)
    record = seen.tell(returned=31, asked=31.1).chunk(33).chunk(33).tell(returned=33.1, asked=33.2).chunk(38).end(39)

    assert (record.chunks, record.reads) == (6, 3)
    assert (record.icl_p50_ns, record.icl_max_ns, record.icl_excluded) == (3 * MS, 5 * MS, 0)


def test_a_gap_that_is_mostly_the_caller_s_is_left_out() -> None:
    """When the caller held control for the greater part, the chunk may have lain there: not Groq's gap, and counted."""
    seen = _stream().chunk(30).tell(returned=30, asked=35).chunk(40)  # 5 of 10 ms: Groq's
    record = seen.tell(returned=40, asked=46).chunk(50).end(51)  # 6 of 10 ms: the caller's

    assert (record.icl_max_ns, record.icl_excluded) == (10 * MS, 1)


def test_one_read_has_no_gaps() -> None:
    """A stream that came in one read has neither gaps nor gaps left out."""
    record = _stream().chunk(30).chunk(30).end(31)

    assert (record.icl_p50_ns, record.icl_excluded) == (None, None)


def test_quantiles_of_gaps() -> None:
    """Median, 99th percentile and maximum are those of the gaps seen."""
    seen, now = _stream().chunk(30), 30.0
    for gap in (1, 2, 3, 4, 100):
        now += gap
        seen.chunk(now)
    record = seen.end(now)

    assert (record.icl_p50_ns, record.icl_p99_ns, record.icl_max_ns) == (3 * MS, 100 * MS, 100 * MS)
    assert seen.timeline.gaps == [g * MS for g in (1, 2, 3, 4, 100)]


def test_time_per_token_leaves_the_caller_out() -> None:
    """`tpot` divides the time the SDK held control after the first token; a slow caller does not change it."""

    def record(pause: float) -> float | None:
        seen = _stream().chunk(30)
        now = 30.0
        for _ in range(4):
            now += pause
            seen.tell(returned=now - pause, asked=now)
            now += 2
            seen.chunk(now)
        seen.timeline.used(at(now), Usage(output_tokens=5))
        return seen.end(now).tpot

    assert record(0) == record(50) == 0.002


@given(
    gaps=st.lists(st.integers(0, 10**8), min_size=1, max_size=3_000),
)
def test_downsampled_timeline_fits(gaps: list[int]) -> None:
    """Any number of chunks at any distance: at most 1,024 characters, and each time is that of its chunk."""
    seen, now, times = Observed(stream=True), 0, []
    for gap in gaps:
        now += gap
        times.append(now)
        seen.timeline.chunk(at(0) + now * 1_000, Channel.CONTENT)
    record = seen.end(0)

    packed = pack(record.timeline_us, record.timeline_stride)
    assert len(packed) <= MAX_PACKED
    assert set(packed) <= set("0123456789;,")
    assert unpack(packed) == (record.timeline_us, record.timeline_stride)
    assert record.timeline_us == tuple(times[:: record.timeline_stride])


def test_long_streams_are_sampled_evenly() -> None:
    """Beyond 192 chunks every second, fourth, eighth time is kept, from the first chunk on."""
    for chunks, stride in ((192, 1), (193, 2), (384, 2), (385, 4), (1_000, 8)):
        seen = Observed(stream=True)
        for i in range(chunks):
            seen.chunk(i / 1_000)
        record = seen.end(chunks)

        assert record.timeline_stride == stride
        assert record.timeline_us == tuple(range(0, chunks, stride))


@given(times=st.lists(st.integers(0, 10**15), max_size=400).map(sorted), stride=st.sampled_from((1, 2, 8)))
def test_fit_drops_every_second_time(times: list[int], stride: int) -> None:
    """Fitting keeps the first time and a regular stride, and drops only as much as it has to."""
    fitted, new = fit(tuple(times), stride)

    assert fitted == tuple(times)[:: new // stride]
    assert new == stride or len(pack(tuple(times)[:: new // stride // 2], new // 2)) > MAX_PACKED


def test_memory_is_bounded() -> None:
    """100,000 chunks with tool fragments and usage in each keep no more than a small, fixed number of things."""
    seen = _stream()
    timeline = seen.timeline
    tracemalloc.start()
    try:
        for i in range(100_000):
            t = at(30) + i * 1_000_000
            timeline.chunk(t, Channel.CONTENT | Channel.TOOL)
            if i % 10 == 0:
                timeline.tool_delta(t, 0, i, f"call_{i}", "get_weather", "x" * 100)
                timeline.used(t, Usage(output_tokens=i))
                timeline.tools.executed(i, "search", t, has_output=False)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    record = seen.end(31)

    assert record.chunks == 100_000
    assert held < 300_000
    assert peak < 400_000
    assert len(record.tool_calls) == 32
    assert len(record.usage_deltas) == 16
    assert record.usage_deltas_dropped > 9_000
    assert len(timeline.gaps) <= 128
