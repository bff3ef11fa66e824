"""Chunks and completions equal those of the SDK, for everything a server could send."""

import json
from typing import Any

import pytest
from groq._models import construct_type
from groq.types.chat import ChatCompletion, ChatCompletionChunk
from hypothesis import example, given
from support.json_bytes import payloads
from support.objects import told_apart
from support.recordings import Recording, streams, wholes

from groqscope.fastpath import decode_chunk, decode_completion


def _by_the_sdk(payload: bytes | str, model: type) -> Any:
    return construct_type(value=json.loads(payload), type_=model)


@pytest.mark.parametrize("recording", streams(), ids=lambda r: r.name)
def test_recorded_chunks(recording: Recording) -> None:
    """Every recorded chunk is decoded here, not left to the SDK, and equals the SDK's; errors and `[DONE]` are left."""
    for i, payload in enumerate(recording.payloads):
        chunk = None if payload == "[DONE]" else decode_chunk(payload.encode())
        if payload == "[DONE]" or "error" in json.loads(payload):
            assert i == len(recording.payloads) - 1
            assert chunk is None
        else:
            assert told_apart(chunk) == told_apart(_by_the_sdk(payload, ChatCompletionChunk))


@pytest.mark.parametrize("recording", wholes(), ids=lambda r: r.name)
def test_recorded_completions(recording: Recording) -> None:
    """Every recorded answer in one piece equals the SDK's; those with an empty breakdown are left to it."""
    completion = decode_completion(recording.body)
    if json.loads(recording.body).get("usage_breakdown") == {"models": None}:
        assert completion is None
    else:
        assert told_apart(completion) == told_apart(_by_the_sdk(recording.body, ChatCompletion))


_TOOL = b'{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}'
_CHUNK = (
    b'{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[{"index":0,"delta":{%s},"finish_reason":null,"logprobs":%s}]%s}'
)


@given(payload=payloads(ChatCompletionChunk))
@example(payload=_CHUNK % (b'"content":"\xf0\x9f\x98\x80"', b"null", b""))
@example(payload=_CHUNK % (b'"content":"\\ud83d\\ude00 \\u2028"', b'{"content":[{"token":"a","logprob":-0}]}', b""))
@example(payload=_CHUNK % (b'"content":"\\ud83d"', b"null", b""))
@example(payload=_CHUNK % (b'"role":"robot","tool_calls":[' + _TOOL + b"]", b"null", b""))
@example(payload=_CHUNK % (b'"tool_calls":[' + _TOOL + b"," + _TOOL + b"]", b"null", b',"error":null'))
@example(payload=_CHUNK % (b'"channel":"analysis","reasoning":"x"', b"null", b',"usage":{"prompt_tokens":1e3}'))
@example(
    payload=_CHUNK % (b"", b"null", b',"x_groq":{"id":"req_1","usage":{"queue_time":1},"seed":18446744073709551616}')
)
@example(payload=_CHUNK % (b"", b"null", b',"id":"twice","created":1.0'))
@example(payload=_CHUNK % (b"", b"null", b',"created":true'))
@example(payload=_CHUNK % (b"", b"null", b',"extra":1e400'))
@example(payload=b"{}")
@example(payload=b"[]")
@example(payload=b'"text"')
@example(payload=b"null")
def test_generated_chunks(payload: bytes) -> None:
    """Missing and unknown fields, wrong types, nulls, unknown enum values, big integers: as the SDK, or left to it."""
    chunk = decode_chunk(payload)
    if chunk is not None:
        assert told_apart(chunk) == told_apart(_by_the_sdk(payload, ChatCompletionChunk))


@given(payload=payloads(ChatCompletion))
def test_generated_completions(payload: bytes) -> None:
    """The same for answers in one piece."""
    completion = decode_completion(payload)
    if completion is not None:
        assert told_apart(completion) == told_apart(_by_the_sdk(payload, ChatCompletion))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"[DONE]",
        b'{"error":{"message":"no"}}',
        _CHUNK % (b"", b"null", b',"error":{"message":"no"}'),
        _CHUNK % (b'"content":"\xff"', b"null", b""),
        _CHUNK % (b'"\xff":1', b"null", b""),
        _CHUNK % (b'"content":"a\nb"', b"null", b""),
        b"\xef\xbb\xbf" + _CHUNK % (b"", b"null", b""),
    ],
)
def test_what_is_left_to_the_sdk(payload: bytes) -> None:
    """Errors, invalid JSON and invalid UTF-8 are the SDK's business: it raises what it always raised."""
    assert decode_chunk(payload) is None


def test_chunks_do_not_share_anything() -> None:
    """Two chunks from the same bytes are two objects; changing one leaves the other."""
    payload = _CHUNK % (b'"content":"a","tool_calls":[' + _TOOL + b"]", b"null", b',"extra":[1]')
    one, other = decode_chunk(payload), decode_chunk(payload)
    assert one is not None
    assert other is not None
    one.choices[0].delta.content = "b"
    one.choices.clear()

    assert other.choices[0].delta.content == "a"


def test_chunks_can_be_written_again() -> None:
    """A chunk dumps to the JSON the SDK's chunk dumps to."""
    payload = _CHUNK % (b'"content":"a","channel":"x"', b"null", b',"usage":{"prompt_tokens":1}')
    payload = payload.replace(b'"prompt_tokens":1', b'"prompt_tokens":1,"completion_tokens":2,"total_tokens":3')
    chunk = decode_chunk(payload)
    assert chunk is not None

    expected = _by_the_sdk(payload, ChatCompletionChunk)
    assert chunk.to_json() == expected.to_json()
    assert chunk.model_dump_json(exclude_unset=True) == expected.model_dump_json(exclude_unset=True)
