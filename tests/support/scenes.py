"""What an application does with one request, in every way that ends differently; each with what its server answers."""

import json
from typing import Any, Final

import groq
import httpx

from support.both import Both, both
from support.processes import WHOLE
from support.scope import ASK, COMPLETION, STREAM, sse


def reply(request: httpx.Request) -> httpx.Response:
    """Answer as asked."""
    return sse(*WHOLE) if json.loads(request.content).get("stream") else httpx.Response(200, json=COMPLETION)


def busy(_: httpx.Request) -> httpx.Response:
    """Ask for patience."""
    error = {"message": "later", "code": "rate_limit_exceeded"}
    return httpx.Response(429, headers={"retry-after": "0.001"}, json={"error": error})


@both
async def read(client: Any) -> Any:
    return [chunk.to_dict() async for chunk in await client.chat.completions.create(**STREAM)]


@both
async def closed(client: Any) -> Any:
    stream = await client.chat.completions.create(**STREAM)
    first = await anext(aiter(stream))
    await stream.close()
    return first.to_dict()


@both
async def dropped(client: Any) -> Any:
    async for chunk in await client.chat.completions.create(**STREAM):
        return chunk.to_dict()
    return None


@both
async def inside_with(client: Any) -> Any:
    async with await client.chat.completions.create(**STREAM) as stream:
        return [chunk.to_dict() async for chunk in stream]


@both
async def whole(client: Any) -> Any:
    return (await client.chat.completions.create(**ASK)).to_dict()


@both
async def raw(client: Any) -> Any:
    answer = await client.chat.completions.with_raw_response.create(**ASK)
    return (await answer.parse()).to_dict()


@both
async def lines(client: Any) -> Any:
    async with client.chat.completions.with_streaming_response.create(**STREAM) as response:
        return [line async for line in response.iter_lines()]


@both
async def refused(client: Any) -> Any:
    try:
        return await client.with_options(max_retries=0).chat.completions.create(**ASK)
    except groq.RateLimitError as error:
        return error.message


SCENES: Final[list[tuple[Both, list[Any]]]] = [
    (read, [reply]),
    (closed, [reply]),
    (dropped, [reply]),
    (inside_with, [reply]),
    (whole, [busy, reply]),
    (raw, [reply]),
    (lines, [reply]),
    (refused, [busy]),
]
