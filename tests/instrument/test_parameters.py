"""Parameters are copied for the whole process or not at all: a client that is instrumented changes no other."""

from typing import Any

import httpx
import pytest
from groq.resources.chat import completions
from support.both import Mode, both, each_mode
from support.scope import ASK, COMPLETION, Exported, Wire, groq_client

import groqscope
from groqscope.instrument import faults, parameters


@both
async def ask(client: Any) -> None:
    async with client:
        await client.chat.completions.create(**ASK)


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


@pytest.mark.injects_failure
@each_mode
def test_a_failure_of_ours(mode: Mode, exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where copying fails the SDK walks through the parameters; it is counted, and the same is sent."""
    wire = Wire(lambda _: httpx.Response(200, json=COMPLETION))
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
