"""Chunks built from a template equal those of the SDK, and nothing fits a template that is not such a chunk."""

import json
from typing import Any

import pytest
from groq._models import construct_type
from groq.types.chat import ChatCompletionChunk
from hypothesis import example, given
from hypothesis import strategies as st
from support.json_bytes import payloads
from support.objects import told_apart
from support.recordings import Recording, streams

from groqscope.fastpath import ChunkTemplate, decode_chunk, learn_template

_PLAIN = b'{"id":"c","created":1,"model":"m","object":"chat.completion.chunk","choices":[{"index":0,"delta":{%b}%b}]%b}'


def _by_the_sdk(payload: bytes | str) -> Any:
    return construct_type(value=json.loads(payload), type_=ChatCompletionChunk)


def _learned(payload: bytes) -> ChunkTemplate | None:
    chunk = decode_chunk(payload)
    found = None if chunk is None else learn_template(chunk, payload)
    return None if found is None else found[1]


def _plain(text: bytes) -> bytes:
    """A chunk with this as its text, between the quotes."""
    more = b',"finish_reason":null,"logprobs":null'
    return _PLAIN % (b'"channel":"x","content":"' + text + b'"', more, b',"system_fingerprint":"fp","extra":1.5')


@pytest.mark.parametrize("recording", streams(), ids=lambda r: r.name)
def test_recorded_chunks(recording: Recording) -> None:
    """In every recorded stream each chunk that fits a template learned before it equals the SDK's; most do."""
    template: ChunkTemplate | None = None
    texts = fitted = 0
    for payload in recording.payloads:
        data = payload.encode()
        chunk = None if template is None else template(data, 0, len(data))
        if chunk is not None:
            fitted += 1
            assert told_apart(chunk) == told_apart(_by_the_sdk(payload))
        else:
            template = _learned(data) or template
        fields = {} if payload == "[DONE]" else json.loads(payload)
        delta = fields["choices"][0]["delta"] if fields.get("choices") else {}
        texts += bool(delta.get("content") or delta.get("reasoning"))

    # Compound systems give each chunk an id of its own; a chunk whose text has an escape teaches nothing.
    assert fitted > texts * 0.8 - 5 or "compound" in recording.request["model"]


@given(st.binary(max_size=12) | st.text(max_size=12).map(lambda t: json.dumps(t, ensure_ascii=False)[1:-1].encode()))
@example(b'\\n\\u00e9\\\\\\/\\"')
@example(b"\\ud83d\\ude00")
@example(b"\\ud83d")
@example(b"\\x")
@example(b"\\")
@example(b"\n")
@example(b'","role":"user')
@example(b"\xff")
@example(b"\xed\xa0\xbd")
@example("\u2028".encode())
@example(b"\x7f")
def test_any_text(text: bytes) -> None:
    """Whatever stands between the quotes: as the SDK, or left to it."""
    template = _learned(_plain(b"token"))
    payload = _plain(text)

    assert template is not None
    chunk = template(b"data: " + payload + b"\n\n", 6, len(payload) + 6)
    if chunk is not None:
        assert chunk.choices[0].delta.content
        assert told_apart(chunk) == told_apart(_by_the_sdk(payload))
    elif text.isascii() and text.isalnum():
        pytest.fail("a plain text fits")


@given(payloads(ChatCompletionChunk), st.text(min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_any_chunk(payload: bytes, text: str, random: Any) -> None:
    """A template learned from any chunk builds what the SDK builds, from its own payload and from a changed one."""
    template = _learned(payload)
    if template is None:
        return
    place = random.randrange(len(payload) + 1)
    changed = payload[:place] + json.dumps(text)[1:-1].encode() + payload[place + random.randrange(3) :]

    own = template(payload, 0, len(payload))
    assert told_apart(own) == told_apart(_by_the_sdk(payload))
    other = template(changed, 0, len(changed))
    if other is not None:
        assert told_apart(other) == told_apart(_by_the_sdk(changed))


@pytest.mark.parametrize(
    "payload",
    [
        _PLAIN % (b'"content":""', b"", b""),
        _PLAIN % (b'"content":"a","reasoning":"b"', b"", b""),
        _PLAIN % (b'"content":"a","tool_calls":[{"index":0}]', b"", b""),
        _PLAIN % (b'"content":"a","channel":["x"]', b"", b""),
        _PLAIN % (b'"content":"a"', b',"finish_reason":"stop"', b""),
        _PLAIN % (b'"content":"a"', b',"logprobs":{"content":[]}', b""),
        _PLAIN % (b'"content":"a"', b"", b',"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}'),
        _PLAIN % (b'"content":"a"', b"", b',"x_groq":{"id":"req_1"}'),
        # Another text might be the one that counts.
        _PLAIN % (b'"content":"b","content":"a"', b"", b""),
        _PLAIN % (b'"content":"a","content" : "a"', b"", b""),
        _PLAIN % (b'"content":"a","\\u0063ontent":"a"', b"", b""),
        _PLAIN % (b'"content":"a"', b"", b',"system_fingerprint":"content"'),
        _PLAIN % (b'"content":"\\n"', b"", b""),
        _PLAIN % (b'"content": "a"', b"", b""),
    ],
)
def test_what_teaches_nothing(payload: bytes) -> None:
    """More than a text, values that copies would share, and a text whose place is not certain."""
    chunk = decode_chunk(payload)

    assert chunk is not None
    assert learn_template(chunk, payload) is None


def test_chunks_do_not_share_anything() -> None:
    """Changing a chunk, or the one that was learned from, changes no other."""
    payload = _plain(b"a")
    first = decode_chunk(payload)
    assert first is not None
    found = learn_template(first, payload)
    assert found is not None
    name, template = found
    expected = told_apart(first)
    for chunk in (first, template(payload, 0, len(payload))):
        assert chunk is not None
        choice = chunk.choices[0]
        for model in (chunk, choice, choice.delta):
            model.__pydantic_fields_set__.clear()
            assert model.__pydantic_extra__ is not None
            model.__pydantic_extra__["more"] = 1
        choice.delta.content, choice.index, chunk.id = "x", 7, "other"
        chunk.choices.clear()

    assert name == "content"
    assert told_apart(template(payload, 0, len(payload))) == expected


def test_chunks_can_be_copied_and_written() -> None:
    """What pydantic does with a model it does with these: equality, copies, JSON, validation."""
    payload = _plain(b"a")
    template = _learned(payload)
    assert template is not None
    chunk, expected = template(payload, 0, len(payload)), _by_the_sdk(payload)

    assert chunk is not None
    assert chunk == expected
    assert chunk.to_json() == expected.to_json()
    assert chunk.model_copy(deep=True) == expected
    assert ChatCompletionChunk.model_validate(chunk.model_dump()) == expected
