"""Whatever is observed, in whatever order, the phases partition the duration."""

from dataclasses import asdict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from groqscope.timeline import Channel, Phases, RequestRecord, Timeline, Usage

_times = st.integers(0, 10**12)
_seconds = st.none() | st.floats(-1.0, 2.0)
_PLAIN = (
    "prepared",
    "connecting",
    "securing",
    "sending",
    "sent",
    "last_byte",
    "backed_off",
    "returned",
    "asked",
    "closing",
)
_OUTCOMES = ("completed", "closed", "abandoned", "cancelled", "error", "truncated")
_channels = st.integers(0, Channel.CONTENT | Channel.REASONING | Channel.TOOL)

_observation = st.one_of(
    st.tuples(st.sampled_from(_PLAIN), _times),
    st.tuples(st.just("chunk"), _times, _channels),
    st.tuples(st.just("received"), _times, st.integers(0, 4_096)),
    st.tuples(st.just("attempt_failed"), _times),
    st.tuples(st.just("answered"), _times, st.booleans()),
    st.tuples(st.just("used"), _times, st.builds(Usage, queue_time=_seconds, prompt_time=_seconds)),
    st.tuples(st.just("tool_delta"), _times),
    st.tuples(st.just("headers"), _times, st.sampled_from([None, 101, 200, 307, 401, 429, 503])),
    st.tuples(st.just("broke"), _times, st.just("ReadError")),
    st.tuples(st.just("challenged"), _times),
)


def _tell(timeline: Timeline, observation: tuple[Any, ...]) -> None:
    name, t, *rest = observation
    if name == "attempt_failed":
        timeline.attempt_failed(t, status=503, error_type="503", retry_after=None)
    elif name == "answered":
        timeline.answered(t, 200, unseen=rest[0])
    elif name == "received":
        timeline.received(rest[0])
    elif name == "challenged":
        timeline.challenged()
    elif name == "tool_delta":
        timeline.tool_delta(t, 0, 0, None, "f", "{}")
    else:
        getattr(timeline, name)(t, *rest)


def _assert_partition(record: RequestRecord) -> None:
    assert record.phases.total() == record.duration_ns
    assert all(length >= 0 for _, length in record.phases.items())
    assert all(a.duration_ns >= 0 for a in record.attempts)
    assert all(
        (length is None or length >= 0)
        for a in record.attempts
        for length in (a.connect_ns, a.tls_ns, a.send_ns, a.wait_ns, a.backoff_ns)
    )


@given(
    start=_times,
    stream=st.booleans(),
    observations=st.lists(_observation, max_size=30),
    in_order=st.booleans(),
    outcome=st.sampled_from(_OUTCOMES),
    end=_times,
)
def test_phases_partition_the_duration(
    start: int, stream: bool, observations: list[tuple[Any, ...]], in_order: bool, outcome: Any, end: int
) -> None:
    """For any observations, in order or not, the phases add up to the duration to the nanosecond, none negative."""
    if in_order:
        times = iter(sorted(o[1] for o in observations))
        observations = [(name, next(times), *rest) for name, _, *rest in observations]
    timeline = Timeline(start, 0, {"operation": "chat", "stream": stream})
    for observation in observations:
        _tell(timeline, observation)
        _assert_partition(timeline.record(observation[1]))

    _, outcome = timeline.end(end, outcome)
    record = timeline.record(None, outcome)

    _assert_partition(record)
    assert record.duration_ns <= max([start, end, *(o[1] for o in observations)]) - start


@given(observations=st.lists(_observation, max_size=20), looks=st.lists(_times, max_size=20))
def test_live_records_change_nothing(observations: list[tuple[Any, ...]], looks: list[int]) -> None:
    """Records taken in between, at any moment, leave the last record as it would have been."""
    seen, unseen = (Timeline(0, 0, {"operation": "chat", "stream": True}) for _ in range(2))
    for i, observation in enumerate(observations):
        for timeline in (seen, unseen):
            _tell(timeline, observation)
        for look in looks[i : i + 1]:
            seen.record(look)

    records = [str(asdict(timeline.record())) for timeline in (seen, unseen)]
    assert records[0] == records[1]  # as text: a reported time may be no number


@given(wait=st.integers(1, 10**10), queue=_seconds, prompt=_seconds, completion=_seconds, stream=st.booleans())
def test_the_wait_is_split_exactly(
    wait: int, queue: float | None, prompt: float | None, completion: float | None, stream: bool
) -> None:
    """However Groq's times fit into the wait, its parts add up to it; they are cut only where they do not fit."""
    timeline = Timeline(0, 0, {"operation": "chat", "stream": stream})
    timeline.prepared(0)
    timeline.sending(0)
    timeline.sent(0)
    timeline.chunk(wait, Channel.CONTENT) if stream else timeline.last_byte(wait)
    timeline.used(wait, Usage(queue_time=queue, prompt_time=prompt, completion_time=completion))
    record = timeline.record(wait, "completed")
    told = [s for s in (queue, prompt, None if stream else completion) if s is not None and s >= 0]

    assert record.phases.wait == wait
    assert record.phases_clamped == (sum(round(s * 1e9) for s in told) > wait)
    assert (record.phases.generate is None) or not stream
    if not record.phases_clamped:
        parts = Phases(queue=record.phases.queue, prefill=record.phases.prefill, generate=record.phases.generate)
        assert parts.total() == sum(round(s * 1e9) for s in told)
