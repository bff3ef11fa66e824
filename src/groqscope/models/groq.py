"""`GroqModel` for pydantic-ai: a subclass of its model, with an instrumented client and cheaper streams.

    from groqscope.models.groq import GroqModel

    agent = Agent(GroqModel("llama-3.3-70b-versatile"))

Requests, messages, tools and settings work as in pydantic-ai; each request produces a record, a span and metrics.
"""

import logging
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal

import httpx
from groq import AsyncGroq, AsyncStream
from groq.types.chat import ChatCompletionChunk

from groqscope._diagnostics import log_once
from groqscope.instrument import instrument, is_instrumented

try:
    from pydantic_ai.models.groq import GroqModel as _PydanticAIModel
    from pydantic_ai.models.groq import GroqModelName, GroqModelSettings
    from pydantic_ai.providers import Provider
    from pydantic_ai.providers.groq import GroqProvider
except ImportError as missing:
    message = f"groqscope.models.groq needs pydantic-ai ({missing}): pip install 'groqscope[pydantic-ai]'"
    raise ImportError(message, name=missing.name) from missing

from groqscope.models.streamed_response import GroqStreamedResponse

if TYPE_CHECKING:
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.profiles import ModelProfileSpec
    from pydantic_ai.settings import ModelSettings

__all__ = ["GroqModel", "GroqModelName", "GroqModelSettings", "GroqStreamedResponse"]


logger = logging.getLogger("groqscope")


class GroqModel(_PydanticAIModel):
    """pydantic-ai's `GroqModel` over an instrumented client."""

    def __init__(
        self,
        model_name: GroqModelName,
        *,
        provider: Literal["groq", "gateway"] | Provider[AsyncGroq] | None = None,
        api_key: str | None = None,
        groq_client: AsyncGroq | None = None,
        http_client: httpx.AsyncClient | None = None,
        profile: "ModelProfileSpec | None" = None,
        settings: "ModelSettings | None" = None,
    ) -> None:
        """Use a provider's client, a given client, or a new one.

        Args:
            model_name: as Groq names it.
            provider: a pydantic-ai provider or its name; then the next three arguments are ignored.
            api_key: by default `GROQ_API_KEY`.
            groq_client: a client to use and instrument. An object that is not a client of Groq's SDK (a mock, a proxy,
                a class of your own) is used too, but its requests are not observed.
            http_client: for a new client; by default pydantic-ai's, which pydantic-ai closes.
            profile: a pydantic-ai profile, by default the one of the model's name.
            settings: defaults for every request.

        Raises:
            AssertionError: `groq_client` was combined with `http_client` or `api_key`.
            pydantic_ai.exceptions.UserError: there is no key.
        """
        chosen = provider if provider is not None else _provider(api_key, groq_client, http_client)
        super().__init__(model_name, provider=chosen, profile=profile, settings=settings)
        _ = self.client

    @property
    def client(self) -> AsyncGroq:
        """The provider's client, instrumented if it is a client of Groq's SDK."""
        client = super().client
        if not is_instrumented(client):
            try:
                instrument(client)
            except Exception:  # noqa: BLE001 - pydantic-ai can use the client all the same
                _say_unobserved(client)
        return client

    async def _process_streamed_response(
        self, response: AsyncStream[ChatCompletionChunk], model_request_parameters: "ModelRequestParameters"
    ) -> GroqStreamedResponse:
        theirs = await super()._process_streamed_response(response, model_request_parameters)
        return GroqStreamedResponse(**{f.name: getattr(theirs, f.name) for f in fields(theirs) if f.init})


def _say_unobserved(client: object) -> None:
    log_once(
        logger,
        "GroqModel uses a client of class %s.%s; its requests are not observed. groqscope observes instances of "
        "groq.AsyncGroq and its subclasses: if this object wraps such a client, call groqscope.instrument() on that. "
        "This is logged once.",
        type(client).__module__,
        type(client).__qualname__,
        name="GroqModel",
    )


def _provider(
    api_key: str | None, groq_client: AsyncGroq | None, http_client: httpx.AsyncClient | None
) -> Provider[AsyncGroq]:
    make: Any = GroqProvider  # its overloads keep apart what it takes together, and asserts, at run time
    return make(api_key=api_key, groq_client=groq_client, http_client=http_client)
