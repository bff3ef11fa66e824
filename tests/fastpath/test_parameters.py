"""Parameters that are copied equal those that the SDK's walk gives; what is not plain JSON is left to the walk."""

import enum
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Required, TypedDict

import pytest
from groq import NotGiven, omit
from groq._utils import PropertyInfo, maybe_transform
from groq.types.chat.completion_create_params import CompletionCreateParams
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel
from support.json_bytes import texts, values
from support.recordings import Recording, streams, wholes

from groqscope.fastpath import copy_parameters

NAMES = sorted(CompletionCreateParams.__annotations__)


class Loud(enum.StrEnum):
    USER = "user"


class Text(str):
    __slots__ = ()


class Said(BaseModel):
    role: Literal["user"] = "user"
    content: str = "hi"
    name: str | None = None


def _told_apart(value: Any) -> Any:
    """A value with the types of all its parts."""
    if isinstance(value, dict):
        return dict, [(key, _told_apart(item)) for key, item in value.items()]
    if isinstance(value, list):
        return list, [_told_apart(item) for item in value]
    return type(value), repr(value)


def _walked(body: Mapping[str, Any]) -> Any:
    return maybe_transform(body, CompletionCreateParams)


@pytest.mark.parametrize("recording", [*streams(), *wholes()], ids=lambda r: r.name)
def test_recorded_requests(recording: Recording) -> None:
    """Every recorded request, with everything else not given, is copied here and equals the SDK's."""
    body = dict.fromkeys(NAMES, omit) | recording.request
    copied = copy_parameters(body, CompletionCreateParams)

    assert copied == recording.request
    assert _told_apart(copied) == _told_apart(_walked(body))


_messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool", "function", "robot"])},
        optional={
            "content": texts | st.none() | st.lists(st.dictionaries(texts, values, max_size=3), max_size=2),
            "name": texts,
            "tool_call_id": texts,
            "tool_calls": st.lists(st.dictionaries(st.sampled_from(["id", "type", "function"]), values), max_size=2),
        },
    ),
    max_size=3,
)
_odd = st.sampled_from(
    [omit, NotGiven(), Loud.USER, Text("user"), Said(), ("a",), {"a"}, b"a", OrderedDict(a=1), ({"role": "user"},)]
)


@given(st.dictionaries(st.sampled_from(NAMES) | texts, values | _odd | st.lists(values | _odd, max_size=2), max_size=5))
@example({"messages": [{"role": "user", "content": omit}]})
@example({"messages": {"role": "user"}, "stop": {"a": 1}})
@example({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "x": (1,)}}}]})
def test_any_parameters(body: dict[str, Any]) -> None:
    """As the SDK's walk in values, types and order, or left to it."""
    copied = copy_parameters(body, CompletionCreateParams)
    if copied is not None:
        assert _told_apart(copied) == _told_apart(_walked(body))


@given(_messages, st.dictionaries(st.sampled_from(NAMES), values, max_size=5))
def test_plain_json_is_never_left(messages: list[Any], more: dict[str, Any]) -> None:
    """JSON of whatever form, also one that the API refuses, is copied, and equals the SDK's."""
    body = dict.fromkeys(NAMES, omit) | more | {"messages": messages}
    copied = copy_parameters(body, CompletionCreateParams)

    assert copied is not None
    assert _told_apart(copied) == _told_apart(_walked(body))
    assert json.dumps(copied) == json.dumps(_walked(body))


@pytest.mark.parametrize(
    "messages",
    [({"role": "user"},), iter([]), [Said()], [("role", "user")], [{"role": Loud.USER}], [{"role": "user", "x": {1}}]],
    ids=lambda v: type(v[0] if isinstance(v, list) else v).__name__,
)
def test_what_is_left_to_the_sdk(messages: Any) -> None:
    """Tuples, iterators, models, subclasses and sets."""
    assert copy_parameters({"messages": messages}, CompletionCreateParams) is None


def test_nothing_is_shared() -> None:
    """What the caller changes after the call does not change what a retry sends."""
    body: dict[str, Any] = {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}
    copied = copy_parameters(body, CompletionCreateParams)
    body["messages"][0]["content"][0]["text"] = "b"
    body["messages"].append(1)

    assert copied == {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}


class Renamed(TypedDict, total=False):
    card_id: Required[Annotated[str, PropertyInfo(alias="cardID")]]


class Inner(TypedDict, total=False):
    again: "list[Inner]"
    born: Annotated["str | int", PropertyInfo(format="iso8601")]


class Outer(TypedDict, total=False):
    inner: dict[str, list[Inner]]


class Free(TypedDict, total=False):
    again: "Free"
    text: Annotated[str, "words"]


@pytest.mark.parametrize("expected", [Renamed, Outer, dict[str, str], Renamed | None, None, "Renamed"], ids=str)
def test_types_with_rules_are_left_to_the_sdk(expected: Any) -> None:
    """A rule anywhere in the types, or types that are not a TypedDict: nothing is copied, whatever the data."""
    assert copy_parameters({}, expected) is None
    assert copy_parameters({}, Free) == {}


def test_nested_without_end() -> None:
    """What cannot be walked through is left, not raised."""
    deep: list[Any] = []
    deep.append(deep)

    assert copy_parameters({"messages": deep}, CompletionCreateParams) is None


def test_while_another_thread_adds() -> None:
    """A dictionary that grows while it is copied is copied or left; nothing is raised."""
    growing: dict[str, Any] = {}
    done = threading.Event()

    def grow() -> None:
        while not done.is_set():
            for i in range(1000):
                growing[str(i)] = i
            growing.clear()

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        copies = [copy_parameters({"messages": [growing]}, CompletionCreateParams) for _ in range(2_000)]
    finally:
        done.set()
        thread.join()

    assert any(copies)
    for copied in filter(None, copies):
        assert all(name == str(value) for name, value in copied["messages"][0].items())
