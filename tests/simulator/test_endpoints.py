"""Groq's other endpoints, through the SDK's own methods."""

from collections.abc import Iterator
from typing import Any

import groq
import httpx
import pytest
from groq import Groq

from groqscope.simulator import Answer, Failure, Response, Simulator

WAV = ("a.wav", b"RIFF....", "audio/wav")


@pytest.fixture
def client(sim: Simulator) -> Iterator[Groq]:
    with Groq(base_url=sim.base_url, api_key="test", max_retries=0) as one:
        yield one


def test_models(client: Groq) -> None:
    """The list, one of it, and one that does not exist."""
    models = client.models.list().data

    assert {model.object for model in models} == {"model"}
    assert client.models.retrieve("openai/gpt-oss-20b") in models
    with pytest.raises(groq.NotFoundError, match="does not exist"):
        client.models.retrieve("nobody/nothing")


@pytest.mark.parametrize("kind", ["transcriptions", "translations"])
def test_audio_to_text(client: Groq, kind: str) -> None:
    """JSON by default, with a request id; `verbose_json` tells the seconds; `text` is text."""
    create: Any = getattr(client.audio, kind).create
    short = create(file=WAV, model="whisper-large-v3-turbo")
    verbose = create(file=WAV, model="whisper-large-v3-turbo", response_format="verbose_json")

    assert short.text == verbose.text
    assert short.x_groq["id"].startswith("req_")
    assert verbose.duration == 2.5
    if kind == "transcriptions":
        assert create(file=WAV, model="whisper-large-v3-turbo", response_format="text") == short.text


def test_speech(client: Groq) -> None:
    """Bytes of a WAV file whose header says how long it is."""
    audio = client.audio.speech.create(input="Hello", model="playai-tts", voice="Fritz-PlayAI").read()

    assert (audio[:4], audio[8:16]) == (b"RIFF", b"WAVEfmt ")
    assert int.from_bytes(audio[4:8], "little") == len(audio) - 8
    assert int.from_bytes(audio[40:44], "little") == len(audio) - 44


def test_embeddings(client: Groq) -> None:
    """A vector for each input, and the tokens of all."""
    answer = client.embeddings.create(input=["a", "b"], model="nomic-embed-text-v1_5")

    assert [item.index for item in answer.data] == [0, 1]
    assert answer.usage.total_tokens > 0
    assert answer.model == "nomic-embed-text-v1_5"


def test_files(client: Groq) -> None:
    """Uploaded, listed, looked at, read, deleted."""
    made = client.files.create(file=("batch.jsonl", b"{}"), purpose="batch")

    assert made.purpose == "batch"
    assert made.id is not None
    assert [one.id for one in client.files.list().data] == [made.id]
    assert client.files.info(made.id).id == made.id
    content: Any = client.files.content(made.id).json()
    assert content["custom_id"] == "1"
    assert client.files.delete(made.id).deleted


def test_batches(client: Groq) -> None:
    """Made from what was asked, listed, looked at, cancelled."""
    made = client.batches.create(completion_window="24h", endpoint="/v1/chat/completions", input_file_id="file_1")

    assert (made.input_file_id, made.status) == ("file_1", "validating")
    assert [one.id for one in client.batches.list().data] == [made.id]
    assert client.batches.retrieve(made.id).id == made.id
    assert client.batches.cancel(made.id).status == "cancelling"


def test_a_script_may_answer_any_endpoint(sim: Simulator, client: Groq) -> None:
    """A mapping from endpoint to script; what it does not name answers as usual."""
    sim.play(
        {
            "embeddings": Failure(503),
            "models": Response(b'{"object":"list","data":[]}'),
            "chat/completions": Answer("x"),
        }
    )

    with pytest.raises(groq.InternalServerError):
        client.embeddings.create(input="a", model="m")
    assert client.models.list().data == []
    assert client.chat.completions.create(model="m", messages=[]).choices[0].message.content == "x"
    assert client.batches.list().data


@pytest.mark.parametrize(
    ("method", "path"), [("get", "/openai/v1/nothing"), ("get", "/openai/v1/chat/completions"), ("post", "/")]
)
def test_an_unknown_url_is_refused_in_groqs_words(client: Groq, method: str, path: str) -> None:
    """Another path, or another method: 404 `unknown_url`."""
    with pytest.raises(groq.NotFoundError, match=f"Unknown request URL: {method.upper()} {path}"):
        getattr(client, method)(path, cast_to=object)


def test_the_root_says_what_this_is(sim: Simulator) -> None:
    """Who opens the address in a browser learns what to do with it; other paths stay unknown."""
    answer = httpx.get(f"{sim.base_url}/")

    assert answer.status_code == 200
    assert f"base_url={sim.base_url}" in answer.json()["message"]
    assert httpx.get(f"{sim.base_url}/other", headers={"authorization": "Bearer test"}).status_code == 404
