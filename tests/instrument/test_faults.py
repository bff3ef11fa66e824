"""Failures of our own, at every hook: the caller notices nothing; counted, logged once, and nothing stays open."""

import inspect
import logging
from functools import cache
from typing import Any

import pytest
from support.both import Both, Mode, both, each_mode
from support.hooks import ASKS_GROQ, HOOKS
from support.scope import ASK, STREAM, Exported
from support.sdks import ERRORS, GROQ, OPENAI, SDK
from support.timed import SimulatedLine

from groqscope.instrument import faults, lifecycle
from groqscope.simulator import Answer, ErrorEvent, Failure, Playable, Simulator
from groqscope.testing import ManualClock
from groqscope.timeline import Timeline

pytestmark = pytest.mark.injects_failure


class InjectedError(Exception):
    """A failure of ours, made up."""


@both
async def read(client: Any) -> list[Any]:
    return [chunk.choices[0].delta.content async for chunk in await client.chat.completions.create(**STREAM)]


@both
async def break_inside_with(client: Any) -> list[Any]:
    async with await client.chat.completions.create(**STREAM) as stream:
        async for chunk in stream:
            return [chunk.choices[0].delta.role]
    return []


@both
async def drop(client: Any) -> list[Any]:
    async for chunk in await client.chat.completions.create(**STREAM):
        return [chunk.choices[0].delta.role]
    return []


@both
async def whole(client: Any) -> list[Any]:
    answer = await client.chat.completions.create(**ASK)
    return [answer.choices[0].message.content]


@both
async def cached(client: Any) -> list[Any]:
    answer = await client.chat.completions.create(**{**ASK, "model": "openai/gpt-oss-120b"})
    return [answer.choices[0].message.content]


@both
async def raw(client: Any) -> list[Any]:
    answer = (await client.chat.completions.with_raw_response.create(**ASK)).parse()
    if inspect.isawaitable(answer):  # groq's
        answer = await answer
    return [answer.choices[0].message.content]


@both
async def lines(client: Any) -> list[Any]:
    async with client.chat.completions.with_streaming_response.create(**STREAM) as response:
        return [len([line async for line in response.iter_lines()])]


@both
async def whole_as_bytes(client: Any) -> list[Any]:
    async with client.chat.completions.with_streaming_response.create(**ASK) as response:
        return [len(b"".join([piece async for piece in response.iter_bytes()])) > 100]


TEXT = Answer(["a", "b"])
RETRIED = [Failure(429, retry_after=0.001), TEXT]
SCENES: list[tuple[Both, Playable]] = [
    (read, TEXT),
    (read, RETRIED),
    (read, Answer(["a", "b"], ending=ErrorEvent(2))),
    (break_inside_with, TEXT),
    (drop, TEXT),
    (whole, RETRIED),
    (whole, Failure(401)),
    (cached, TEXT),
    (raw, TEXT),
    (lines, TEXT),
    (whole_as_bytes, TEXT),
]


@both
async def _closing(scene: Both, client: Any) -> Any:
    async with client:
        return await scene.asynchronous(client)


def outcome_of(scene: Both, mode: Mode, client: Any) -> Any:
    """What a caller sees."""
    try:
        return _closing(mode, scene, client)
    except ERRORS as error:
        return type(error), error.message


ADDRESS = "http://groq.test"


def answered(script: Playable) -> dict[str, Any]:
    """Return the options of an HTTP client that is answered as a simulator would, without a connection."""
    replies: list[Any] = script if isinstance(script, list) else [script]
    return {"transport": SimulatedLine(ManualClock(), *replies)}


@cache
def bare_outcome(sdk: SDK, mode: Mode, place: int) -> Any:
    """Return what a caller sees of a scene without groqscope: the same each time, so asked for once."""
    scene, script = SCENES[place]
    outcome = outcome_of(scene, mode, sdk.client(mode, ADDRESS, http=answered(script)))
    assert isinstance(outcome, list) or script not in (TEXT, RETRIED)
    return outcome


each_sdk = pytest.mark.parametrize("sdk", [GROQ, OPENAI], ids=str)


@pytest.mark.usefixtures("records")  # one of the hooks is a callback's
@each_mode
@pytest.mark.parametrize(
    ("sdk", "hook"), [*((GROQ, hook) for hook in HOOKS), *((OPENAI, hook) for hook in (*HOOKS, ASKS_GROQ))]
)
def test_a_failing_hook(sdk: SDK, hook: str, mode: Mode, exported: Exported, monkeypatch: Any, caplog: Any) -> None:
    """Values, exceptions and ends are as without us; counted each time, logged once; each span that began has ended."""
    hits = 0

    def fail(name: str, *_: Any) -> None:
        nonlocal hits
        if name == hook:
            hits += 1
            raise InjectedError

    if hook == "stream":
        # Too hot a place for an injection.
        monkeypatch.setattr(Timeline, "asked", lambda *_: fail("stream"))
    if hook == "give_up":
        # Runs only when something else has failed already.
        monkeypatch.setattr(Timeline, "end", lambda *_: 1 / 0)
    caplog.set_level(logging.WARNING, "groqscope")
    for place, (scene, script) in enumerate(SCENES):
        expected = bare_outcome(sdk, mode, place)
        monkeypatch.setattr(faults, "injected", fail)
        got = outcome_of(scene, mode, sdk.observed(exported, mode, ADDRESS, http=answered(script)))
        monkeypatch.setattr(faults, "injected", None)

        assert got == expected, scene.name
        assert not lifecycle._open, scene.name

    assert hits
    count = faults.counts.pop(hook)
    assert count == hits or (hook == "stream" and 0 < count < hits)  # bytes are a hook of their own
    assert caplog.text.count(f"groqscope could not observe a request at {hook}; ") == 1
    # A request that could not begin has no span; every other one has exactly one, unless even giving up fails.
    ended = 0 if hook in (ASKS_GROQ, "begin", "give_up") else len(SCENES)
    assert len([s for s in exported.spans if s.name.startswith("chat")]) == ended
    points = exported.metrics()
    assert {p.attributes["groqscope.hook"] for p in points["groqscope.internal_errors"]} >= {hook}
    if ended:
        assert {p.value for p in points["groqscope.requests.active"]} == {0}


@each_sdk
@each_mode
@pytest.mark.parametrize(
    "method", ["prepared", "answered", "asked", "returned", "received", "chunk", "used", "last_byte", "closing", "end"]
)
def test_a_failing_timeline(
    sdk: SDK, method: str, mode: Mode, exported: Exported, monkeypatch: Any, caplog: Any
) -> None:
    """The same when the accounting itself is broken, at any of its entrances."""
    for place, (scene, script) in enumerate(SCENES):
        expected = bare_outcome(sdk, mode, place)
        with monkeypatch.context() as patch:
            patch.setattr(Timeline, method, lambda *_, **__: 1 / 0)
            client = sdk.observed(exported, mode, ADDRESS, http=answered(script))
            assert outcome_of(scene, mode, client) == expected, scene.name
            assert not lifecycle._open, scene.name

    assert len([s for s in exported.spans if s.name.startswith("chat")]) == len(SCENES)
    assert "ZeroDivisionError" in caplog.text


@each_sdk
@each_mode
def test_a_failing_record(sdk: SDK, mode: Mode, sim: Simulator, exported: Exported, monkeypatch: Any) -> None:
    """A record that cannot be made costs its attributes; the span is exported, the request unharmed."""
    sim.play(TEXT)
    with monkeypatch.context() as patch:
        patch.setattr(Timeline, "record", lambda *_, **__: 1 / 0)
        assert outcome_of(read, mode, sdk.observed(exported, mode, sim.base_url)) == ["", "a", "b", None]
        spans = exported.spans
        attributes = [dict(span.attributes or {}) for span in spans]

    assert [span.name for span in spans] == ["chat llama-3.3-70b-versatile"]
    assert attributes[0]["gen_ai.request.model"] == "llama-3.3-70b-versatile"
    assert "groqscope.internal_errors" in exported.metrics()
    assert sum(faults.counts.values()) == 1


@each_sdk
@each_mode
def test_a_failing_exporter(sdk: SDK, mode: Mode, sim: Simulator, exported: Exported, monkeypatch: Any) -> None:
    """A processor that raises is nobody's business but its own."""
    sim.play(TEXT)

    def fail(_: Any) -> None:
        raise InjectedError

    client = sdk.observed(exported, mode, sim.base_url)
    monkeypatch.setattr(exported.exporter, "export", fail)
    assert outcome_of(read, mode, client) == ["", "a", "b", None]
    monkeypatch.undo()


def test_a_failure_is_counted_where_its_request_is(sim: Simulator, monkeypatch: Any) -> None:
    """Two clients with providers of their own: the second `instrument` does not take the first one's counter away."""
    both = Exported(), Exported()
    clients = [GROQ.observed(exported, "sync", sim.base_url) for exported in both]
    monkeypatch.setattr(faults, "injected", lambda name: 1 / 0 if name == "answered" else None)
    sim.play(TEXT)
    outcome_of(read, "sync", clients[0])

    counted = [exported.metrics().get("groqscope.internal_errors", []) for exported in both]
    assert [[point.value for point in points] for points in counted] == [[1], []]
    for exported in both:
        exported.shutdown()
