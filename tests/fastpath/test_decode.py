"""Chunks and completions equal those of the SDK, for everything a server could send."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.families import FAMILIES, constructed, each_family
from support.json_bytes import payloads
from support.objects import told_apart
from support.recordings import Recording, streams, wholes
from support.scope import COMPLETION

from groqscope.instrument.families import GROQ, Family


@each_family
@pytest.mark.parametrize("recording", streams(), ids=lambda r: r.name)
def test_recorded_chunks(recording: Recording, family: Family) -> None:
    """Every recorded chunk is decoded here, not left to the SDK, and equals the SDK's; errors and `[DONE]` are left."""
    for i, payload in enumerate(recording.payloads):
        chunk = None if payload == "[DONE]" else family.models.decode_chunk(payload.encode())
        if payload == "[DONE]" or "error" in json.loads(payload):
            assert i == len(recording.payloads) - 1
            assert chunk is None
        else:
            assert told_apart(chunk) == told_apart(constructed(family, payload, family.models.chunk))


@each_family
@pytest.mark.parametrize("recording", wholes(), ids=lambda r: r.name)
def test_recorded_completions(recording: Recording, family: Family) -> None:
    """Every recorded answer in one piece equals the SDK's; those with an empty breakdown are left to Groq's."""
    completion = family.models.decode_completion(recording.body)
    if family is GROQ and json.loads(recording.body).get("usage_breakdown") == {"models": None}:
        assert completion is None
    else:
        assert told_apart(completion) == told_apart(constructed(family, recording.body, family.models.completion))


_TOOL = b'{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}'
_CHUNK = (
    b'{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[{"index":0,"delta":{%s},"finish_reason":null,"logprobs":%s}]%s}'
)


@each_family
@given(payload=st.one_of(*(payloads(family.models.chunk) for family in FAMILIES)))
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
@example(payload=_CHUNK % (b"", b"null", b',"service_tier":"on_demand"'))
@example(payload=_CHUNK % (b"", b"null", b',"service_tier":"auto","object":"of another kind"'))
@example(payload=_CHUNK % (b"", b"null", b',"service_tier":7'))
@example(payload=_CHUNK % (b"", b"null", b',"service_tier":null,"object":null'))
@example(payload=b"{}")
@example(payload=b"[]")
@example(payload=b'"text"')
@example(payload=b"null")
def test_generated_chunks(payload: bytes, family: Family) -> None:
    """Missing and unknown fields, wrong types, nulls, unknown enum values, big integers: as the SDK, or left to it."""
    chunk = family.models.decode_chunk(payload)
    if chunk is not None:
        assert told_apart(chunk) == told_apart(constructed(family, payload, family.models.chunk))


@each_family
@given(payload=st.one_of(*(payloads(family.models.completion) for family in FAMILIES)))
def test_generated_completions(payload: bytes, family: Family) -> None:
    """The same for answers in one piece."""
    completion = family.models.decode_completion(payload)
    if completion is not None:
        assert told_apart(completion) == told_apart(constructed(family, payload, family.models.completion))


@each_family
@pytest.mark.parametrize("tier", ["on_demand", "auto", "a tier of next year", None])
def test_words_that_the_models_do_not_list(tier: str | None, family: Family) -> None:
    """A service tier that only Groq has, or nobody yet, is no reason to leave an answer to the SDK."""
    chunk = _CHUNK % (b"", b"null", b',"service_tier":' + json.dumps(tier).encode())
    body = json.dumps(COMPLETION | {"service_tier": tier}).encode()
    decoded, completion = family.models.decode_chunk(chunk), family.models.decode_completion(body)

    assert told_apart(decoded) == told_apart(constructed(family, chunk, family.models.chunk))
    assert told_apart(completion) == told_apart(constructed(family, body, family.models.completion))
    assert completion.to_json() == constructed(family, body, family.models.completion).to_json()
    assert completion.model_copy(deep=True) == constructed(family, body, family.models.completion)


@each_family
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
def test_what_is_left_to_the_sdk(payload: bytes, family: Family) -> None:
    """Errors, invalid JSON and invalid UTF-8 are the SDK's business: it raises what it always raised."""
    assert family.models.decode_chunk(payload) is None


@each_family
def test_chunks_do_not_share_anything(family: Family) -> None:
    """Two chunks from the same bytes are two objects; changing one leaves the other."""
    payload = _CHUNK % (b'"content":"a","tool_calls":[' + _TOOL + b"]", b"null", b',"extra":[1]')
    one, other = (family.models.decode_chunk(payload) for _ in range(2))
    assert one is not None
    assert other is not None
    one.choices[0].delta.content = "b"
    one.choices.clear()

    assert other.choices[0].delta.content == "a"


@each_family
def test_chunks_can_be_written_again(family: Family) -> None:
    """A chunk dumps to the JSON the SDK's chunk dumps to."""
    payload = _CHUNK % (b'"content":"a","channel":"x"', b"null", b',"usage":{"prompt_tokens":1}')
    payload = payload.replace(b'"prompt_tokens":1', b'"prompt_tokens":1,"completion_tokens":2,"total_tokens":3')
    chunk = family.models.decode_chunk(payload)
    assert chunk is not None

    expected = constructed(family, payload, family.models.chunk)
    assert chunk.to_json() == expected.to_json()
    assert chunk.model_dump_json(exclude_unset=True) == expected.model_dump_json(exclude_unset=True)
