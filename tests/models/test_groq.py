"""The constructor, the client and the properties of `GroqModel`, and what is said where pydantic-ai is missing."""

import json
import os
import subprocess
import sys
from typing import Any

import groq
import httpx
import pytest
from groq import AsyncGroq
from pydantic_ai import Agent
from pydantic_ai.exceptions import UserError
from pydantic_ai.models.groq import GroqModel as PydanticAIModel
from pydantic_ai.providers import Provider
from pydantic_ai.providers.groq import GroqProvider
from support.model_wire import Wire
from support.programs import Programs
from support.scope import COMPLETION

import groqscope
from groqscope.instrument import is_instrumented
from groqscope.models.groq import GroqModel
from groqscope.timeline import RequestRecord

LLAMA = "llama-3.3-70b-versatile"


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GROQ_API_KEY", "gsk_environment")
    return "gsk_environment"


def test_key_of_the_environment(key: str) -> None:
    """Nothing but a name: the key is the environment's and the HTTP client pydantic-ai's."""
    model = GroqModel(LLAMA)

    assert (LLAMA, "groq", key) == (model.model_name, model.system, model.client.api_key)
    assert model.client._client.headers["user-agent"].startswith("pydantic-ai/")


def test_given_key(key: str) -> None:
    """A key that is given wins over the environment's."""
    assert GroqModel(LLAMA, api_key="gsk_given").client.api_key == "gsk_given"


def test_no_key() -> None:
    """Without any key it is pydantic-ai's own error."""
    with pytest.raises(UserError, match="Set the `GROQ_API_KEY` environment variable"):
        GroqModel(LLAMA)


async def test_given_http_client(key: str) -> None:
    """An HTTP client that is given is used, and left open by the model."""
    http_client = httpx.AsyncClient()
    model = GroqModel(LLAMA, http_client=http_client, api_key="gsk_given")
    async with model:
        pass

    assert (http_client, "gsk_given", False) == (model.client._client, model.client.api_key, http_client.is_closed)
    await http_client.aclose()


async def test_own_http_client_is_closed(key: str) -> None:
    """The HTTP client made here is closed with the model."""
    model = GroqModel(LLAMA)
    async with model:
        assert not model.client._client.is_closed

    assert model.client._client.is_closed


def test_given_client() -> None:
    """A client that is given is used as it is, and instrumented."""
    client = AsyncGroq(api_key="gsk_given")
    model = GroqModel(LLAMA, groq_client=client)

    assert model.client is client
    assert isinstance(client, AsyncGroq)
    assert is_instrumented(client)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"http_client": httpx.AsyncClient()}, "Cannot provide both `groq_client` and `http_client`"),
        ({"api_key": "gsk"}, "Cannot provide both `groq_client` and `api_key`"),
    ],
)
def test_client_and_what_makes_one(more: dict[str, Any], message: str) -> None:
    """A client together with what would make another is refused."""
    with pytest.raises(AssertionError, match=message):
        GroqModel(LLAMA, groq_client=AsyncGroq(api_key="gsk"), **more)


def test_provider_by_name(key: str) -> None:
    """`'groq'` is pydantic-ai's provider; the other three are not looked at then."""
    model = GroqModel(LLAMA, provider="groq", api_key="x", groq_client=AsyncGroq(api_key="y"))

    assert (key, "groq") == (model.client.api_key, model.system)


def test_given_provider() -> None:
    """A provider's client is instrumented; the other three are not looked at."""
    provider = GroqProvider(api_key="gsk_provider")
    model = GroqModel(LLAMA, provider=provider, api_key="x", groq_client=AsyncGroq(api_key="y"))

    assert model.client is provider.client
    assert is_instrumented(provider.client)


def test_provider_that_makes_clients() -> None:
    """A provider whose client changes is instrumented all the same."""

    class Changing(GroqProvider):
        @property
        def client(self) -> AsyncGroq:
            return AsyncGroq(api_key="gsk")

    model = GroqModel(LLAMA, provider=Changing(api_key="gsk"))

    assert is_instrumented(model.client)
    assert is_instrumented(model.client)


def test_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    """`'gateway'` is pydantic-ai's gateway, with its own error when there is no key for it."""
    with pytest.raises(UserError, match="PYDANTIC_AI_GATEWAY_API_KEY"):
        GroqModel(LLAMA, provider="gateway")
    monkeypatch.setenv("PYDANTIC_AI_GATEWAY_API_KEY", "pylf_v1_us_test")
    model = GroqModel(LLAMA, provider="gateway")

    assert "gateway" in str(model.client.base_url)
    assert is_instrumented(model.client)


def test_profile_and_settings() -> None:
    """Profile and settings are pydantic-ai's."""
    settings: Any = {"temperature": 0.5}
    profile: Any = {"supports_tools": False}
    own = PydanticAIModel(LLAMA, provider=GroqProvider(api_key="gsk"), profile=profile, settings=settings)
    model = GroqModel(LLAMA, api_key="gsk", profile=profile, settings=settings)

    assert (own.profile, own.settings) == (model.profile, model.settings)


def test_it_is_pydantic_ais() -> None:
    """It is a `GroqModel` of pydantic-ai and knows what that knows about itself."""
    model = GroqModel(LLAMA, api_key="gsk")
    own = PydanticAIModel(LLAMA, provider=GroqProvider(api_key="gsk"))

    assert isinstance(model, PydanticAIModel)
    assert isinstance(model._provider, Provider)
    assert (own.base_url, own.model_id, own.system) == (model.base_url, model.model_id, model.system)


def answer() -> Wire:
    return Wire([json.dumps(COMPLETION).encode()], content_type="application/json")


@pytest.mark.parametrize("order", ["process first", "model first"])
async def test_never_twice(order: str, records: list[RequestRecord]) -> None:
    """Process-wide instrumentation and the model's own do not add up, whichever came first."""
    if order == "process first":
        groqscope.instrument()
    model = GroqModel(LLAMA, groq_client=answer().client())
    groqscope.instrument()
    result = await Agent(model).run("hi")
    groqscope.uninstrument()

    assert (result.output, len(records)) == ("hi", 1)


async def test_still_observed_after_the_process_is_not(records: list[RequestRecord]) -> None:
    """The model's client is instrumented again when the process-wide instrumentation it relied on is gone."""
    groqscope.instrument()
    model = GroqModel(LLAMA, groq_client=answer().client())
    groqscope.uninstrument()
    await Agent(model).run("hi")

    assert len(records) == 1


async def test_copies_of_the_client_are_observed(records: list[RequestRecord]) -> None:
    """pydantic-ai copies the client for a number of retries of its own; the copy is observed too."""
    model = GroqModel(LLAMA, groq_client=answer().client(), settings={"max_retries": 3})
    await Agent(model).run("hi")

    assert len(records) == 1


def test_exported_lazily() -> None:
    """`groqscope.GroqModel` is the model, and importing groqscope does not import pydantic-ai."""
    assert groqscope.GroqModel is GroqModel
    code = "import sys, groqscope; sys.exit('pydantic_ai' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize("statement", ["import groqscope.models.groq", "from groqscope import GroqModel"])
def test_without_the_extra(statement: str, programs: Programs) -> None:
    """Without pydantic-ai the error names the command that installs it."""
    done = programs.run(f"import sys; sys.modules['pydantic_ai'] = None\n{statement}", os.environ)

    assert done.stderr.splitlines()[-1].startswith("ImportError: groqscope.models.groq needs pydantic-ai")
    assert "pip install 'groqscope[pydantic-ai]'" in done.stderr.splitlines()[-1]


def test_the_sdk_knows_nothing_of_it() -> None:
    """A model instruments its own client and no other."""
    GroqModel(LLAMA, api_key="gsk")

    assert not is_instrumented(groq.AsyncGroq(api_key="gsk"))
