"""Transports that retry below the SDK, as published: each exchange is an attempt, the pause after it is retry."""

import asyncio
from typing import Any

import groq
import httpx
import pytest
from httpx_retries import Retry, RetryTransport
from pydantic_ai import Agent
from pydantic_ai.providers.groq import GroqProvider
from pydantic_ai.retries import AsyncTenacityTransport, RetryConfig, TenacityTransport, wait_retry_after
from support.both import Mode, each_mode
from support.callers import read_chunks
from support.scope import Exported
from tenacity import retry_if_exception_type, stop_after_attempt, wait_fixed

from groqscope.audit import MemorySource, Query, Records
from groqscope.models.groq import GroqModel
from groqscope.simulator import Answer, Failure, Reset, Simulator

# For httpx2, which Groq's SDK does not take.
pytestmark = pytest.mark.filterwarnings("ignore:`(Async)?TenacityTransport` is deprecated")

TEXT = Answer(["a", "b"])
PAUSE = 0.05


def httpx_retries(mode: Mode) -> Any:
    """Return the transport of httpx-retries, which decides itself what is behind it."""
    del mode
    return RetryTransport(retry=Retry(total=4, allowed_methods=["POST"], backoff_factor=PAUSE, backoff_jitter=0.0))


def tenacity(mode: Mode, attempts: int = 4, wait: Any = None) -> Any:
    """Return pydantic-ai's transports, set up as its documentation shows."""
    transport: Any = TenacityTransport if mode == "sync" else AsyncTenacityTransport
    wrapped: Any = httpx.HTTPTransport if mode == "sync" else httpx.AsyncHTTPTransport
    config = RetryConfig(
        retry=retry_if_exception_type((httpx.HTTPStatusError, httpx.TransportError)),
        wait=wait or wait_fixed(PAUSE),
        stop=stop_after_attempt(attempts),
        reraise=True,
    )
    return transport(config, wrapped=wrapped(verify=False), validate_response=lambda r: r.raise_for_status())


TRANSPORTS = {"httpx-retries": httpx_retries, "tenacity": tenacity}


@each_mode
@pytest.mark.parametrize("name", TRANSPORTS)
def test_answers_that_are_tried_again(name: str, mode: Mode, sim: Simulator, exported: Exported) -> None:
    """Three exchanges in one attempt of the SDK's are three attempts, and the time between them is no sending."""
    sim.play([Failure(503), Failure(502), TEXT])
    client = exported.client(mode, sim.base_url, max_retries=0, http={"transport": TRANSPORTS[name](mode)})
    read_chunks(mode, client)
    record, span = exported.only()

    assert [(a.status, a.error_type) for a in record.attempts] == [(503, "503"), (502, "502"), (200, None)]
    assert (record.outcome, record.retries, record.phases.total()) == ("completed", 2, record.duration_ns)
    assert (record.phases.retry or 0) >= sum(a.backoff_ns or 0 for a in record.attempts) >= 0.9 * PAUSE * 1e9
    assert [s.name for s in exported.children(span)].count("POST") == 3


@each_mode
@pytest.mark.parametrize("name", TRANSPORTS)
def test_connections_that_break(name: str, mode: Mode, sim: Simulator, exported: Exported) -> None:
    """A connection that was closed without an answer is an attempt without a status."""
    sim.play([Reset(), TEXT])
    client = exported.client(mode, sim.base_url, max_retries=0, http={"transport": TRANSPORTS[name](mode)})
    read_chunks(mode, client)
    record, _ = exported.only()

    first, second = record.attempts
    assert (first.status, first.error_type is not None, second.status) == (None, True, 200)
    assert (record.retries, record.phases.total()) == (1, record.duration_ns)


@each_mode
def test_the_transport_gives_up(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """Its exception is the caller's, as without us; what it tried is there, and the SDK's own retry on top."""
    sim.play([Failure(503)] * 4)
    client = exported.client(mode, sim.base_url, max_retries=1, http={"transport": tenacity(mode, attempts=2)})
    with pytest.raises(groq.APIConnectionError) as raised:
        read_chunks(mode, client)
    record, _ = exported.only()

    assert isinstance(raised.value.__cause__, httpx.HTTPStatusError)
    assert (record.outcome, [a.status for a in record.attempts]) == ("error", [503] * 4)
    assert record.phases.total() == record.duration_ns


def test_an_agent_whose_transport_waits(sim: Simulator, exported: Exported) -> None:
    """pydantic-ai's documented set-up against a rate limit: the verdict blames retries, and not sending."""
    sim.play([Failure(429, retry_after=1), Answer("hello")])
    transport = tenacity("async", wait=wait_retry_after(max_wait=5))
    client = exported.client("async", sim.base_url, max_retries=0, http={"transport": transport})

    async def main() -> str:
        async with client:
            model = GroqModel("llama-3.3-70b-versatile", provider=GroqProvider(groq_client=client))
            return (await Agent(model).run("Hi")).output

    answer = asyncio.run(main())
    record, _ = exported.only()

    assert answer == "hello"
    assert [(a.status, a.retry_after) for a in record.attempts] == [(429, 1.0), (200, None)]
    assert (record.phases.retry or 0) >= 1_000_000_000
    overview = Records(MemorySource([record]), Query()).overview(listed=1)
    assert overview.entries[0].verdict.causes[0].code == "retries"
