"""`GroqModel` for pydantic-ai: its own model, with an observed client and cheaper streams.

    from groqscope.models.groq import GroqModel

    agent = Agent(GroqModel("llama-3.3-70b-versatile"))

Requests, messages, tools and settings are pydantic-ai's; each request of the client is a record, a span and metrics.
"""

import logging
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal

import httpx
from groq import AsyncGroq, AsyncStream
from groq.types.chat import ChatCompletionChunk

from groqscope.instrument import instrument, is_instrumented
from groqscope.models import extra

try:
    from pydantic_ai.models.groq import GroqModel as _PydanticAIModel
    from pydantic_ai.models.groq import GroqModelName, GroqModelSettings
    from pydantic_ai.providers import Provider
    from pydantic_ai.providers.groq import GroqProvider
except ImportError as missing:
    extra.raise_for(missing)

from groqscope.models.streamed_response import GroqStreamedResponse

if TYPE_CHECKING:
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.profiles import ModelProfileSpec
    from pydantic_ai.settings import ModelSettings

__all__ = ["GroqModel", "GroqModelName", "GroqModelSettings", "GroqStreamedResponse"]


logger = logging.getLogger("groqscope")
_said = False


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
        """Take the client of a provider, a client, or what makes one.

        Args:
            model_name: as Groq names it.
            provider: pydantic-ai's name of one, or a provider; the next three are not looked at then.
            api_key: `GROQ_API_KEY` when not given.
            groq_client: used as it is, and instrumented. One that is no client of Groq's SDK (a mock, a proxy, a class
                of your own) is used all the same, and not observed.
            http_client: for a client made here; without it pydantic-ai's own, which it closes.
            profile: pydantic-ai's, by the model's name when not given.
            settings: defaults for every request.

        Raises:
            AssertionError: `groq_client` together with `http_client` or `api_key`.
            pydantic_ai.exceptions.UserError: there is no key.
        """
        chosen = provider if provider is not None else _provider(api_key, groq_client, http_client)
        super().__init__(model_name, provider=chosen, profile=profile, settings=settings)
        _ = self.client

    @property
    def client(self) -> AsyncGroq:
        """The provider's client, instrumented if it is one of Groq's SDK."""
        client = super().client
        if not is_instrumented(client):
            try:
                instrument(client)
            except Exception:  # noqa: BLE001 - whatever it is, pydantic-ai can use it
                _say_unobserved(client)
        return client

    async def _process_streamed_response(
        self, response: AsyncStream[ChatCompletionChunk], model_request_parameters: "ModelRequestParameters"
    ) -> GroqStreamedResponse:
        theirs = await super()._process_streamed_response(response, model_request_parameters)
        return GroqStreamedResponse(**{f.name: getattr(theirs, f.name) for f in fields(theirs) if f.init})


def _say_unobserved(client: object) -> None:
    global _said  # noqa: PLW0603 - once per process
    if not _said:
        _said = True
        logger.warning(
            "GroqModel uses a client of %s.%s as it is; its requests are not observed. groqscope observes "
            "instances of groq.AsyncGroq and its subclasses: where this one wraps such a client, call "
            "groqscope.instrument() on that. This is logged once.",
            type(client).__module__,
            type(client).__qualname__,
        )


def _provider(
    api_key: str | None, groq_client: AsyncGroq | None, http_client: httpx.AsyncClient | None
) -> Provider[AsyncGroq]:
    make: Any = GroqProvider  # its overloads keep apart what it takes together, and asserts, at run time
    return make(api_key=api_key, groq_client=groq_client, http_client=http_client)
