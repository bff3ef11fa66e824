"""Parameters are copied for the clients that are instrumented: all of the process, or one, which changes no other."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
from groq.resources.chat import completions
from support.both import Mode, both, each_mode
from support.scope import ASK, COMPLETION, Exported, Wire, completion, groq_client

import groqscope
from groqscope.instrument import faults, parameters


@both
async def ask(client: Any) -> None:
    async with client:
        await client.chat.completions.create(**ASK)


@both
async def ask_raw(client: Any) -> None:
    async with client:
        await client.chat.completions.with_raw_response.create(**ASK)


def taken() -> list[Any]:
    """The functions that the SDK's chat takes parameters through."""
    return [getattr(completions, name) for name in parameters.NAMES]


def test_a_client_of_its_own_changes_no_other(exported: Exported) -> None:
    """`instrument(client)` leaves the SDK's module as it is, and so does taking it back."""
    before = taken()
    with groq_client("sync") as client:
        groqscope.instrument(client, **exported.providers)
        assert taken() == before
        groqscope.uninstrument(client)
        assert taken() == before


def test_the_process(exported: Exported) -> None:
    """`instrument()` replaces both, `fast_path=False` neither; `uninstrument()` puts them back."""
    before = taken()
    for fast in (True, False):
        groqscope.instrument(**exported.providers, fast_path=fast)
        try:
            assert [now is then for now, then in zip(taken(), before, strict=True)] == [not fast] * 2
        finally:
            groqscope.uninstrument()
        assert taken() == before


@contextmanager
def walks() -> Iterator[list[Any]]:
    """The bodies that the SDK compares with their types meanwhile."""
    walked: list[Any] = []
    transform, async_transform = (vars(completions)[n] for n in ("maybe_transform", "async_maybe_transform"))

    def noting(data: Any, expected: Any) -> Any:
        walked.append(data)
        return transform(data, expected)

    async def noting_async(data: Any, expected: Any) -> Any:
        walked.append(data)
        return await async_transform(data, expected)

    with (
        mock.patch.object(completions, "maybe_transform", noting),
        mock.patch.object(completions, "async_maybe_transform", noting_async),
    ):
        yield walked


@pytest.mark.parametrize("used_before", [False, True])
@each_mode
def test_one_client(mode: Mode, used_before: bool, exported: Exported) -> None:
    """A client's own parameters and those of its copies are copied, those of others are not; the same is sent."""
    wire = Wire(completion)
    with walks() as walked:
        client, other, third = (groq_client(mode, http={"transport": wire}) for _ in range(3))
        original = type(client.chat.completions) if used_before else type(other.chat.completions)
        groqscope.instrument(client, **exported.providers)
        ask(mode, client.with_options(max_retries=0))
        assert walked == []
        assert isinstance(client.chat.completions, original)
        assert inspect.signature(client.chat.completions.create) == inspect.signature(other.chat.completions.create)

        ask(mode, other)
        assert len(walked) == 1

        groqscope.uninstrument(client)
        assert type(client.chat.completions) is original
        groqscope.instrument(third, fast_path=False, **exported.providers)
        ask(mode, third)
        assert len(walked) == 2
    assert len({request.content for request in wire.requests}) == 1
    assert exported.metrics()["gen_ai.client.operation.duration"]


@each_mode
def test_the_raw_response_of_one_client(mode: Mode, exported: Exported) -> None:
    """`with_raw_response` goes the same way."""
    wire = Wire(completion)
    with walks() as walked:
        client = groq_client(mode, http={"transport": wire})
        groqscope.instrument(client, **exported.providers)
        ask_raw(mode, client)
    assert walked == []


def test_what_others_put_in_place_of_create_is_called(exported: Exported) -> None:
    """A library that wraps the SDK's `create`, or a test that replaces a client's own, is not bypassed."""
    wire = Wire(completion)
    with groq_client("sync", http={"transport": wire}) as client:
        groqscope.instrument(client, **exported.providers)
        with mock.patch.object(completions.Completions, "create", return_value="wrapped"):
            assert client.chat.completions.create(**ASK) == "wrapped"
        with mock.patch.object(client.chat.completions, "create", return_value="mocked"):
            assert client.chat.completions.create(**ASK) == "mocked"
        assert client.chat.completions.create(**ASK).id == COMPLETION["id"]


@pytest.mark.injects_failure
@each_mode
def test_a_failure_of_ours_with_one_client(mode: Mode, exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the way to a copy fails the request is made all the same."""
    wire = Wire(completion)
    client = groq_client(mode, http={"transport": wire})
    groqscope.instrument(client, **exported.providers)
    monkeypatch.setattr(faults, "injected", lambda name: 1 / 0 if name == "parameters" else None)
    ask(mode, client)
    assert len(wire.requests) == 1
    assert faults.counts["parameters"] > 0


@pytest.mark.injects_failure
@each_mode
def test_a_failure_of_ours(mode: Mode, exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where copying fails the SDK walks through the parameters; it is counted, and the same is sent."""
    wire = Wire(completion)
    ask(mode, groq_client(mode, http={"transport": wire}))
    monkeypatch.setattr(faults, "injected", lambda name: 1 / 0 if name == "parameters" else None)
    groqscope.instrument(**exported.providers)
    try:
        ask(mode, groq_client(mode, http={"transport": wire}))
    finally:
        groqscope.uninstrument()

    assert wire.requests[0].content == wire.requests[1].content
    assert faults.counts == {"parameters": 1}
    (point,) = exported.metrics()["groqscope.internal_errors"]
    assert (point.value, point.attributes["groqscope.hook"]) == (1, "parameters")
