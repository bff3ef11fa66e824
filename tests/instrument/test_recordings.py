"""Every recording, through both clients, whole and cut anywhere: the bare SDK's objects, and a record that agrees."""

import json
import random
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from typing import Any

import groq
import openai
import pytest
from support.both import Mode, both, each_mode
from support.objects import told_apart
from support.recordings import Recording, cut_at, recordings
from support.scope import Exported
from support.sdks import ERRORS, GROQ, OPENAI_ON_HTTPX, SDK
from support.timed import Attempt, Line, timed_client

from groqscope import RequestRecord
from groqscope.instrument import prompts
from groqscope.testing import ManualClock
from groqscope.timeline import Usage

APART_MS = 5


class Expected:
    """What the record of a recording must say, read from the recording itself."""

    def __init__(self, recording: Recording) -> None:
        texts = [text for text in recording.payloads if not text.startswith("[DONE]")] or [recording.body.decode()]
        self.answers = [json.loads(text) for text in texts]
        """The chunks of a stream, an error among them, or the one answer."""
        self.chunks = len(self.answers) if recording.streamed else None
        self.failed = recording.status >= 400
        if any(event.startswith(b"event: error\n") for event in recording.events):
            self.failed = True
            self.chunks = len(self.answers) - 1
        self.headers = recording.headers

    @property
    def usage(self) -> Usage:
        """The last usage that Groq reported."""
        for answer in reversed(self.answers):
            usage = (answer.get("x_groq") or {}).get("usage") or answer.get("usage")
            if usage:
                return Usage(
                    input_tokens=usage["prompt_tokens"],
                    output_tokens=usage["completion_tokens"],
                    cached_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
                    reasoning_tokens=(usage.get("completion_tokens_details") or {}).get("reasoning_tokens"),
                    queue_time=usage.get("queue_time"),
                    prompt_time=usage.get("prompt_time"),
                    completion_time=usage.get("completion_time"),
                    total_time=usage.get("total_time"),
                )
        return Usage()

    def parts(self) -> Iterator[dict[str, Any]]:
        """Messages or deltas."""
        for answer in self.answers:
            for choice in answer.get("choices", ()):
                yield choice.get("delta") or choice.get("message") or {}

    @property
    def tool_calls(self) -> list[tuple[str, str, int, bool]]:
        """Id, name, size of the arguments; all came whole and were JSON."""
        return [
            (call["id"], call["function"]["name"], len(call["function"]["arguments"].encode()), True)
            for part in self.parts()
            for call in part.get("tool_calls") or ()
        ]

    @property
    def executed_tools(self) -> list[tuple[int, str, int | None]]:
        """Index, type, and how many chunks after its announcement its output came; `None` when both came in one."""
        seen: dict[tuple[int, str], list[int]] = {}
        for place, part in enumerate(self.parts()):
            for tool in part.get("executed_tools") or ():
                seen.setdefault((tool["index"], tool["type"]), []).append(place)
        return [(*key, places[1] - places[0] if len(places) == 2 else None) for key, places in seen.items()]

    @property
    def finish_reasons(self) -> tuple[str, ...]:
        """In the order of the choices."""
        return tuple(
            choice["finish_reason"]
            for answer in self.answers
            for choice in answer.get("choices", ())
            if choice.get("finish_reason")
        )

    @property
    def request_id(self) -> str | None:
        """From `x_groq` or the header."""
        ids = [(answer.get("x_groq") or {}).get("id") for answer in self.answers]
        known = [i for i in ids if i is not None and i.startswith("req_")]
        return known[0] if known else self.headers.get("x-request-id")


def answer(recording: Recording, cut: str, *, traced: bool) -> Attempt:
    """Return the response, its body in pieces, each of them `APART_MS` after the one before it."""
    came = pieces(recording.body, recording.name) if cut == "at random" else recording.events or [recording.body]
    return Attempt(
        status=recording.status,
        response_headers=recording.headers,
        pieces=[(APART_MS, piece) for piece in came],
        traced=traced,
    )


def pieces(body: bytes, seed: str) -> list[bytes]:
    """Cut a body at places that the seed decides; often, so inside multi-byte characters too."""
    chance = random.Random(seed)
    return cut_at(body, chance.sample(range(1, len(body)), min(len(body) - 1, chance.choice((3, 50, 400)))))


@both
async def replay(client: Any, request: dict[str, Any]) -> list[Any]:
    """What a caller gets, the exception last."""
    got: list[Any] = []
    try:
        path, whole, stream = CALLS[type(client).__name__]
        answer = await client.post(
            path, cast_to=whole, body=request, stream=bool(request.get("stream")), stream_cls=stream
        )
        if request.get("stream"):
            async for chunk in answer:
                got.append(chunk)
        else:
            got.append(answer)
    except ERRORS as error:
        got.append(error)
    return got


CALLS: dict[str, tuple[str, Any, Any]] = {
    name: (path, sdk.types.chat.ChatCompletion, getattr(sdk, stream)[sdk.types.chat.ChatCompletionChunk])
    for sdk, path, names in (
        (groq, "/openai/v1/chat/completions", ("Groq", "AsyncGroq")),
        (openai, "/chat/completions", ("OpenAI", "AsyncOpenAI")),
    )
    for name, stream in zip(names, ("Stream", "AsyncStream"), strict=True)
}
"""By the client's class: the path, and the classes of a whole answer and of a stream."""


@cache
def bare_objects(sdk: SDK, mode: Mode, recording: Recording) -> list[Any]:
    """Return what the SDK makes of a recording when it is not instrumented; how the body is cut does not matter."""
    line = Line(ManualClock(), [answer(recording, "as recorded", traced=False)])
    client = sdk.client(mode, "http://groq.test", http={"transport": line}, max_retries=0)
    return [told_apart(value) for value in replay(mode, client, recording.request)]


@cache
def observed(sdk: SDK, mode: Mode, recording: Recording, cut: str) -> tuple[list[Any], RequestRecord]:
    """Return what an instrumented client makes of a recording, and the record of it."""
    exported, clock = Exported(), ManualClock()
    line = Line(clock, [answer(recording, cut, traced=True)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prompts, "memory", prompts.Memory())  # what was asked before is not compared with this request
        client = timed_client(mode, exported, clock, line, sdk, max_retries=0)
        objects = [told_apart(value) for value in replay(mode, client, recording.request)]
        record, _ = exported.only()
    exported.shutdown()
    return objects, record


each_recording = pytest.mark.parametrize("recording", recordings(), ids=lambda r: r.name)
each_cut = pytest.mark.parametrize("cut", ["as recorded", "at random"])


@each_mode
@each_cut
@each_recording
def test_the_same_objects_and_a_true_record(recording: Recording, cut: str, mode: Mode) -> None:
    """Types, values, unknown fields and set fields are the bare SDK's; the record says what the recording says."""
    objects, record = observed(GROQ, mode, recording, cut)
    expected = Expected(recording)

    assert objects == bare_objects(GROQ, mode, recording)
    assert_agrees(record, recording, expected)
    if cut == "as recorded":
        apart = [(t.index, t.type, t.duration_ns and t.duration_ns / 1e6 / APART_MS) for t in record.executed_tools]
        assert apart == expected.executed_tools


@each_mode
@each_cut
@each_recording
def test_through_openai(recording: Recording, cut: str, mode: Mode) -> None:
    """The objects are those of openai's SDK; the record is that of Groq's, but for what the SDK itself does."""
    objects, record = observed(OPENAI_ON_HTTPX, mode, recording, cut)
    through_openai, through_groq = asdict(record), asdict(observed(GROQ, mode, recording, cut)[1])

    if recording.streamed:
        # At [DONE], and at an error, openai closes the response without reading to its end: time, and maybe bytes.
        for fields in (through_openai, through_groq):
            assert sum(filter(None, fields.pop("phases").values())) == fields.pop("duration_ns")
            del fields["stream_bytes"]
    for fields in (through_openai, through_groq):
        for its_own in ("trace_id", "span_id", "start_unix_ns"):
            del fields[its_own]

    assert objects == bare_objects(OPENAI_ON_HTTPX, mode, recording)
    assert through_openai == through_groq


def assert_agrees(record: RequestRecord, recording: Recording, expected: Expected) -> None:
    """Hold the record against the recording."""
    assert record.outcome == ("error" if expected.failed else "completed")
    assert record.status == recording.status
    assert record.usage == expected.usage
    assert record.finish_reasons == expected.finish_reasons
    assert record.request_id == expected.request_id
    assert [(c.id, c.name, c.arguments_size, c.arguments_valid) for c in record.tool_calls] == expected.tool_calls
    assert record.chunks == expected.chunks
    with_tokens = sum(any(p.get(k) for k in ("content", "reasoning", "tool_calls")) for p in expected.parts())
    assert record.content_chunks == (with_tokens if recording.streamed else None)
    assert record.phases.total() == record.duration_ns
    tools = [(t.index, t.type, t.duration_ns is not None) for t in record.executed_tools]
    assert tools == [(index, type_, chunks is not None) for index, type_, chunks in expected.executed_tools]
    if not expected.failed:
        first = expected.answers[0]
        assert (record.response_id, record.response_model) == (first["id"], first["model"])
        assert [delta.usage for delta in record.usage_deltas] == ([expected.usage] if recording.streamed else [])


def test_there_are_113_recordings() -> None:
    """Every recording is there."""
    assert len(recordings()) == 113
