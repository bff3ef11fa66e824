"""Groq's other endpoints: minimal answers of the right shape."""

import json
import re
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from groqscope.simulator.encoding import request_id
from groqscope.simulator.received import Received
from groqscope.simulator.script import Failure, Reply, Response

MODELS: Mapping[str, tuple[str, int]] = {
    "llama-3.3-70b-versatile": ("Meta", 131_072),
    "llama-3.1-8b-instant": ("Meta", 131_072),
    "openai/gpt-oss-120b": ("OpenAI", 131_072),
    "openai/gpt-oss-20b": ("OpenAI", 131_072),
    "qwen/qwen3-32b": ("Alibaba Cloud", 131_072),
    "groq/compound": ("Groq", 131_072),
    "whisper-large-v3-turbo": ("OpenAI", 448),
    "playai-tts": ("PlayAI", 8_192),
}
_CREATED = 1_732_000_000
_FILE, _BATCH = "file_01sim0000000000000000000000", "batch_01sim000000000000000000000"


def _json(payload: Mapping[str, Any]) -> Response:
    return Response(json.dumps(payload).encode())


def unknown(received: Received) -> Reply:
    """Answer a path or method that Groq does not have with an error, and `GET /` with what this server is."""
    if (received.method, received.path) == ("GET", "/"):
        here = f"http://{received.headers.get('host', '127.0.0.1')}"
        return _json({"message": f"This is groqscope's simulator of Groq. Use it with base_url={here}"})
    message = (
        f"Unknown request URL: {received.method} {received.path}. Please check the URL for typos, "
        "or see the docs at https://console.groq.com/docs/"
    )
    return Failure(404, message=message, code="unknown_url")


def _model(name: str) -> dict[str, Any]:
    owner, window = MODELS[name]
    model = {"id": name, "object": "model", "created": _CREATED, "owned_by": owner, "active": True}
    return model | {"context_window": window, "public_apps": None}


def _listed(entries: Iterable[Mapping[str, Any]]) -> Response:
    return _json({"object": "list", "data": list(entries)})


def _one_model(received: Received) -> Reply:
    name = _name(received)
    return _json(_model(name)) if name in MODELS else Failure(404, message=f"The model `{name}` does not exist")


def _form_field(received: Received, name: str) -> str | None:
    """Return a text field of a multipart form; `None` when it is absent."""
    found = re.search(rb'name="' + name.encode() + rb'"\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]*)', received.body)
    return found[1].decode() if found else None


def _transcription(received: Received) -> Reply:
    how = _form_field(received, "response_format") or "json"
    text = "The quick brown fox jumps over the lazy dog."
    if how == "text":
        return Response(text.encode(), content_type="text/plain")
    # only verbose_json has a duration
    payload: dict[str, Any] = {"text": text, "x_groq": {"id": request_id()}}
    if how == "verbose_json":
        payload |= {"task": "transcribe", "language": "English", "duration": 2.5, "segments": [_segment(text)]}
    return _json(payload)


def _segment(text: str) -> dict[str, Any]:
    times = {"id": 0, "seek": 0, "start": 0.0, "end": 2.5}
    return times | {"text": text, "tokens": [464, 2068], "temperature": 0.0, "avg_logprob": -0.1}


def _speech(_: Received) -> Reply:
    samples = bytes(4_800)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 24_000, 48_000, 2, 16)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", len(samples)) + samples
    return Response(struct.pack("<4sI", b"RIFF", len(body)) + body, content_type="audio/wav")


def _embeddings(received: Received) -> Reply:
    inputs: Any = received.json.get("input")
    texts = inputs if isinstance(inputs, list) else [inputs]  # pyright: ignore[reportUnknownVariableType] - JSON
    count = len(texts)  # pyright: ignore[reportUnknownArgumentType] - JSON
    data = [{"object": "embedding", "index": i, "embedding": [0.5, -0.5, 0.25, 0.0]} for i in range(count)]
    usage = dict.fromkeys(("prompt_tokens", "total_tokens"), received.prompt_tokens)
    return _json({"object": "list", "model": received.model, "data": data, "usage": usage})


def _file(name: str, purpose: str = "batch", size: int = 0) -> dict[str, Any]:
    return {
        "id": name,
        "object": "file",
        "bytes": size,
        "created_at": _CREATED,
        "filename": "batch.jsonl",
        "purpose": purpose,
    }


def _upload(received: Received) -> Reply:
    return _json(_file(_FILE, _form_field(received, "purpose") or "batch", len(received.body)))


def _file_content(_: Received) -> Reply:
    line = {"id": "batch_req_1", "custom_id": "1", "response": {"status_code": 200}, "error": None}
    return Response(json.dumps(line).encode() + b"\n", content_type="application/octet-stream")


def _batch(name: str, status: str = "validating", asked: Mapping[str, Any] | None = None) -> dict[str, Any]:
    asked = asked or {}
    return {
        "id": name,
        "object": "batch",
        "endpoint": asked.get("endpoint", "/v1/chat/completions"),
        "input_file_id": asked.get("input_file_id", _FILE),
        "completion_window": asked.get("completion_window", "24h"),
        "status": status,
        "created_at": int(time.time()),
        "request_counts": {"total": 1, "completed": 0, "failed": 0},
    }


def _name(received: Received) -> str:
    return received.path_params["name"]


ROUTES: Mapping[str, Mapping[str, Callable[[Received], Reply]]] = {
    "chat/completions": {},
    "responses": {},
    "models": {"GET": lambda _: _listed(map(_model, MODELS))},
    "models/{name:path}": {"GET": _one_model},
    "audio/transcriptions": {"POST": _transcription},
    "audio/translations": {"POST": _transcription},
    "audio/speech": {"POST": _speech},
    "embeddings": {"POST": _embeddings},
    "files": {"GET": lambda _: _listed([_file(_FILE)]), "POST": _upload},
    "files/{name}": {
        "GET": lambda received: _json(_file(_name(received))),
        "DELETE": lambda received: _json({"id": _name(received), "object": "file", "deleted": True}),
    },
    "files/{name}/content": {"GET": _file_content},
    "batches": {
        "GET": lambda _: _listed([_batch(_BATCH)]),
        "POST": lambda received: _json(_batch(_BATCH, asked=received.json)),
    },
    "batches/{name}": {"GET": lambda received: _json(_batch(_name(received)))},
    "batches/{name}/cancel": {"POST": lambda received: _json(_batch(_name(received), "cancelling"))},
}
"""The built-in answers, by path below `/openai/v1/` and method; the two that a script always answers have none."""
