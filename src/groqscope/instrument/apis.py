"""How the requests and answers of an endpoint are read: chat completions, the Responses API, and all others."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

from groq._models import construct_type

from groqscope.instrument import facts, responses
from groqscope.instrument.families import GROQ
from groqscope.timeline import RequestFacts, Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """How the requests and answers of one kind of endpoint are read."""

    asked: Callable[[RequestFacts, Mapping[str, Any]], None]
    """Notes what a request's body asks for."""
    content: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None
    """Returns messages, tools and settings in the form of a chat completion; `None` where there are none."""
    parse: Callable[[bytes], Any]
    """Reads a whole answer that the SDK has not parsed."""
    observe: Callable[[Timeline, Any, int, Any], None]
    """Tells the timeline what a whole answer contains."""
    observer: Callable[..., Callable[..., None]]
    """Returns the function that tells the timeline what each event of a stream contains."""
    construct: Callable[..., Any]
    """Makes an object of an event's `data=` that is only observed."""
    decoded: bool
    """Whether `fastpath` makes it, where it can."""


def of(operation: str, url: str) -> Api:
    """Return how an endpoint's requests and answers are read."""
    if operation != "chat":
        return _OTHER
    return _RESPONSES if url.partition("?")[0].rstrip("/").endswith("/responses") else _CHAT


def _parse_completion(body: bytes) -> Any:
    completion = GROQ.models.decode_completion(body)
    return construct_type(value=json.loads(body), type_=GROQ.models.completion) if completion is None else completion


def _construct_chunk(data: object) -> Any:
    return construct_type(value=data, type_=GROQ.models.chunk)


def _unwrapped(data: Any) -> Any:
    """Return an event's data, which comes with its name."""
    return data["data"] if type(data) is dict and data.keys() == {"data", "event"} else data


def _parse_other(body: bytes) -> Any:
    if not body.startswith(b"{"):
        return None
    return json.loads(body, object_hook=lambda fields: SimpleNamespace(**fields))


_CHAT: Final = Api(
    asked=facts.asked,
    content=lambda body: body,
    parse=_parse_completion,
    observe=facts.observe_completion,
    observer=facts.chunk_observer,
    construct=_construct_chunk,
    decoded=True,
)
_RESPONSES: Final = Api(
    asked=responses.asked,
    content=responses.as_chat,
    parse=json.loads,
    observe=responses.observe_response,
    observer=responses.EventObserver,
    construct=_unwrapped,
    decoded=False,
)
_OTHER: Final = Api(
    asked=lambda _facts, _body: None,
    content=None,
    parse=_parse_other,
    observe=facts.observe_other,
    observer=facts.chunk_observer,
    construct=_construct_chunk,
    decoded=True,
)
