"""Fifty streams at once over one connection pool, and what they waited for: `python examples/fan_out.py`."""

import asyncio
from statistics import median

import httpx
from groq import AsyncGroq

import groqscope

STREAMS, CONNECTIONS = 50, 20

groqscope.configure()
groqscope.instrument()


async def ask(client: AsyncGroq, number: int) -> groqscope.RequestRecord | None:
    """Read one stream to its end and give its record."""
    stream = await client.chat.completions.create(
        model="llama-3.1-8b-instant",
        messages=[{"role": "user", "content": f"Say something about the number {number}."}],
        max_completion_tokens=60,
        stream=True,
    )
    async for _ in stream:
        pass
    return groqscope.record_of(stream)


async def main() -> None:
    """Ask fifty times at once, with fewer connections than that."""
    http = httpx.AsyncClient(limits=httpx.Limits(max_connections=CONNECTIONS), timeout=60)
    async with AsyncGroq(http_client=http) as client:
        records = [r for r in await asyncio.gather(*(ask(client, n) for n in range(STREAMS))) if r is not None]
    print(f"{len(records)} streams over {CONNECTIONS} connections; median and longest, ms:")
    for phase in ("pool_wait", "connect", "queue", "prefill", "network", "receive"):
        lengths = [dict(r.phases.items()).get(phase, 0) / 1e6 for r in records]
        print(f"  {phase:<10} {median(lengths):8.1f} {max(lengths):8.1f}")


asyncio.run(main())
