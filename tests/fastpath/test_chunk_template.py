"""Chunks built from a template equal those of the SDK, and nothing fits a template that is not such a chunk."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.families import FAMILIES, constructed, each_family
from support.json_bytes import payloads
from support.objects import told_apart
from support.recordings import Recording, streams

from groqscope.fastpath import ChunkTemplate, learn_template
from groqscope.instrument.families import Family

_PLAIN = b'{"id":"c","created":1,"model":"m","object":"chat.completion.chunk","choices":[{"index":0,"delta":{%b}%b}]%b}'


def _by_the_sdk(family: Family, payload: bytes | str) -> Any:
    return constructed(family, payload, family.models.chunk)


def _learned(family: Family, payload: bytes) -> ChunkTemplate | None:
    chunk = family.models.decode_chunk(payload)
    found = None if chunk is None else learn_template(chunk, payload)
    return None if found is None else found[1]


def _plain(text: bytes) -> bytes:
    """A chunk with this as its text, between the quotes."""
    more = b',"finish_reason":null,"logprobs":null'
    return _PLAIN % (b'"channel":"x","content":"' + text + b'"', more, b',"system_fingerprint":"fp","extra":1.5')


@each_family
@pytest.mark.parametrize("recording", streams(), ids=lambda r: r.name)
def test_recorded_chunks(recording: Recording, family: Family) -> None:
    """In every recorded stream each chunk that fits a template learned before it equals the SDK's; most do."""
    template: ChunkTemplate | None = None
    texts = fitted = 0
    for payload in recording.payloads:
        data = payload.encode()
        chunk = None if template is None else template(data, 0, len(data))
        if chunk is not None:
            fitted += 1
            assert told_apart(chunk) == told_apart(_by_the_sdk(family, payload))
        else:
            template = _learned(family, data) or template
        fields = {} if payload == "[DONE]" else json.loads(payload)
        delta = fields["choices"][0]["delta"] if fields.get("choices") else {}
        texts += bool(delta.get("content") or delta.get("reasoning"))

    # Compound systems give each chunk an id of its own; a chunk whose text has an escape teaches nothing.
    assert fitted > texts * 0.8 - 5 or "compound" in recording.request["model"]


@each_family
@given(
    text=st.binary(max_size=12) | st.text(max_size=12).map(lambda t: json.dumps(t, ensure_ascii=False)[1:-1].encode())
)
@example(text=b'\\n\\u00e9\\\\\\/\\"')
@example(text=b"\\ud83d\\ude00")
@example(text=b"\\ud83d")
@example(text=b"\\x")
@example(text=b"\\")
@example(text=b"\n")
@example(text=b'","role":"user')
@example(text=b"\xff")
@example(text=b"\xed\xa0\xbd")
@example(text="\u2028".encode())
@example(text=b"\x7f")
def test_any_text(text: bytes, family: Family) -> None:
    """Whatever stands between the quotes: as the SDK, or left to it."""
    template = _learned(family, _plain(b"token"))
    payload = _plain(text)

    assert template is not None
    chunk = template(b"data: " + payload + b"\n\n", 6, len(payload) + 6)
    if chunk is not None:
        assert chunk.choices[0].delta.content
        assert told_apart(chunk) == told_apart(_by_the_sdk(family, payload))
    elif text.isascii() and text.isalnum():
        pytest.fail("a plain text fits")


@each_family
@given(
    payload=st.one_of(*(payloads(family.models.chunk) for family in FAMILIES)),
    text=st.text(min_size=1, max_size=6),
    random=st.randoms(use_true_random=False),
)
def test_any_chunk(payload: bytes, text: str, random: Any, family: Family) -> None:
    """A template learned from any chunk builds what the SDK builds, from its own payload and from a changed one."""
    template = _learned(family, payload)
    if template is None:
        return
    place = random.randrange(len(payload) + 1)
    changed = payload[:place] + json.dumps(text)[1:-1].encode() + payload[place + random.randrange(3) :]

    own = template(payload, 0, len(payload))
    assert told_apart(own) == told_apart(_by_the_sdk(family, payload))
    other = template(changed, 0, len(changed))
    if other is not None:
        assert told_apart(other) == told_apart(_by_the_sdk(family, changed))


@each_family
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
def test_what_teaches_nothing(payload: bytes, family: Family) -> None:
    """More than a text, values that copies would share, and a text whose place is not certain."""
    chunk = family.models.decode_chunk(payload)

    assert chunk is not None
    assert learn_template(chunk, payload) is None


@each_family
def test_chunks_do_not_share_anything(family: Family) -> None:
    """Changing a chunk, or the one that was learned from, changes no other."""
    payload = _plain(b"a")
    first = family.models.decode_chunk(payload)
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


@each_family
def test_chunks_can_be_copied_and_written(family: Family) -> None:
    """What pydantic does with a model it does with these: equality, copies, JSON, validation."""
    payload = _plain(b"a")
    template = _learned(family, payload)
    assert template is not None
    chunk, expected = template(payload, 0, len(payload)), _by_the_sdk(family, payload)

    assert chunk is not None
    assert chunk == expected
    assert chunk.to_json() == expected.to_json()
    assert chunk.model_copy(deep=True) == expected
    assert family.models.chunk.model_validate(chunk.model_dump()) == expected
