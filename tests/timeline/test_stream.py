"""Chunks of a stream: first tokens by channel, gaps, reads, and the packed timeline."""

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.observed import MS, Observed, at

from groqscope.timeline import Channel, RequestRecord, Usage
from groqscope.timeline.sampling import MAX_PACKED, fit, pack, unpack


def _stream() -> Observed:
    return Observed(stream=True).tell(prepared=1, sending=2, sent=3).answered(20).tell(returned=21, asked=22)


def test_first_tokens_by_channel() -> None:
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
    """Content and reasoning in one chunk count as the first of each."""
    record = _stream().chunk(30, Channel.REASONING | Channel.CONTENT).end(41)

    assert record.ttfrt_ns == record.ttfot_ns == record.ttft_ns == 30 * MS


def test_a_stream_without_tokens_has_no_first_token() -> None:
    """Chunks with only a role are chunks, not tokens."""
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
    """Several chunks in one read arrived together: there are no gaps of 0 between them."""
    seen = _stream().chunk(30).chunk(30).chunk(30)
    record = seen.tell(returned=31, asked=31.1).chunk(33).chunk(33).tell(returned=33.1, asked=33.2).chunk(38).end(39)

    assert (record.chunks, record.reads) == (6, 3)
    assert (record.icl_p50_ns, record.icl_max_ns, record.icl_excluded) == (3 * MS, 5 * MS, 0)


def test_a_gap_spent_mostly_in_the_caller_is_left_out() -> None:
    """The chunk may have been waiting for the caller: such a gap is not Groq's, and is counted as excluded."""
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


def _token_by_token(server: float, caller: float, tokens: int = 50, **usage: Any) -> RequestRecord:
    """Return a stream: a token every `server` ms and a last chunk; the caller takes `caller` ms for each."""
    seen = _stream()
    arrivals = [30 + server * n for n in range(tokens + 1)]
    now, read = 22.0, 0
    while read < len(arrivals):
        now = max(now + 0.05, arrivals[read])  # reading what lies there takes its time too
        taken = [n for n in range(read, len(arrivals)) if arrivals[n] <= now]
        for n in taken:
            seen.chunk(now, Channel.CONTENT if n < tokens else Channel.NONE)
            if n == tokens:
                seen.timeline.used(at(now), Usage(output_tokens=tokens, **usage))
        for _ in taken:
            seen.tell(returned=now, asked=now + caller)
            now += caller
        read = taken[-1] + 1
    return seen.tell(last_byte=now).end(now)


@pytest.mark.parametrize("caller", [0, 0.1, 1, 3, 5, 10, 15, 20, 60, 200])
@pytest.mark.parametrize("server", [1, 3, 20, 50])
def test_generation_speed_does_not_depend_on_the_caller(server: float, caller: float) -> None:
    """Where Groq reports `completion_time`, the speed is tokens divided by it, however the stream was read."""
    record = _token_by_token(server, caller, completion_time=0.05 * server, prompt_time=0.01)

    assert record.output_token_throughput == pytest.approx(1000 / server)
    assert record.tpot == pytest.approx(server / 1000)
    assert record.tpot_source == "reported"
    assert record.generation_ns is None


@pytest.mark.parametrize("caller", [0, 0.1, 1, 3, 5, 10, 15, 20, 60, 200])
@pytest.mark.parametrize("server", [1, 3, 20, 50])
def test_observed_speed_is_true_or_absent(server: float, caller: float) -> None:
    """Without `completion_time` the speed is right if the caller was waiting for the chunks, and absent if not."""
    record = _token_by_token(server, caller)

    assert (record.tpot is not None) == (caller <= server / 2)
    assert record.tpot_source == ("observed" if caller <= server / 2 else None)
    if record.tpot is not None:
        assert record.tpot == pytest.approx(server / 1000, rel=0.03)
        assert record.icl_p50_ns == pytest.approx(server * MS, rel=0.03)
    else:
        assert (record.icl_p50_ns, record.icl_excluded) == (None, (record.reads or 0) - 1)


@pytest.mark.parametrize("caller", [0, 0.1, 1, 5, 10, 15, 20, 60, 200])
@pytest.mark.parametrize("server", [1, 3, 20, 50])
def test_caller_delay_is_what_a_quick_caller_would_save(server: float, caller: float) -> None:
    """Without the caller's work the request ends sooner by `caller_delay_ns`, to within a few chunks."""
    usage: dict[str, Any] = {"completion_time": 0.05 * server, "prompt_time": 0.01}
    slow, quick = _token_by_token(server, caller, **usage), _token_by_token(server, 0, **usage)

    saved = slow.duration_ns - quick.duration_ns
    assert slow.caller_delay_ns == pytest.approx(saved, abs=max(0.03 * saved, MS))
    certain = _token_by_token(server, caller).caller_delay_ns
    assert certain is not None
    assert certain <= saved + MS


def test_gaps_after_a_pause_of_the_caller_count() -> None:
    """Chunks that arrived during a pause of 200 ms have no gaps; those that were waited for afterwards have."""
    seen = _stream().chunk(30).tell(returned=30, asked=230)
    now = 230.0
    for _ in range(10):  # of TLS each read brings one record, however many lie there
        now += 0.03
        seen.chunk(now).tell(returned=now, asked=now + 0.01)
    for _ in range(21):
        now += 20
        seen.chunk(now).tell(returned=now, asked=now + 0.01)
    record = seen.end(now)

    assert (record.icl_p50_ns, record.icl_max_ns) == (20 * MS, 20 * MS)
    assert record.icl_excluded == 11


def test_a_quick_reader_of_bursts_loses_no_gaps() -> None:
    """Chunks that come together, in two reads, do not make the gap after them unknown."""
    seen, now = _stream().chunk(30), 30.0
    for _ in range(10):
        seen.tell(returned=now, asked=now + 0.04).chunk(now + 0.06)
        now += 0.06
        seen.tell(returned=now, asked=now + 0.04).chunk(now + 0.8)
        now += 0.8
    record = seen.end(now)

    assert (record.icl_p50_ns, record.icl_excluded) == (0.8 * MS, 10)


def test_a_first_token_that_nobody_waited_for_has_no_time() -> None:
    """While the caller worked between the headers and the first `next()`, the token may have been waiting."""
    record = _stream().tell(returned=22, asked=322).chunk(322.1).chunk(322.1).end(323)

    assert (record.ttfc_ns, record.ttft_ns, record.ttfot_ns) == (None, None, None)
    assert record.first_token_read_ns == record.stream_start_ns == 322.1 * MS


def test_a_first_token_that_came_after_the_caller_asked_has_its_time() -> None:
    """If the server takes longer than the caller's work, the token was waited for."""
    record = _stream().tell(returned=22, asked=122).chunk(322).end(323)

    assert (record.ttfc_ns, record.ttft_ns, record.first_token_read_ns) == (322 * MS, 322 * MS, None)
    assert record.stream_start_ns == 322 * MS


def test_impossible_completion_time_is_ignored() -> None:
    """If `completion_time` is 0, or longer than the whole request, the speed is that of the arrivals."""
    for lie in (0.0, -1.0, 1e6):
        record = _token_by_token(20, 0, completion_time=lie)

        assert (record.tpot_source, record.tpot) == ("observed", pytest.approx(0.02, rel=0.03))


def test_one_read_has_no_speed() -> None:
    """What a proxy collected and sent at once was not generated in no time."""
    seen = _stream().chunk(30).chunk(30).chunk(30)
    seen.timeline.used(at(30), Usage(output_tokens=3))

    assert seen.end(31).tpot is None


def test_waiting_for_the_end_is_no_delay_of_the_caller() -> None:
    """What the caller did after the last chunk delayed nothing if the end of the stream was still to come."""
    seen = _stream().chunk(30).tell(returned=31, asked=81)

    assert seen.tell(last_byte=281).end(282).caller_delay_ns == 0


def test_a_caller_that_leaves_after_a_pause_delayed_the_end_by_it() -> None:
    """Everything it read had arrived before the pause."""
    assert _stream().chunk(30).tell(returned=31, closing=81).end(82, "closed").caller_delay_ns == 50 * MS


def test_a_caller_that_never_held_control_has_no_delay() -> None:
    """If nothing was streamed the delay is absent, not 0."""
    assert (
        Observed().tell(prepared=1, sending=2, sent=3).answered(20).tell(last_byte=21).end(22).caller_delay_ns is None
    )


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


@pytest.mark.slow
def test_memory_is_bounded() -> None:
    """100,000 chunks with tool fragments and usage take a small amount of memory, which does not grow."""
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
                timeline.tool_executed(t, i, "search", has_output=False)
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
