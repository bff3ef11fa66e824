"""openai's streams, observed: for any bytes, however they are cut, the chunks and errors of a client that is not."""

from collections.abc import Iterable
from functools import cache
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk
from support.both import Mode, both, each_mode
from support.endings import read_to_the_end
from support.objects import told_apart
from support.openai_clients import openai_client, run, wire
from support.recordings import Recording, cut_at, streams
from support.scope import STREAM, Exported, Pieces

import groqscope
from groqscope import RequestRecord, record_of
from groqscope.telemetry import ContentPolicy

_CHUNK = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[{"index":0,"delta":{%b},"finish_reason":%b}]%b}'
)


@both
async def ask(client: Any) -> Any:
    """What the caller sees: the chunks, and what was raised in the end."""
    chunks: list[Any] = []
    try:
        async for chunk in await client.chat.completions.create(**STREAM):
            chunks.append(told_apart(chunk))
    except Exception as error:
        return chunks, type(error), str(error), getattr(error, "body", None), type(error.__cause__)
    return chunks


def _answered(pieces: Iterable[bytes | Exception]) -> dict[str, Any]:
    def answer(_: Any) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Pieces(list(pieces)))

    return wire(httpx, answer)


def _bare(mode: Mode, pieces: Iterable[bytes | Exception]) -> Any:
    return run(mode, ask, openai_client(mode, library=httpx, http=_answered(pieces)))


def _observed(mode: Mode, pieces: Iterable[bytes | Exception], exported: Exported, **options: Any) -> Any:
    client = openai_client(mode, library=httpx, http=_answered(pieces))
    return run(mode, ask, groqscope.instrument(client, **exported.providers, **options))


@cache
def _bare_recording(mode: Mode, recording: Recording) -> Any:
    return _bare(mode, [recording.body])


@pytest.fixture(scope="module")
def anywhere() -> Exported:
    """For tests that look at no record."""
    return Exported()


@each_mode
@pytest.mark.parametrize("recording", streams(), ids=lambda r: r.name)
def test_recorded_streams(recording: Recording, mode: Mode, exported: Exported) -> None:
    """Whole, event by event, and in the pieces a network would make."""
    expected = _bare_recording(mode, recording)
    events = [event + b"\n\n" for event in recording.body.split(b"\n\n")[:-1]]
    sevenths = [recording.body[i : i + 700] for i in range(0, len(recording.body), 700)]

    for pieces in ([recording.body], events, sevenths):
        assert _observed(mode, pieces, exported) == expected


@each_mode
@given(cuts=st.lists(st.integers(0, 100_000), max_size=40), recording=st.sampled_from(streams()))
def test_any_cutting_of_a_recording(mode: Mode, cuts: list[int], recording: Recording, anywhere: Exported) -> None:
    """However a recorded stream is cut, its chunks are the same."""
    assert _observed(mode, cut_at(recording.body, cuts), anywhere) == _bare_recording(mode, recording)


_text = st.sampled_from([b"a", b"\\n", b"\xc3\xb8", b"\\ud83d", b"\xff", b"", b'","x":"'])
_plain = st.one_of(
    st.builds(lambda text: _CHUNK % (b'"content":"%b"' % text, b"null", b""), _text),
    st.builds(lambda text: _CHUNK % (b'"reasoning":"%b"' % text, b"null", b""), _text),
    st.sampled_from(
        [
            _CHUNK % (b"", b'"stop"', b',"x_groq":{"id":"req_1","usage":{"prompt_tokens":1}}'),
            _CHUNK % (b'"content":"a","executed_tools":[{"index":0}]', b"null", b',"service_tier":"on_demand"'),
            _CHUNK % (b'"content":7', b"null", b""),
            _CHUNK % (b"", b"null", b',"error":{"message":"no"}'),
            b'data: {"error":{"message":"no"}}',
            b"data: [DONE]",
            b"data: [DONE] and more",
            b"data: {oops",
            b"data: {}",
            b"data: []",
            b"data: null",
            b"data:",
            b": ping",
            b"id: 7",
            b"retry: 5",
        ]
    ),
)
_event = st.builds(
    lambda name, line, end: name + line + end,
    st.sampled_from([b"", b"", b"", b"event: error\n", b"event: thread.created\n", b"event: x\n"]),
    _plain,
    st.sampled_from([b"\n\n", b"\n\n", b"\n\n", b"\r\n\r\n", b"\r\r", b"\n", b"\n\n\n"]),
)


@each_mode
@given(events=st.lists(_event, max_size=8), rest=st.sampled_from([b"", b"data: {"]), cuts=st.lists(st.integers(0, 900)))
def test_any_stream(mode: Mode, events: list[bytes], rest: bytes, cuts: list[int], anywhere: Exported) -> None:
    """Names, errors, what is no chunk, text after `[DONE]`, invalid UTF-8, line ends of every kind, cut anywhere."""
    pieces = cut_at(b"".join(events) + rest, cuts)

    assert _observed(mode, pieces, anywhere) == _bare(mode, pieces)


@each_mode
@pytest.mark.parametrize("error", [httpx.ReadTimeout("late"), httpx.RemoteProtocolError("cut")], ids=repr)
def test_a_broken_connection(error: Exception, mode: Mode, exported: Exported) -> None:
    """The chunks before, then the SDK's own exception."""
    pieces = [_CHUNK % (b'"content":"a"', b"null", b"") + b"\n\n", error]

    assert _observed(mode, pieces, exported) == _bare(mode, pieces)


def _construct_nothing(**_: Any) -> Any:
    raise AssertionError("the SDK constructs")


@each_mode
def test_who_builds_them(mode: Mode, exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """groqscope, each chunk of a recording; the SDK with `fast_path=False`. The record is the same."""
    (recording,) = (r for r in streams() if r.name == "pai_thinking_part_iter_1")
    events = [event + b"\n\n" for event in recording.body.split(b"\n\n")[:-1]]
    slow = _observed(mode, events, exported, fast_path=False)
    monkeypatch.setattr("openai._base_client.construct_type", _construct_nothing)
    fast = _observed(mode, events, exported)
    by_the_sdk, built_here = exported.records

    assert fast == slow
    assert len(fast) == len(events) - 1 == built_here.chunks
    assert _observed(mode, events, exported, fast_path=False)[1] is AssertionError
    for field in ("chunks", "content_chunks", "usage", "finish_reasons", "request_id", "outcome"):
        assert getattr(built_here, field) == getattr(by_the_sdk, field), field


class Looking(openai.OpenAI):
    """A client that looks at the JSON of its chunks."""

    def _process_response_data(self, *, data: Any, cast_to: Any, response: Any) -> Any:
        data["seen"] = True
        return super()._process_response_data(data=data, cast_to=cast_to, response=response)


def test_a_client_that_looks_at_the_json(exported: Exported) -> None:
    """It sees each chunk's, as it does without groqscope."""
    body = _CHUNK % (b'"content":"a"', b"null", b"") + b"\n\ndata: [DONE]\n\n"
    http: Any = httpx.Client(**_answered([body]))
    client = Looking(base_url="https://api.groq.com/openai/v1", api_key="k", http_client=http)
    (chunk,) = run("sync", read_to_the_end, groqscope.instrument(client, **exported.providers))

    assert chunk.seen
    assert exported.records[0].chunks == 1


@each_mode
def test_content_of_chunks(mode: Mode, exported: Exported) -> None:
    """Where content is recorded, each chunk is looked at, and still built here."""
    pieces = [_CHUNK % (b'"content":"%d"' % i, b"null", b"") + b"\n\n" for i in range(5)]
    assert len(_observed(mode, pieces, exported, content=ContentPolicy(spans=True))) == 5

    assert "01234" in str((exported.only()[1].attributes or {})["gen_ai.output.messages"])


def test_helpers_get_chunks_of_the_sdk(exported: Exported) -> None:
    """A chunk can be changed, copied and validated again, and the stream knows its record."""
    pieces = [_CHUNK % (b'"content":"%d"' % i, b"null", b"") + b"\n\n" for i in range(5)] + [b"data: [DONE]\n\n"]
    with openai_client("sync", library=httpx, http=_answered(pieces)) as client:
        stream = groqscope.instrument(client, **exported.providers).chat.completions.create(**STREAM)
        chunks = list(stream)
    chunks[3].choices[0].delta.content = "changed"
    record = record_of(stream)

    assert [type(chunk) for chunk in chunks] == [ChatCompletionChunk] * 5
    assert ChatCompletionChunk.model_validate(chunks[4].model_dump()).choices[0].delta.content == "4"
    assert isinstance(record, RequestRecord)
    assert record.outcome == "completed"
