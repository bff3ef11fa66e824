"""Facts of requests and answers: only what is certain, and only what an exporter can write."""

import json
from typing import Any

import httpx
import pytest
from groq._models import construct_type
from groq.types.chat import ChatCompletionChunk
from hypothesis import given
from support.json_bytes import payloads, values

from groqscope.codec import decode, encode
from groqscope.instrument.facts import asked, chunk_observer, operation_of, request_facts
from groqscope.timeline import Timeline, Usage

_BASE = httpx.URL("https://api.groq.com")


def _facts(**body: Any) -> dict[str, Any]:
    facts = request_facts("chat", body, _BASE, stream=True)
    asked(facts, body)
    return dict(facts)


@given(payload=payloads(ChatCompletionChunk))
def test_any_chunk_gives_a_record_that_can_be_written(payload: bytes) -> None:
    """Whatever a server sends in a chunk, observing does not raise, and the record survives its way through JSON."""
    timeline = Timeline(0, 0, {"operation": "chat", "stream": True})
    chunk_observer(timeline)(construct_type(value=json.loads(payload), type_=ChatCompletionChunk), 5, valid=False)
    record = timeline.record(9, "completed")
    attributes, events = json.loads(json.dumps(encode(record)))
    span = {"start_unix_ns": 0, "duration_ns": 9, "trace_id": None, "span_id": None, "nested": False, "service": None}

    assert decode(attributes, [(name, given_, at) for name, at, given_ in events], **span) == record


def test_what_is_negative_is_unknown() -> None:
    """No codec reads a negative count or time of a server's back, so it does not become a fact."""
    usage = {
        "completion_tokens": -1,
        "prompt_tokens": 3,
        "completion_time": -1.0,
        "queue_time": -0.5,
        "prompt_time": 0.5,
    }
    chunk = construct_type(value={"choices": [], "created": -1, "usage": usage}, type_=ChatCompletionChunk)
    timeline = Timeline(0, 0, {"operation": "chat", "stream": True})
    chunk_observer(timeline)(chunk, 5, valid=False)
    record = timeline.record(9, "completed")

    assert record.created is None
    assert record.usage == Usage(input_tokens=3, prompt_time=0.5)


@pytest.mark.parametrize("name", ["\ud83d", "a\udc00b", "\ud800" * 600])
def test_half_a_surrogate_pair_can_be_written(name: str) -> None:
    """JSON can hold strings that are no text; no exporter must fail over them."""
    chunk = construct_type(value={"id": name, "model": name, "choices": []}, type_=ChatCompletionChunk)
    timeline = Timeline(0, 0, {"operation": "chat", "stream": True})
    chunk_observer(timeline)(chunk, 5, valid=False)
    record = timeline.record(9, "completed")

    assert (record.response_id or "").encode()
    assert len(record.response_model or "") <= 512


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 10**400, True, "0.1", None])
def test_what_is_no_finite_number_is_unknown(number: Any) -> None:
    """A setting or a reported time that is not a finite number is left out."""
    assert _facts(temperature=number)["temperature"] is None


def test_only_what_was_sent() -> None:
    """No default of the SDK or of Groq becomes a fact."""
    facts = {k: v for k, v in _facts(model="m", messages=[{}]).items() if v is not None and v != ()}

    assert facts == {
        "operation": "chat",
        "stream": True,
        "server_address": "api.groq.com",
        "server_port": 443,
        "model": "m",
        "messages": 1,
    }


@pytest.mark.parametrize(
    ("stop", "sequences"),
    [("a", ("a",)), (["a", "b"], ("a", "b")), (["a", 1], ("a",)), (None, ()), (list("abcdef"), tuple("abcd")), (7, ())],
)
def test_stop_sequences(stop: Any, sequences: tuple[str, ...]) -> None:
    """One or several, of which the API takes four."""
    assert _facts(stop=stop)["stop_sequences"] == sequences


@given(body=values)
def test_any_body_gives_facts(body: Any) -> None:
    """Bodies are the caller's: nothing in them makes observing fail."""
    names = ("model", "messages", "tools", "stop", "n", "response_format", "seed", "max_tokens", "service_tier")

    assert _facts(**dict.fromkeys(names, body))["operation"] == "chat"


@pytest.mark.parametrize(
    ("method", "url", "operation"),
    [
        ("post", "/openai/v1/chat/completions", "chat"),
        ("post", "/openai/v1/responses", "chat"),
        ("post", "/openai/v1/embeddings", "embeddings"),
        ("post", "/openai/v1/audio/transcriptions", "transcription"),
        ("post", "/openai/v1/audio/translations", "translation"),
        ("post", "/openai/v1/audio/speech", "speech"),
        ("get", "/openai/v1/models", "list_models"),
        ("get", "/openai/v1/models/llama-3", "retrieve_model"),
        ("delete", "/openai/v1/models/llama-3", "delete_model"),
        ("post", "/openai/v1/files", "create_file"),
        ("get", "/openai/v1/files/f1/content", "content_file"),
        ("get", "/openai/v1/batches?limit=2", "list_batches"),
        ("post", "/openai/v1/batches", "create_batch"),
        ("post", "/openai/v1/batches/b1/cancel", "cancel_batch"),
        ("get", "/somewhere/else", "request"),
    ],
)
def test_operations(method: str, url: str, operation: str) -> None:
    """Every endpoint has a name of low cardinality; ids are not part of it."""
    assert operation_of(method, url) == operation


def test_long_arguments_are_measured_whole() -> None:
    """A tool call that comes in one long piece has its whole size, and is read as JSON whole."""
    arguments = '{"a": "' + "x" * 10_000 + '"}'
    delta = {"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]}
    chunk = {"choices": [{"index": 0, "delta": delta}]}
    timeline = Timeline(0, 0, {"operation": "chat", "stream": True})
    chunk_observer(timeline)(construct_type(value=chunk, type_=ChatCompletionChunk), 1, valid=False)
    (call,) = timeline.record(2).tool_calls

    assert (call.arguments_size, call.arguments_valid) == (len(arguments), True)
