"""What most callers do, with either client: ask for an answer in one piece, or read a stream to its end."""

from typing import Any

from support.both import both
from support.scope import ASK, STREAM


@both
async def whole(client: Any, **options: Any) -> Any:
    """Ask and close the client; return the answer."""
    async with client:
        return await client.chat.completions.create(**{**ASK, **options})


@both
async def stream(client: Any, **options: Any) -> Any:
    """Read a stream to its end and close the client; return the stream."""
    async with client:
        opened = await client.chat.completions.create(**{**STREAM, **options})
        async for _ in opened:
            pass
        return opened


@both
async def read_chunks(client: Any, **options: Any) -> list[Any]:
    """Read a stream to its end and close the client; return its chunks."""
    async with client:
        return [chunk async for chunk in await client.chat.completions.create(**{**STREAM, **options})]


@both
async def whole_text(client: Any, **options: Any) -> str:
    """Ask and close the client; return the text of the answer."""
    return (await whole.asynchronous(client, **options)).choices[0].message.content


@both
async def streamed_text(client: Any, **options: Any) -> str:
    """Read a stream to its end and close the client; return the text of its chunks."""
    chunks = await read_chunks.asynchronous(client, **options)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
