"""A request as the simulator received it, which a script's function gets."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast


@dataclass(frozen=True)
class Received:
    """One HTTP request."""

    index: int
    """Order of arrival at this simulator, from 0."""
    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case; the last value of a repeated one."""
    body: bytes
    path_params: Mapping[str, str]

    @property
    def endpoint(self) -> str:
        """The path below `/openai/v1/`."""
        return self.path.removeprefix("/openai/v1/")

    @cached_property
    def json(self) -> dict[str, Any]:
        """The body as JSON; empty when it is not a JSON object."""
        try:
            parsed: object = json.loads(self.body)
        except ValueError:
            return {}
        return cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {}

    @property
    def model(self) -> str | None:
        """The requested model."""
        model = self.json.get("model")
        return model if isinstance(model, str) else None

    @property
    def stream(self) -> bool:
        """Whether the request asks for a stream."""
        return self.json.get("stream") is True

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The conversation so far."""
        messages: object = self.json.get("messages")
        return cast("list[dict[str, Any]]", messages) if isinstance(messages, list) else []

    @property
    def prompt_tokens(self) -> int:
        """The prompt's tokens, estimated from the size of the body: four bytes each."""
        return max(1, len(self.body) // 4)
