"""The SDKs whose clients are observed: Groq's, and openai's once `openai` is imported.

Both come from the same code generator and differ only in what a `Family` contains. openai's clients are observed only
in requests to Groq (`hosts`).
"""

import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, Final

import groq
from groq._constants import RAW_RESPONSE_HEADER
from groq.resources.chat import completions
from groq.types.chat import ChatCompletion, ChatCompletionChunk

from groqscope.fastpath import Models

HOOKED: Final = ("request", "_prepare_request", "_sleep_for_retry", "_process_response", "_process_response_data")
"""The methods of a client that the seam replaces."""

AWAITED: Final = "openai"
"""The package that is observed once the program imports it; groqscope never imports it."""

OLDEST: Final = (1, 76)
"""Its oldest version that has these methods."""

logger = logging.getLogger("groqscope")


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """What differs between two SDKs of one generator."""

    package: str
    clients: tuple[type, type]
    """The synchronous and the asynchronous client, from their own module: tests may patch the names in the package."""
    stream: Any
    async_stream: Any
    models: Models
    """Its models of chunks and completions, which `fastpath` can build."""
    answers: tuple[type, ...]
    """Its models of whole answers, to which a record can be found once the SDK has made one."""
    api_error: type[Exception]
    status_error: type[Exception]
    timeout_error: type[Exception]
    raw_response_header: str
    """The header by which the SDK marks a request whose caller wants the raw response."""
    groq_only: bool
    """Whether all its clients ask Groq, whatever their host."""
    streams_of_bytes: bool
    """Whether its streams are read from the bytes on, as Groq's are; else by the SDK's own stream."""
    parameters: ModuleType | None
    """The module whose functions transform a request's parameters, if they are to be replaced."""


GROQ: Final = Family(
    package="groq",
    clients=(groq._client.Groq, groq._client.AsyncGroq),  # noqa: SLF001
    stream=groq.Stream,
    async_stream=groq.AsyncStream,
    models=Models(ChatCompletionChunk, ChatCompletion),
    answers=(ChatCompletion,),
    api_error=groq.APIError,
    status_error=groq.APIStatusError,
    timeout_error=groq.APITimeoutError,
    raw_response_header=RAW_RESPONSE_HEADER,
    groq_only=True,
    streams_of_bytes=True,
    parameters=completions,
)


def loaded() -> tuple[Family, ...]:
    """Return the families whose package is imported and can be observed."""
    module = sys.modules.get(AWAITED)
    # A module that is still being imported has neither; below version 1 there was only the second.
    imported = any(getattr(module, name, None) is not None for name in ("AsyncOpenAI", "ChatCompletion"))
    other = _openai() if imported else None
    return (GROQ,) if other is None else (GROQ, other)


def of(cls: type) -> Family | None:
    """Return the family whose client a class is."""
    return next((family for family in loaded() if issubclass(cls, family.clients)), None)


def each(field: Callable[[Family], Any]) -> tuple[Any, ...]:
    """Return one field of every family, such as its base class of errors."""
    return tuple(map(field, loaded()))


@cache
def _openai() -> Family | None:
    """Return openai's family; `None` if this version cannot be observed, which is logged once."""
    # openai 2 uses the httpx2 that it finds in sys.modules, even half imported, as it would be while our thread imports
    # the prices, which need it.
    with suppress(ImportError):
        import_module("httpx2")
    try:
        # From sys.modules: an import here could wait for the thread that is importing openai.
        client, errors, streaming, types, constants = (
            sys.modules[f"{AWAITED}.{name}"]
            for name in ("_client", "_exceptions", "_streaming", "types.chat", "_constants")
        )
        family = Family(
            package="openai",
            clients=(client.OpenAI, client.AsyncOpenAI),
            stream=streaming.Stream,
            async_stream=streaming.AsyncStream,
            models=Models(types.ChatCompletionChunk, types.ChatCompletion),
            answers=(types.ChatCompletion, *_models(f"{AWAITED}.types.responses", "Response")),
            api_error=errors.APIError,
            status_error=errors.APIStatusError,
            timeout_error=errors.APITimeoutError,
            raw_response_header=constants.RAW_RESPONSE_HEADER,
            groq_only=False,
            # Its streams end, fail and name events by rules that change with its versions.
            streams_of_bytes=False,
            # Replacing functions in its module would change requests to other hosts too.
            parameters=None,
        )
        for cls in family.clients:
            for name in HOOKED:
                getattr(cls, name)
    except (KeyError, AttributeError):
        version = getattr(sys.modules.get(AWAITED), "VERSION", "?")
        logger.warning("groqscope: openai %s is not observed: it lacks methods that %d.%d has.", version, *OLDEST)
        return None
    return family


def _models(module: str, name: str) -> tuple[type, ...]:
    """Return a model that not every version has."""
    found = getattr(sys.modules.get(module), name, None)
    return () if found is None else (found,)
