"""The SDKs that are observed, each with the HTTP libraries that its clients can be on."""

from dataclasses import dataclass
from typing import Any, Final

import groq
import httpx
import openai

from groqscope.instrument.scope import Clock
from support.both import Mode
from support.openai_clients import LIBRARIES, openai_client
from support.scope import Exported, groq_client

ERRORS: Final = (groq.APIError, openai.APIError)
"""What a request fails with."""


@dataclass(frozen=True)
class SDK:
    """An SDK and the HTTP library below it."""

    package: Any
    library: Any

    def __str__(self) -> str:
        return f"{self.package.__name__} on {self.library.__name__}"

    def client(self, mode: Mode, base_url: str, **options: Any) -> Any:
        """A bare client, at the address that Groq's SDK would be given."""
        if self.package is groq:
            return groq_client(mode, base_url, **options)
        return openai_client(mode, f"{base_url}/openai/v1", self.library, **options)

    def observed(
        self, exported: Exported, mode: Mode, base_url: str, clock: Clock | None = None, **options: Any
    ) -> Any:
        """The same, observed."""
        client = self.client(mode, base_url, **options)
        return exported.instrument(client, clock=clock, groq_hosts=[client.base_url.host])


GROQ: Final = SDK(groq, httpx)
OPENAI: Final = SDK(openai, LIBRARIES[-1])
OPENAI_ON_HTTPX: Final = SDK(openai, httpx)
SDKS: Final = (GROQ, OPENAI, OPENAI_ON_HTTPX)
