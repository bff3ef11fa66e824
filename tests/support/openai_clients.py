"""Clients of the openai SDK on either HTTP library, and scenarios for both kinds of client."""

import asyncio
from typing import Any

import httpx
import httpx2
import openai
import pytest

import groqscope
from groqscope.simulator import Simulator
from support.both import Both, Mode
from support.scope import NO_CERTIFICATES, Exported

GROQ = "https://api.groq.com/openai/v1"
LIBRARIES: Any = (httpx, httpx2) if hasattr(openai, "DefaultHttpx2Client") else (httpx,)
"""Those that this version of openai takes."""
each_library = pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.__name__)


def openai_client(mode: Mode, base_url: str = GROQ, library: Any = LIBRARIES[-1], **options: Any) -> Any:
    """A bare client of openai's SDK, on a client of one of the HTTP libraries."""
    http = options.pop("http", {})
    kind = library.Client if mode == "sync" else library.AsyncClient
    made = {"http_client": kind(**{"verify": NO_CERTIFICATES, "trust_env": False, "timeout": 10.0, **http})}
    client = openai.OpenAI if mode == "sync" else openai.AsyncOpenAI
    return client(base_url=base_url, **{"api_key": "test", **made, **options})


def observed(exported: Exported, mode: Mode, sim: Simulator, library: Any = LIBRARIES[-1], **options: Any) -> Any:
    """The same, observed, at the simulator."""
    client = openai_client(mode, f"{sim.base_url}/openai/v1", library, **options)
    host = sim.base_url.removeprefix("http://")
    return groqscope.instrument(client, groq_hosts=[host], **exported.providers)


def wire(library: Any, answer: Any) -> dict[str, Any]:
    """Options of an HTTP client that is answered without a server."""
    return {"transport": library.MockTransport(answer)}


def run(mode: Mode, scenario: Both, client: Any) -> Any:
    """Run a scenario and close its client."""
    if mode == "sync":
        with client:
            return scenario.synchronous(client)

    async def main() -> Any:
        async with client:
            return await scenario.asynchronous(client)

    return asyncio.run(main())
