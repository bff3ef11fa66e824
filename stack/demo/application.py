"""An application that talks to Groq all the time, instrumented by two lines: what the demo profile shows.

export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 GROQ_BASE_URL=http://127.0.0.1:8787 GROQ_API_KEY=any
python stack/demo/application.py [--per-second 2] [--seconds 60]
"""

import argparse
import asyncio
import random
import time

import httpx
from groq import AsyncGroq, GroqError

import groqscope

MODELS = ("llama-3.1-8b-instant", "llama-3.3-70b-versatile", "openai/gpt-oss-120b")
QUESTIONS = ("Where is my order?", "Can I change the address?", "Summarise this complaint.", "Is it in stock?")


async def ask(client: AsyncGroq, rng: random.Random) -> None:
    """Ask once: streamed or not, read to the end, slowly, or given up."""
    question = {
        "model": rng.choice(MODELS),
        "messages": [{"role": "user", "content": rng.choice(QUESTIONS)}],
        "temperature": 0.2,
        "max_completion_tokens": 400,
    }
    manner = rng.random()
    try:
        if manner < 0.25:  # a quarter is not streamed
            await client.chat.completions.create(**question)
            return
        stream = await client.chat.completions.create(stream=True, **question)
        chunks = 0
        async for _ in stream:
            chunks += 1
            if manner > 0.98 and chunks > 8:  # one in fifty loses interest
                break
            if manner > 0.90:  # one in ten is slow with each chunk
                await asyncio.sleep(0.004)
    except (GroqError, httpx.HTTPError):
        pass  # the dashboards tell


async def run(per_second: float, seconds: float | None, seed: int | None) -> None:
    """Ask at random moments until the time is over."""
    rng = random.Random(seed)  # noqa: S311 - traffic, not secrets
    end = None if seconds is None else time.monotonic() + seconds
    running: set[asyncio.Task[None]] = set()
    async with AsyncGroq(max_retries=2) as client:
        while end is None or time.monotonic() < end:
            task = asyncio.create_task(ask(client, rng))
            running.add(task)
            task.add_done_callback(running.discard)
            await asyncio.sleep(rng.expovariate(per_second))
        if running:
            await asyncio.wait(running, timeout=30)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-second", type=float, default=2.0)
    parser.add_argument("--seconds", type=float, help="default: until stopped")
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    groqscope.configure()
    groqscope.instrument()
    asyncio.run(run(options.per_second, options.seconds, options.seed))


if __name__ == "__main__":
    main()
