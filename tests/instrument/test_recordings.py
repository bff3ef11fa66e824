"""Every recording, through both clients, whole and cut anywhere: the bare SDK's objects, and a record that agrees."""

import json
import random
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import groq
import openai
import pytest
from pydantic import BaseModel
from support.both import Mode, both, each_mode
from support.scope import Exported
from support.sdks import ERRORS, GROQ, OPENAI_ON_HTTPX, SDK
from support.timed import Attempt, Line, timed_client

from groqscope import RequestRecord
from groqscope.instrument import prompts
from groqscope.testing import ManualClock
from groqscope.timeline import Usage

DIRECTORY = Path(__file__).parents[1] / "recordings"
NAMES = sorted(path.stem for path in DIRECTORY.glob("*.json"))
APART_MS = 5


class Recording:
    """One exchange as its file has it."""

    def __init__(self, name: str) -> None:
        raw = json.loads((DIRECTORY / f"{name}.json").read_bytes())
        self.request: dict[str, Any] = raw["request"]["body"]
        self.response: dict[str, Any] = raw["response"]
        self.status: int = self.response["status"]
        self.payloads = [json.loads(s) for s in self.response.get("sse", ()) if not s.startswith("[DONE]")]
        self.answers = self.payloads or [self.response.get("body") or {}]

    def events(self) -> list[bytes]:
        """The stream as it was on the wire, event by event."""
        names = self.response.get("sse_event_names", {})
        return [
            (f"event: {names[str(i)]}\n" if str(i) in names else "").encode() + b"data: " + text.encode() + b"\n\n"
            for i, text in enumerate(self.response["sse"])
        ]

    def answer(self, cut: str, *, traced: bool) -> Attempt:
        """The response, its body in pieces, each of them `APART_MS` after the one before it."""
        events = (
            self.events()
            if "sse" in self.response
            else [json.dumps(self.response["body"], ensure_ascii=False).encode()]
        )
        came = events if cut == "as recorded" else pieces(b"".join(events), cut)
        return Attempt(
            status=self.status,
            response_headers=self.response["headers"],
            pieces=[(APART_MS, piece) for piece in came],
            traced=traced,
        )

    @property
    def usage(self) -> Usage:
        """Usage as the last answer that has some tells it."""
        for answer in reversed(self.answers):
            told = (answer.get("x_groq") or {}).get("usage") or answer.get("usage")
            if told:
                return Usage(
                    input_tokens=told["prompt_tokens"],
                    output_tokens=told["completion_tokens"],
                    cached_tokens=(told.get("prompt_tokens_details") or {}).get("cached_tokens"),
                    reasoning_tokens=(told.get("completion_tokens_details") or {}).get("reasoning_tokens"),
                    queue_time=told.get("queue_time"),
                    prompt_time=told.get("prompt_time"),
                    completion_time=told.get("completion_time"),
                    total_time=told.get("total_time"),
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
        return known[0] if known else self.response["headers"].get("x-request-id")


recorded = cache(Recording)


def pieces(body: bytes, cut: str) -> list[bytes]:
    """Cut a body at places that the seed `cut` decides; often, so inside multi-byte characters too."""
    chance = random.Random(cut)
    places = sorted(chance.sample(range(1, len(body)), min(len(body) - 1, chance.choice((3, 50, 400)))))
    return [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True)]


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


def laid_open(value: Any) -> Any:
    """An object of the SDK as plain data, with everything two of them can differ in."""
    if value is None or type(value) in (str, int, float, bool):  # nearly all, and quicker found out than the rest
        return (type(value), value)
    if isinstance(value, BaseModel):
        return (
            type(value),
            {name: laid_open(field) for name, field in value.__dict__.items()},
            {name: laid_open(field) for name, field in (value.model_extra or {}).items()},
            frozenset(value.model_fields_set),
        )
    if isinstance(value, list):
        return [laid_open(item) for item in value]
    if isinstance(value, dict):
        return {name: laid_open(item) for name, item in value.items()}
    if isinstance(value, ERRORS):
        status = getattr(value, "status_code", None)
        return (type(value), value.args, value.message, value.body, status)
    return (type(value), value)


@cache
def bare_objects(sdk: SDK, mode: Mode, recording: Recording) -> list[Any]:
    """What the bare SDK makes of a recording, however it is cut."""
    line = Line(ManualClock(), [recording.answer("as recorded", traced=False)])
    client = sdk.client(mode, "http://groq.test", http={"transport": line}, max_retries=0)
    return [laid_open(value) for value in replay(mode, client, recording.request)]


@each_mode
@pytest.mark.parametrize("cut", ["as recorded", "at random"])
@pytest.mark.parametrize("name", NAMES)
def test_the_same_objects_and_a_true_record(name: str, cut: str, mode: Mode, exported: Exported) -> None:
    """Types, values, unknown fields and set fields are the bare SDK's; the record says what the recording says."""
    recording = recorded(name)
    seed = cut if cut == "as recorded" else name
    clock = ManualClock()
    line = Line(clock, [recording.answer(seed, traced=True)])
    observed = timed_client(mode, exported, clock, line, max_retries=0)
    got = [laid_open(value) for value in replay(mode, observed, recording.request)]
    record, _ = exported.only()

    assert got == bare_objects(GROQ, mode, recording)
    agrees(record, recording)
    if cut == "as recorded":
        apart = [(t.index, t.type, t.duration_ns and t.duration_ns / 1e6 / APART_MS) for t in record.executed_tools]
        assert apart == recording.executed_tools


@each_mode
@pytest.mark.parametrize("cut", ["as recorded", "at random"])
@pytest.mark.parametrize("name", NAMES)
def test_through_openai(name: str, cut: str, mode: Mode, exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """The objects are those of openai's SDK; the record is that of Groq's, but for what the SDK itself does."""
    recording = recorded(name)
    seed = cut if cut == "as recorded" else name
    clock = ManualClock()
    line = Line(clock, [recording.answer(seed, traced=True)] * 2)
    observed = timed_client(mode, exported, clock, line, OPENAI_ON_HTTPX, max_retries=0)
    got = [laid_open(value) for value in replay(mode, observed, recording.request)]
    monkeypatch.setattr(prompts, "memory", prompts.Memory())  # else the second request repeats the first
    replay(mode, timed_client(mode, exported, clock, line, max_retries=0), recording.request)
    through_openai, through_groq = map(asdict, exported.records)

    if recording.payloads:
        # At [DONE], and at an error, openai closes the response without reading to its end: time, and maybe bytes.
        for record in (through_openai, through_groq):
            assert sum(filter(None, record.pop("phases").values())) == record.pop("duration_ns")
            del record["stream_bytes"]
    for record in (through_openai, through_groq):
        # The span's, and what compares a request with those before it: the second asks the same once more.
        for its_own in ("trace_id", "span_id", "start_unix_ns", "cache_miss", "cache_missed_tokens", "cache_lost"):
            del record[its_own]

    assert got == bare_objects(OPENAI_ON_HTTPX, mode, recording)
    assert through_openai == through_groq


def agrees(record: RequestRecord, recording: Recording) -> None:
    """Hold the record against the recording."""
    failed = recording.status >= 400 or "sse_event_names" in recording.response
    payloads = recording.payloads[:-1] if failed else recording.payloads

    assert record.outcome == ("error" if failed else "completed")
    assert record.status == recording.status
    assert record.usage == recording.usage
    assert record.finish_reasons == recording.finish_reasons
    assert record.request_id == recording.request_id
    assert [(c.id, c.name, c.arguments_size, c.arguments_valid) for c in record.tool_calls] == recording.tool_calls
    assert record.chunks == (len(payloads) if payloads else None)
    assert record.content_chunks == (
        sum(any(p.get(k) for k in ("content", "reasoning", "tool_calls")) for p in recording.parts())
        if payloads
        else None
    )
    assert record.phases.total() == record.duration_ns
    told = [(t.index, t.type, t.duration_ns is not None) for t in record.executed_tools]
    assert told == [(index, type_, chunks is not None) for index, type_, chunks in recording.executed_tools]
    if not failed:
        first = recording.answers[0]
        assert (record.response_id, record.response_model) == (first["id"], first["model"])
        assert [delta.usage for delta in record.usage_deltas] == ([recording.usage] if recording.payloads else [])


def test_there_are_113_of_them() -> None:
    """Every recording is there."""
    assert len(NAMES) == 113
