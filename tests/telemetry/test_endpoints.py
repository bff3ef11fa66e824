"""The SDK's other endpoints: each request is one span, with its own operation and what the response says."""

from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Any

import groq
import pytest
from opentelemetry.trace import SpanKind, StatusCode
from support.both import Both, Mode, both, each_mode
from support.scope import Exported
from support.sdks import SDK, SDKS

from groqscope import record_of
from groqscope.simulator import Answer, Failure, Simulator
from groqscope.telemetry import price_of_audio

WHISPER = "whisper-large-v3-turbo"
SOUND = ("a.wav", b"RIFF0000WAVE", "audio/wav")


@both
async def transcribe(client: Any) -> Any:
    return await client.audio.transcriptions.create(file=SOUND, model=WHISPER, prompt="canary")


@both
async def transcribe_with_times(client: Any) -> Any:
    return await client.audio.transcriptions.create(file=SOUND, model=WHISPER, response_format="verbose_json")


@both
async def transcribe_to_text(client: Any) -> Any:
    return await client.audio.transcriptions.create(file=SOUND, model=WHISPER, response_format="text")


@both
async def translate(client: Any) -> Any:
    return await client.audio.translations.create(file=SOUND, model=WHISPER)


@both
async def speak(client: Any) -> Any:
    answer = await client.audio.speech.create(
        input="canary", model="playai-tts", voice="Fritz-PlayAI", response_format="wav"
    )
    sound = answer.read()
    sound = await sound if isawaitable(sound) else sound  # openai's has it already
    assert sound.startswith(b"RIFF")
    return answer


@both
async def speak_in_pieces(client: Any) -> Any:
    async with client.audio.speech.with_streaming_response.create(
        input="canary", model="playai-tts", voice="Fritz-PlayAI", response_format="wav"
    ) as answer:
        assert b"".join([piece async for piece in answer.iter_bytes()]).startswith(b"RIFF")
        return answer


@both
async def embed(client: Any) -> Any:
    return await client.embeddings.create(input=["canary", "b"], model="nomic-embed-text-v1_5")


@both
async def embed_raw(client: Any) -> Any:
    return await client.embeddings.with_raw_response.create(input="canary", model="nomic-embed-text-v1_5")


@both
async def list_models(client: Any) -> Any:
    return await client.models.list()


@both
async def retrieve_model(client: Any) -> Any:
    return await client.models.retrieve("openai/gpt-oss-20b")


@both
async def delete_model(client: Any) -> Any:
    return await client.models.delete("mine")


@both
async def upload(client: Any) -> Any:
    return await client.files.create(file=("b.jsonl", b'{"custom_id":"1"}'), purpose="batch")


@both
async def list_files(client: Any) -> Any:
    return await client.files.list()


@both
async def file_info(client: Any) -> Any:
    ask = getattr(client.files, "info", None) or client.files.retrieve
    return await ask("file_01sim")


@both
async def file_content(client: Any) -> Any:
    answer = await client.files.content("file_01sim")
    content = answer.read()
    content = await content if isawaitable(content) else content
    assert b"batch_req_1" in content
    return answer


@both
async def delete_file(client: Any) -> Any:
    return await client.files.delete("file_01sim")


@both
async def create_batch(client: Any) -> Any:
    return await client.batches.create(
        completion_window="24h", endpoint="/v1/chat/completions", input_file_id="file_01sim"
    )


@both
async def list_batches(client: Any) -> Any:
    return await client.batches.list()


@both
async def retrieve_batch(client: Any) -> Any:
    return await client.batches.retrieve("batch_01sim")


@both
async def cancel_batch(client: Any) -> Any:
    return await client.batches.cancel("batch_01sim")


@both
async def something_else(client: Any) -> Any:
    return await client.get("/new/things", cast_to=object)


@dataclass
class Case:
    """A call, and what its span must say."""

    call: Both
    operation: str
    model: str | None = None
    inference: bool = False
    facts: dict[str, Callable[[Any], bool]] = field(default_factory=dict[str, Callable[[Any], bool]])
    """Fields of the record and what must hold for them."""
    error: str | None = None
    """The SDK's exception."""

    def __str__(self) -> str:
        return self.call.name


CASES = [
    Case(transcribe, "transcription", WHISPER, True, {"request_id": lambda v: v.startswith("req_")}),
    Case(transcribe_with_times, "transcription", WHISPER, True, {"audio_seconds": lambda v: v == 2.5}),
    Case(transcribe_to_text, "transcription", WHISPER, True, {"response_size": lambda v: v == 44}),
    Case(translate, "translation", WHISPER, True),
    Case(speak, "speech", "playai-tts", True, {"response_size": lambda v: v > 4_800}),
    Case(speak_in_pieces, "speech", "playai-tts", True, {"response_size": lambda v: v > 4_800}),
    Case(
        embed,
        "embeddings",
        "nomic-embed-text-v1_5",
        True,
        {
            "usage": lambda v: v.input_tokens > 0 and v.output_tokens is None,
            "response_model": lambda v: v.startswith("nomic"),
        },
    ),
    Case(embed_raw, "embeddings", "nomic-embed-text-v1_5", True, {"usage": lambda v: v.input_tokens > 0}),
    Case(list_models, "list_models"),
    Case(retrieve_model, "retrieve_model"),
    Case(delete_model, "delete_model", error="APIStatusError"),
    Case(upload, "create_file"),
    Case(list_files, "list_files"),
    Case(file_info, "retrieve_file"),
    Case(file_content, "content_file", facts={"response_size": lambda v: v > 50}),
    Case(delete_file, "delete_file"),
    Case(create_batch, "create_batch"),
    Case(list_batches, "list_batches"),
    Case(retrieve_batch, "retrieve_batch"),
    Case(cancel_batch, "cancel_batch"),
    Case(something_else, "request", error="NotFoundError"),
]


@both
async def _closing(call: Both, client: Any) -> Any:
    async with client:
        return await call.asynchronous(client)


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # openai, of its translations
@each_mode
@pytest.mark.parametrize("sdk", SDKS, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_endpoint(case: Case, sdk: SDK, mode: Mode, sim: Simulator, exported: Exported) -> None:
    """The span has the operation's name, the model if any, the size and what the response says; phases add up."""
    client = sdk.observed(exported, mode, sim.base_url, max_retries=0)
    if case.error is None:
        answer = _closing(mode, case.call, client)
    else:
        with pytest.raises(getattr(sdk.package, case.error)):
            _closing(mode, case.call, client)
        answer = None
    record, span = exported.only()
    attributes = dict(span.attributes or {})

    assert record.operation == case.operation
    assert span.name == (f"{case.operation} {case.model}" if case.model else case.operation)
    assert span.kind is SpanKind.CLIENT
    assert record.model == case.model
    assert attributes.get("gen_ai.operation.name") == (case.operation if case.inference else None)
    assert attributes["gen_ai.provider.name"] == "groq"
    assert record.outcome == ("completed" if case.error is None else "error")
    assert span.status.status_code is (StatusCode.UNSET if case.error is None else StatusCode.ERROR)
    assert record.status == (200 if case.error is None else 404)
    assert record.phases.total() == record.duration_ns
    assert record.cost == price_of_audio((case.model,), seconds=record.audio_seconds)
    assert "canary" not in span.to_json()
    for name, holds in case.facts.items():
        assert holds(getattr(record, name)), (name, record)
    if not isinstance(answer, (str, type(None))):
        assert record_of(answer) == record


@each_mode
def test_retries_of_other_endpoints(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """Attempts are recorded as they are for chat, with their own HTTP method."""
    sim.play(
        {"models": [Failure(429, retry_after=0.001), Failure(503, headers={"retry-after-ms": "1"})], "*": Answer("a")}
    )
    with pytest.raises(groq.InternalServerError):
        _closing(mode, list_models, exported.client(mode, sim.base_url, max_retries=1))
    record, span = exported.only()

    assert [a.status for a in record.attempts] == [429, 503]
    assert [c.name for c in exported.children(span) if c.kind is SpanKind.CLIENT] == ["GET", "GET"]


def test_other_endpoints_on_metrics(sim: Simulator, exported: Exported) -> None:
    """Durations are recorded under the endpoint's own operation, not under chat."""
    _closing("sync", list_models, exported.client("sync", sim.base_url))
    _closing("sync", embed, exported.client("sync", sim.base_url))
    points = exported.metrics()
    found = {
        p.attributes["gen_ai.operation.name"]: p.attributes.get("gen_ai.request.model")
        for p in points["gen_ai.client.operation.duration"]
    }

    assert found == {"list_models": None, "embeddings": "nomic-embed-text-v1_5"}
    assert [dict(p.attributes)["gen_ai.token.type"] for p in points["gen_ai.client.token.usage"]] == ["input"]
