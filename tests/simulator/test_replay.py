"""Recordings replayed: what the bare SDK makes of them is what was recorded."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import groq
import pytest
from groq import AsyncGroq, Groq
from groq._models import construct_type
from groq.types.chat import ChatCompletion, ChatCompletionChunk

from groqscope.simulator import (
    BUNDLED,
    Pace,
    Recorded,
    Recording,
    RecordingError,
    Simulator,
    read_recording,
    read_recordings,
)
from groqscope.simulator.replay import plan_recording

RECORDINGS = read_recordings(BUNDLED)[0]
AT_ONCE = Pace(chunk=0.0)


@pytest.fixture(params=RECORDINGS, ids=lambda r: r.name)
def recording(request: pytest.FixtureRequest) -> Recording:
    return request.param


@pytest.fixture
def sim(recording: Recording) -> Iterator[Simulator]:
    with Simulator(replay=[recording], pace=AT_ONCE) as simulator:
        yield simulator


def named(*names: str) -> list[Recording]:
    return [read_recording(BUNDLED / f"{name}.json") for name in names]


def expected(recording: Recording) -> tuple[list[Any], Any]:
    """What the SDK makes of the recorded payloads without any server: the objects, and the body of its error."""
    if recording.status >= 400:
        return [], recording.body["error"] if "error" not in recording.body else recording.body
    if recording.body is not None:
        return [construct_type(value=recording.body, type_=ChatCompletion)], None
    payloads = [json.loads(text) for text in recording.sse if text != "[DONE]"]
    error = payloads.pop()["error"] if recording.event_names else None
    return [construct_type(value=payload, type_=ChatCompletionChunk) for payload in payloads], error


def test_the_sync_client_gets_what_was_recorded(recording: Recording, sim: Simulator) -> None:
    """Every recording, through `Groq`: the same objects in the same order, and the same error."""
    found: list[Any] = []
    error = None
    with Groq(base_url=sim.base_url, api_key="test", max_retries=0) as client:
        try:
            answer: Any = client.chat.completions.create(**recording.request)
            found.extend(answer if recording.stream else [answer])
        except groq.APIError as raised:
            error = raised.body

    assert expected(recording) == (found, error)


async def test_the_async_client_gets_what_was_recorded(recording: Recording, sim: Simulator) -> None:
    """Every recording, through `AsyncGroq`: the same objects in the same order, and the same error."""
    found: list[Any] = []
    error = None
    async with AsyncGroq(base_url=sim.base_url, api_key="test", max_retries=0) as client:
        try:
            answer: Any = await client.chat.completions.create(**recording.request)
            if recording.stream:
                async for chunk in answer:
                    found.append(chunk)
            else:
                found.append(answer)
        except groq.APIError as raised:
            error = raised.body

    assert expected(recording) == (found, error)


@pytest.mark.parametrize("recording", [r for r in RECORDINGS if r.stream], ids=lambda r: r.name)
def test_the_stream_is_the_recorded_bytes(recording: Recording, sim: Simulator) -> None:
    """A replayed stream is, byte for byte, what the form of the recordings says it was on the wire."""
    lines = [
        (f"event: {recording.event_names[i]}\n" if i in recording.event_names else "") + f"data: {text}\n\n"
        for i, text in enumerate(recording.sse)
    ]
    with (
        Groq(base_url=sim.base_url, api_key="test") as client,
        client.chat.completions.with_streaming_response.create(**recording.request) as response,
    ):
        body = b"".join(response.iter_bytes())

    assert "".join(lines).encode() == body


def test_recorded_headers_win_and_the_others_are_filled_in(recording: Recording, sim: Simulator) -> None:
    """Headers as recorded; the request id is the recording's own wherever it has one."""
    with Groq(base_url=sim.base_url, api_key="test", max_retries=0) as client:
        try:
            headers = client.chat.completions.with_raw_response.create(**recording.request).headers
        except groq.APIStatusError as error:
            headers = error.response.headers

    assert dict(recording.headers).items() <= dict(headers).items()
    assert headers["x-request-id"] == (recording.request_id or headers["x-request-id"])
    assert headers["x-groq-region"]


def test_repeats_are_served_in_the_order_of_the_conversation() -> None:
    """One request, recorded as 429, 429, 200: the SDK retries twice and gets the answer."""
    name = "pai_mixed_content_ordering_20260129"
    replay = [*named(f"{name}_1", f"{name}_2", f"{name}_3")]
    with Simulator(replay=replay, pace=AT_ONCE) as sim, Groq(base_url=sim.base_url, api_key="test") as client:
        statuses = []
        for _ in range(4):
            try:
                client.with_options(max_retries=0).chat.completions.create(**replay[0].request)
                statuses.append(200)
            except groq.RateLimitError as error:
                statuses.append(int(error.response.headers["retry-after"]))

    assert statuses == [3, 8, 200, 3]


def test_an_unknown_conversation_gets_the_nearest_of_its_model() -> None:
    """Other messages: the recording of that model whose tools, length and outcome are nearest."""
    name = "pai_tool_use_failed_error"
    replay = named(f"{name}_0", f"{name}_1", f"{name}_2", "pai_prompted_output_0")
    tools = replay[0].request["tools"]
    talk = [{"role": "user", "content": "else"}] * 4
    with Simulator(replay=replay, pace=AT_ONCE) as sim, Groq(base_url=sim.base_url, api_key="test") as client:
        create: Any = client.with_options(max_retries=0).chat.completions.create
        second: Any = create(model="openai/gpt-oss-120b", messages=talk, tools=tools)
        plain: Any = create(model="openai/gpt-oss-120b", messages=talk)

    assert second.id == replay[1].body["id"]
    assert plain.id == replay[3].body["id"]


def test_a_model_that_was_never_asked_is_refused() -> None:
    """No recording of that model in that way: 404, and the message lists what there is."""
    replay = named("pai_extra_headers_0")
    with (
        Simulator(replay=replay) as sim,
        Groq(base_url=sim.base_url, api_key="test") as client,
        pytest.raises(groq.NotFoundError, match=r"llama-3\.3-70b-versatile \(whole\)"),
    ):
        client.chat.completions.create(model="llama-3.3-70b-versatile", messages=[], stream=True)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not a recording"),
        ('{"response": {"status": 200, "sse": []}}', "`request` is missing"),
        ('{"request": {"body": {}}, "response": {"status": 200}}', "either `sse` or `body`"),
        ('{"request": {"body": {}}, "response": {"status": 200, "sse": [1]}}', "expected text in `sse`"),
        ('{"request": {"body": []}, "response": {"status": 200, "body": {}}}', "expected an object"),
        ("[]", "not a recording"),
    ],
)
def test_a_bad_recording_is_named_and_the_others_are_served(tmp_path: Path, content: str, reason: str) -> None:
    """A broken file among good ones: its name and what is wrong with it; the good ones answer."""
    good = BUNDLED / "pai_extra_headers_0.json"
    shutil.copy(good, tmp_path)
    (tmp_path / "bad_0.json").write_text(content)
    with Simulator(replay=tmp_path, pace=AT_ONCE) as sim, Groq(base_url=sim.base_url, api_key="test") as client:
        answer: Any = client.chat.completions.create(**read_recording(good).request)

    assert answer.id == read_recording(good).body["id"]
    assert [str(error).split(":")[0] for error in sim.recording_errors] == [str(tmp_path / "bad_0.json")]
    assert reason in str(sim.recording_errors[0])


def test_nothing_to_replay_is_an_error(tmp_path: Path) -> None:
    """An empty directory, or none: an error that names it, before anything listens."""
    with pytest.raises(RecordingError, match="contains no usable recording"):
        Simulator(replay=tmp_path)
    with pytest.raises(RecordingError, match="no such directory"):
        Simulator(replay=tmp_path / "missing")


def test_the_pace_as_reported_is_a_lower_bound_at_the_client() -> None:
    """Queue and prompt time pass before the first event, completion time between first and last."""
    (recording,) = named("pai_tool_use_failed_error_streaming_1")
    usage = recording.usage
    with Simulator(replay=[recording]) as sim, Groq(base_url=sim.base_url, api_key="test") as client:
        list(client.chat.completions.create(**recording.request))
        (served,) = sim.settle()

    first, last = served.events_ns[0], served.events_ns[-2]
    assert first - served.body_received_ns >= (usage["queue_time"] + usage["prompt_time"]) * 1e9
    assert last - served.body_received_ns >= (usage["queue_time"] + usage["total_time"]) * 1e9


def test_paces() -> None:
    """As reported, a fixed time before each event, both at another speed; without usage Groq's usual figures."""
    stream, whole, broken, failed = named(
        "pai_tool_use_failed_error_streaming_1",
        "pai_extra_headers_0",
        "pai_tool_use_failed_error_streaming_0",
        "pai_model_name_suggestion_0",
    )

    def total(recording: Recording, pace: Pace) -> float:
        plan = plan_recording(Recorded(recording, pace), {"x-request-id": ""})
        return plan.before_headers + sum(write.delay for write in plan.writes)

    def reported(recording: Recording) -> float:
        return recording.usage["queue_time"] + recording.usage["total_time"]

    assert total(stream, Pace()) == pytest.approx(reported(stream))
    assert total(stream, Pace(speed=4)) == pytest.approx(reported(stream) / 4)
    assert total(whole, Pace()) == pytest.approx(reported(whole))
    assert total(stream, Pace(chunk=0.002, speed=2)) == pytest.approx(0.001 * len(stream.sse))
    assert total(whole, Pace(chunk=0.002)) == 0.002
    assert 0.1 < total(broken, Pace()) < 1
    assert total(failed, Pace()) == 0


def test_a_tool_call_comes_after_the_silence_in_which_it_was_made() -> None:
    """The tokens of a tool call are held back: the plan's delay before its event is as long as all of them took."""
    (recording,) = named("pai_tool_use_failed_error_streaming_1")
    delays = [write.delay for write in plan_recording(Recorded(recording), {"x-request-id": ""}).writes]
    each = recording.usage["completion_time"] / 49
    tool_call = next(i for i, text in enumerate(recording.sse) if '"tool_calls"' in text)

    # 49 tokens, 22 of them in chunks of their own; role, last chunk and [DONE] carry none
    assert delays[tool_call] == pytest.approx(27 * each)
    assert [d for i, d in enumerate(delays) if i != tool_call] == pytest.approx([0.0] + [each] * 22 + [0.0] * 2)
