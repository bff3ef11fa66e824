"""A program that puts a canary wherever the SDK lets a caller or a server put text, and meets every kind of failure.

The fields are the SDK's own, walked by their types: one that it adds carries a canary without anybody's doing. Only
names that telemetry is made of are left out, each with its reason.
"""

import asyncio
import contextlib
import inspect
import json
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, Union, get_args, get_origin

import groq
import httpx
from groq.types.chat import ChatCompletion, ChatCompletionChunk, completion_create_params
from pydantic import BaseModel
from typing_extensions import is_typeddict

import groqscope
from groqscope.instrument import faults
from support.hooks import HOOKS
from support.scope import MODEL, Wire, groq_client, sse

CANARY: Final = "cAnArY"
KEY: Final = f"gsk_{CANARY}0123456789abcdefghij"

NAMES: Final[Mapping[str, Any]] = {
    "model": MODEL,  # what is measured
    "id": "chatcmpl-1",  # what support asks for
    "system_fingerprint": "fp_1",
    "service_tier": "auto",
    "reasoning_effort": "low",  # settings from fixed lists
    "reasoning_format": "parsed",
    "stop": ["END"],  # the conventions record it, as a setting
    "name": "get_weather",  # of a tool; the conventions record it
    "stream": True,
}
_counter = iter(range(10**9))


def canary(path: str = "") -> str:
    """A text to be found nowhere; the path tells which one it is."""
    return f"{CANARY}-{path}-{next(_counter)}"


def filled(kind: Any, path: str = "") -> Any:
    """A value of a type with a canary in every text of it."""
    kind, origin, arguments = _plain(kind)
    if origin is Literal:
        return arguments[0]
    if origin in (list, typing.Iterable) or getattr(origin, "__name__", "") in ("Iterable", "Sequence", "list"):
        return [filled(arguments[0], path)]
    if origin in (dict, Mapping) or getattr(origin, "__name__", "") in ("dict", "Mapping"):
        return {canary(path): canary(path)}
    if inspect.isclass(kind) and issubclass(kind, BaseModel):
        fields: Any = kind.model_fields
        return {name: _field(name, field.annotation, path) for name, field in fields.items()}
    if is_typeddict(kind):
        return {name: _field(name, hint, path) for name, hint in typing.get_type_hints(kind).items()}
    known = {int: 1, float: 0.5, bool: True, type(None): None}
    return known[kind] if kind in known else canary(path)


def _field(name: str, kind: Any, path: str) -> Any:
    if name == "type" and path.endswith(".executed_tools"):
        return "python"  # the kind of a tool of Groq's
    named = name in NAMES and not (name == "id" and path.startswith("request"))
    return NAMES[name] if named else filled(kind, f"{path}.{name}")


def _plain(kind: Any) -> tuple[Any, Any, tuple[Any, ...]]:
    """A type without `Required`, `Annotated` and `Optional`; of a union, its most telling member."""
    while True:
        origin, arguments = get_origin(kind), get_args(kind)
        if origin in (Union, types.UnionType):
            members = [a for a in arguments if a is not type(None)]
            kind = max(members, key=lambda a: (is_typeddict(a), get_origin(a) is not Literal, str(a)))
        elif origin in (typing.Annotated, typing.Required, typing.NotRequired) or str(origin).endswith("Required"):
            kind = arguments[0]
        else:
            return kind, origin, arguments


def request(**given: Any) -> dict[str, Any]:
    """Arguments of a chat completion: all that the SDK knows, and some that it does not."""
    body = filled(completion_create_params.CompletionCreateParams, "request")
    image = {"type": "image_url", "image_url": {"url": f"https://x.test/{canary('image')}.png"}}
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": canary("call")}}
    body["messages"] = [
        *({"role": role, "content": canary(role)} for role in ("system", "user", "assistant")),
        {"role": "user", "name": canary("user name"), "content": [{"type": "text", "text": canary("part")}, image]},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": canary("result")},
    ]
    schema = {"name": canary("request.response_format"), "schema": {"title": canary("schema")}}
    body["response_format"] = {"type": "json_schema", "json_schema": schema}
    extra = {
        "extra_headers": {"x-user": canary("header"), "authorization": f"Bearer {KEY}"},
        "extra_query": {"key": KEY},
        "extra_body": {"user_id": canary("user id"), "stream_options": {"include_usage": True}},
    }
    return {**body, **extra, **given}


def chunks(**given: Any) -> bytes:
    """A stream of one chunk that has everything, and its end."""
    chunk = filled(ChatCompletionChunk, "chunk")
    chunk["x_groq"] = {**chunk["x_groq"], "id": "req_1", **given}
    return b"data: " + json.dumps(chunk).encode() + b"\n\ndata: [DONE]\n\n"


def answer() -> httpx.Response:
    """A completion that has everything, and headers of all kinds."""
    completion = filled(ChatCompletion, "completion")
    headers = {"x-request-id": "req_2", "set-cookie": canary("cookie"), "x-groq-canary": canary("header")}
    return httpx.Response(200, json=completion, headers=headers)


def failure(status: int, code: Any) -> Callable[[httpx.Request], httpx.Response]:
    """An error body that repeats everything it was given."""
    error = {"message": canary("error"), "type": canary("type"), "code": code, "failed_generation": canary("failed")}
    body = {"error": error, "detail": KEY}
    return lambda _: httpx.Response(status, json=body, headers={"retry-after-ms": "1", "x-detail": KEY})


def scenarios() -> Iterator[Callable[[], Any]]:
    """Everything a caller can do, and a server."""
    error = b'event: error\ndata: {"error":{"message":"%s","code":"%s"}}\n\n' % (canary().encode(), KEY.encode())
    yield lambda: list(create(sse(chunks())))
    yield lambda: list(create(sse(chunks(error=canary("x_groq.error")))))
    yield lambda: list(create(sse(chunks() + error)))
    yield lambda: list(create(sse(error)))
    yield lambda: list(create(sse(b"data: {" + canary("broken").encode() + b"\n\n")))
    yield lambda: list(create(sse(chunks(), httpx.ReadError(canary("read")))))
    yield lambda: create(sse(chunks())).close()
    yield lambda: create(sse(chunks())) and None
    yield lambda: _fails(create(sse(chunks())))
    yield lambda: create(answer(), stream=False)
    for status, code in ((400, KEY), (401, canary("code")), (413, None), (422, "json_validate_failed"), (498, 3)):
        yield lambda status=status, code=code: create(failure(status, code))
    for status in (429, 500, 503):
        yield lambda status=status: create(failure(status, KEY), max_retries=2)
    yield lambda: create(httpx.ConnectError(canary("connect")), max_retries=1)
    yield lambda: create(httpx.ReadTimeout(canary("timeout")))
    yield lambda: create(ValueError(canary("transport")))
    yield lambda: client(answer()).chat.completions.with_raw_response.create(**request(stream=False)).parse()
    yield lambda: _raw(sse(chunks()))
    yield lambda: asyncio.run(_async())
    yield _misses_of_the_cache
    yield from _others()
    yield _own_failures


def client(*replies: Any, **options: Any) -> groq.Groq:
    """A client whose key, address, headers and query are canaries."""
    return groq_client(
        "sync",
        f"http://{canary('user').lower()}:{KEY}@groq.test/openai?key={KEY}",
        api_key=KEY,
        default_headers={"x-canary": canary("default header")},
        default_query={"token": KEY},
        http={"transport": Wire(*replies)},
        **{"max_retries": 0, **options},
    )


def create(*replies: Any, max_retries: int = 0, **given: Any) -> Any:
    """Ask with everything."""
    return client(*replies, max_retries=max_retries).chat.completions.create(**request(**given))


def _fails(stream: Any) -> None:
    for _ in stream:
        raise LookupError(canary("caller"))


def _misses_of_the_cache() -> None:
    """Prompts that are remembered and compared: each begins otherwise, and goes on as before."""
    completion = filled(ChatCompletion, "completion")
    completion["usage"] = {"prompt_tokens": 3_000, "completion_tokens": 1, "total_tokens": 3_001}
    stays = canary("what stays") * 400
    one = client(lambda _: httpx.Response(200, json=completion, headers={"x-request-id": "req_4"}))
    for _ in range(3):
        system = {"role": "system", "content": canary("what changes") + stays}
        asked = request(stream=False, model="openai/gpt-oss-120b", tools=[], response_format=None)
        one.chat.completions.create(**{**asked, "messages": [system, {"role": "user", "content": canary()}]})


def _raw(reply: httpx.Response) -> None:
    with client(reply).chat.completions.with_streaming_response.create(**request()) as response:
        list(response.iter_lines())


async def _async() -> None:
    wire = Wire(lambda _: sse(chunks()))
    mine = groq_client("async", f"http://u:{KEY}@groq.test", api_key=KEY, http={"transport": wire})
    async for _ in await mine.chat.completions.create(**request()):
        pass


def _others() -> Iterator[Callable[[], Any]]:
    """The other endpoints: files with names, prompts, texts to speak, ids in paths."""
    audio = (f"{canary('file')}.wav", canary("audio").encode())
    reply = httpx.Response(200, json={"text": canary("transcript"), "x_groq": {"id": "req_3"}, "data": []})
    text = canary("prompt")
    yield lambda: client(reply).audio.transcriptions.create(file=audio, model=MODEL, prompt=text, language="en")
    yield lambda: client(reply).audio.translations.create(file=audio, model=MODEL, prompt=text)
    yield lambda: client(reply).audio.speech.create(input=text, model=MODEL, voice=canary("voice"))
    yield lambda: client(reply).embeddings.create(input=[text], model=MODEL, user=canary("user"))
    yield lambda: client(reply).files.create(file=audio, purpose="batch")
    yield lambda: client(reply).files.info(canary("file id"))
    yield lambda: client(failure(500, KEY), max_retries=1).files.delete(canary("file id"))
    yield lambda: client(reply).models.retrieve(canary("model id"))
    yield lambda: client(reply).batches.create(
        completion_window="24h", endpoint="/v1/chat/completions", input_file_id=canary("file id")
    )


def _own_failures() -> None:
    """A failure of our own at every hook, and a callback of the user's that fails, both with telling messages."""

    def fail(*_: Any) -> None:
        raise RuntimeError(canary("ours"))

    stop = groqscope.on_record(fail)
    list(create(sse(chunks())))
    stop()
    for name in HOOKS:
        faults.injected = lambda hook, name=name: fail() if hook == name else None
        for ask in (lambda: list(create(sse(chunks()))), lambda: create(failure(500, KEY), max_retries=1)):
            with contextlib.suppress(Exception):
                ask()
    faults.injected = None


def talk() -> int:
    """Do all of it; return the number of conversations."""
    count = 0
    for count, scenario in enumerate(scenarios(), 1):  # noqa: B007 - counted
        with contextlib.suppress(Exception):
            scenario()
    return count
