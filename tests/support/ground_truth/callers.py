"""What callers of the scenarios do."""

import asyncio
import threading
import time
from contextlib import suppress
from typing import Any

import groq
import httpx
import httpx2
import openai

from groqscope import RequestRecord, record_of
from support.both import both
from support.ground_truth.scenario import Caller
from support.scope import ASK, STREAM
from support.sdks import ERRORS


@both
async def read(client: Any, caller: Caller) -> None:
    async for _ in await client.chat.completions.create(**STREAM):
        pass


@both
async def read_and_catch(client: Any, caller: Caller) -> None:
    try:
        async for _ in await client.chat.completions.create(**STREAM):
            pass
    except (*ERRORS, httpx.HTTPError, httpx2.HTTPError):
        pass


@both
async def read_slowly(client: Any, caller: Caller) -> None:
    async for _ in await client.chat.completions.create(**STREAM):
        await caller.asynchronous(0.02)


@both
async def read_lines_slowly(client: Any, caller: Caller) -> None:
    async with client.chat.completions.with_streaming_response.create(**STREAM) as response:
        async for line in response.iter_lines():
            if line:
                await caller.asynchronous(0.02)


@both
async def pause_then_read(client: Any, caller: Caller) -> None:
    stream = await client.chat.completions.create(**STREAM)
    await caller.asynchronous(0.05)
    async for _ in stream:
        pass


@both
async def pause_then_close(client: Any, caller: Caller) -> None:
    stream = await client.chat.completions.create(**STREAM)
    await caller.asynchronous(0.05)
    await stream.close()


@both
async def break_after_a_pause(client: Any, caller: Caller) -> None:
    async with await client.chat.completions.create(**STREAM) as stream:
        async for _ in stream:
            await caller.asynchronous(0.05)
            break


@both
async def break_at_once(client: Any, caller: Caller) -> None:
    async with await client.chat.completions.create(**STREAM) as stream:
        async for _ in stream:
            break


@both
async def drop_after_a_pause(client: Any, caller: Caller) -> None:
    async for _ in await client.chat.completions.create(**STREAM):
        await caller.asynchronous(0.05)
        break


@both
async def ask(client: Any, caller: Caller) -> None:
    await client.chat.completions.create(**ASK)


@both
async def ask_and_catch(client: Any, caller: Caller) -> None:
    with suppress(*ERRORS):
        await client.chat.completions.create(**ASK)


@both
async def ask_twice(client: Any, caller: Caller) -> RequestRecord | None:
    await client.chat.completions.create(**ASK)
    return record_of(await client.chat.completions.create(**ASK))


class WaitForThePool:
    """Two requests over one connection: the first holds it, the second is measured."""

    name = "wait_for_the_pool"

    def synchronous(self, client: Any, caller: Caller) -> RequestRecord | None:
        held = client.chat.completions.create(**STREAM)

        def release() -> None:
            time.sleep(0.06)
            caller.mark("released")
            held.close()

        thread = threading.Thread(target=release)
        thread.start()
        caller.mark("asked")
        answer = client.chat.completions.create(**ASK)
        thread.join()
        return record_of(answer)

    async def asynchronous(self, client: Any, caller: Caller) -> RequestRecord | None:
        held = await client.chat.completions.create(**STREAM)

        async def release() -> None:
            await asyncio.sleep(0.06)
            caller.mark("released")
            await held.close()

        task = asyncio.create_task(release())
        caller.mark("asked")
        answer = await client.chat.completions.create(**ASK)
        await task
        return record_of(answer)


class TimeOutInThePool:
    """The only connection is held for too long."""

    name = "time_out_in_the_pool"

    def synchronous(self, client: Any, caller: Caller) -> RequestRecord | None:
        with client.chat.completions.create(**STREAM):
            try:
                client.chat.completions.create(**ASK)
            except (groq.APITimeoutError, openai.APITimeoutError) as error:
                return record_of(error)
        return None

    async def asynchronous(self, client: Any, caller: Caller) -> RequestRecord | None:
        async with await client.chat.completions.create(**STREAM):
            try:
                await client.chat.completions.create(**ASK)
            except (groq.APITimeoutError, openai.APITimeoutError) as error:
                return record_of(error)
        return None


class Cancelled:
    """A task that is cancelled while it waits for a chunk."""

    name = "cancelled"

    async def asynchronous(self, client: Any, caller: Caller) -> None:
        reading = asyncio.create_task(read.asynchronous(client, caller))
        await asyncio.sleep(0.08)
        caller.mark("cancelled")
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
