"""The simulator's prompt cache, as the bare SDK sees it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from groq import Groq
from hypothesis import given
from hypothesis import strategies as st

from groqscope.simulator import Answer, Delays, Failure, PromptCache, Received, Simulator, Usage

MODEL = "openai/gpt-oss-120b"
SYSTEM = {"role": "system", "content": "You answer in one sentence. " * 200}
"""1,400 tokens."""


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock at 0."""
    return Clock()


@pytest.fixture
def usage(clock: Clock) -> Any:
    """Ask a simulator with a prompt cache, and return the usage of its answer."""
    cache = PromptCache(clock=clock)
    with Simulator(Answer("Yes."), prompt_cache=cache) as sim, Groq(base_url=sim.base_url, api_key="test") as client:

        def ask(question: str = "Is it?", system: Any = SYSTEM, model: str = MODEL, **body: Any) -> Any:
            messages = [system, {"role": "user", "content": question}]
            return client.chat.completions.create(model=model, messages=messages, **body).usage

        ask.cache, ask.sim = cache, sim  # pyright: ignore[reportFunctionMemberAccess] - a test's own
        yield ask


def cached(usage: Any) -> int | None:
    """The count of cached tokens, if there is one."""
    details = usage.prompt_tokens_details
    return None if details is None else details.cached_tokens


def test_the_same_beginning_is_cached_in_blocks_of_128_tokens(usage: Callable[..., Any]) -> None:
    """At first the count is absent, as in Groq's answers; then it is every whole block of what stayed the same."""
    assert cached(usage("Is it?")) is None
    later = usage("And this?")
    count = cached(later)

    assert count is not None
    assert count % 128 == 0
    assert later.prompt_tokens - count < 128
    assert [served.cached_tokens for served in usage.sim.settle()] == [0, count]  # pyright: ignore[reportFunctionMemberAccess]


@pytest.mark.parametrize(
    "changed",
    [
        {"system": {"role": "system", "content": "It is 12:00:01. " + str(SYSTEM["content"])}},
        {"model": "openai/gpt-oss-20b"},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
        {"reasoning_effort": "high"},
        {"response_format": {"type": "json_object"}},
    ],
)
def test_a_change_at_the_beginning_leaves_nothing_cached(usage: Callable[..., Any], changed: dict[str, Any]) -> None:
    """System message, model, tools and what else a prompt begins with."""
    usage()
    assert cached(usage(**changed)) is None


def test_it_expires_two_hours_after_its_last_use(usage: Callable[..., Any], clock: Clock) -> None:
    """A use renews it."""
    usage()
    clock.now += 7000
    assert cached(usage())
    clock.now += 7000
    assert cached(usage())
    clock.now += 7201
    assert cached(usage()) is None


def test_what_is_too_short_is_not_cached(usage: Callable[..., Any]) -> None:
    """A prefix of fewer tokens than the minimum."""
    short = {"role": "system", "content": "You answer in one sentence. " * 30}
    usage(system=short)
    assert cached(usage(system=short)) is None


def test_models_without_a_cache_have_no_count(usage: Callable[..., Any]) -> None:
    """Absent, and never 0."""
    for _ in range(2):
        assert cached(usage(model="llama-3.3-70b-versatile")) is None
    assert [served.cached_tokens for served in usage.sim.settle()] == [None, None]  # pyright: ignore[reportFunctionMemberAccess]


def test_clear_forgets_everything(usage: Callable[..., Any]) -> None:
    """As Groq may at any time."""
    usage()
    usage.cache.clear()  # pyright: ignore[reportFunctionMemberAccess] - a test's own
    assert cached(usage()) is None


def test_failures_cache_nothing_and_a_script_has_the_last_word(usage: Callable[..., Any]) -> None:
    """A request that was refused was not processed; a count that the script sets is sent as it is."""
    sim: Simulator = usage.sim  # pyright: ignore[reportFunctionMemberAccess] - a test's own
    sim.play([Failure(400), Answer("Yes."), Answer("Yes.", usage=Usage(cached_tokens=7))])
    with pytest.raises(Exception, match="400"):
        usage()
    assert cached(usage()) is None
    assert cached(usage()) == 7


def _received(text: str) -> Received:
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": text}]})
    return Received(0, "POST", "/openai/v1/chat/completions", {}, body.encode(), {})


def test_tokens_that_are_not_cached_take_their_time() -> None:
    """The time is added before the first event, so `prompt_time` has it too."""
    cache = PromptCache(token_time=0.001, minimum=128)
    answer = Answer("Yes.", delays=Delays(before_first=0.5))
    first, _ = cache.serve(answer, _received("a" * 4000))
    second, count = cache.serve(answer, _received("a" * 4000))

    assert first.delays.before_first == pytest.approx(0.5 + 1.007)
    assert count == 896
    assert second.delays.before_first == pytest.approx(0.5 + 0.111)


@given(a=st.text("ab", max_size=600), b=st.text("ab", max_size=600))
def test_never_more_is_cached_than_two_prompts_share(a: str, b: str) -> None:
    """Whatever the prompts: a multiple of the block, at most their common beginning, and less than the whole."""
    cache = PromptCache(minimum=1, block=16)
    first, second = _received(a), _received(b)
    assert cache.serve(Answer("x"), first)[1] == 0
    count = cache.serve(Answer("x"), second)[1]
    one, two = (json.dumps(r.messages).encode() for r in (first, second))
    shared = next((i for i, (x, y) in enumerate(zip(one, two, strict=False)) if x != y), min(len(one), len(two)))

    assert count is not None
    assert count % 16 == 0
    assert count * 4 <= shared
    again = cache.serve(Answer("x"), second)[1]
    assert again is not None
    assert again >= count
