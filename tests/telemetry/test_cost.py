"""Cost is genai-prices' figure where price and usage are known; otherwise it is unknown, never 0."""

import threading
from typing import Any

import genai_prices
import pytest
from support.both import Mode, each_mode
from support.callers import whole
from support.scope import Exported

from groqscope.simulator import Answer, Simulator
from groqscope.simulator import Usage as Told
from groqscope.telemetry import cached_discount, cost, price, price_of_audio, price_of_tools
from groqscope.timeline import ExecutedTool, ModelUsage, Usage

KNOWN = (
    "llama-3.3-70b-versatile",
    "openai/gpt-oss-120b",
    "openai/gpt-oss-20b",
    "moonshotai/kimi-k2-instruct-0905",
    "qwen/qwen3-32b",
)


def by_genai_prices(model: str, usage: Usage) -> float:
    """Return what genai-prices says."""
    given = genai_prices.Usage(
        input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, cache_read_tokens=usage.cached_tokens or 0
    )
    return float(genai_prices.calc_price(given, model, provider_id="groq").total_price)


@pytest.mark.parametrize("model", KNOWN)
@pytest.mark.parametrize("cached", [None, 0, 400, 1000])
def test_cost_is_that_of_genai_prices(model: str, cached: int | None) -> None:
    """Input, cached input and output are priced; reasoning tokens are part of the output."""
    usage = Usage(input_tokens=1000, output_tokens=321, cached_tokens=cached, reasoning_tokens=300)

    assert price((model,), usage) == pytest.approx(by_genai_prices(model, usage), rel=1e-12)


@pytest.mark.parametrize(
    ("models", "usage"),
    [
        (("nobodys-model",), Usage(input_tokens=1, output_tokens=1)),
        ((None,), Usage(input_tokens=1, output_tokens=1)),
        ((), Usage(input_tokens=1, output_tokens=1)),
        ((KNOWN[0],), Usage()),
        ((KNOWN[0],), Usage(input_tokens=5)),
        ((KNOWN[0],), Usage(output_tokens=5)),
    ],
)
def test_cost_is_unknown_without_price_or_tokens(models: tuple[str | None, ...], usage: Usage) -> None:
    """Without a price or without the tokens, cost is unknown, not 0."""
    assert price(models, usage) is None


def test_the_price_is_that_of_the_model_that_answered() -> None:
    """Where the model that answered has no price, that of the model asked for is taken."""
    usage = Usage(input_tokens=10, output_tokens=10)

    assert price((KNOWN[1], KNOWN[0]), usage) == pytest.approx(by_genai_prices(KNOWN[1], usage))
    assert price(("nobodys", KNOWN[0]), usage) == pytest.approx(by_genai_prices(KNOWN[0], usage))


def test_a_compound_system_costs_what_its_parts_cost() -> None:
    """Inner calls are priced one by one; if the price of one is unknown, so is the cost of the whole."""
    usage = Usage(input_tokens=30, output_tokens=40)
    parts = (
        ModelUsage(model=KNOWN[0], input_tokens=10, output_tokens=10),
        ModelUsage(model=KNOWN[1], input_tokens=20, output_tokens=30),
    )
    expected = sum(
        by_genai_prices(p.model, Usage(input_tokens=p.input_tokens, output_tokens=p.output_tokens)) for p in parts
    )

    assert price(("groq/compound",), usage, parts) == pytest.approx(expected)
    more = Usage(input_tokens=31, output_tokens=41)
    assert price(("groq/compound",), more, (*parts, ModelUsage(model="x", input_tokens=1, output_tokens=1))) is None


def test_inner_calls_that_repeat_the_whole_usage() -> None:
    """Recorded compound streams report the whole usage for each inner call: cost is unknown then, not a multiple."""
    usage = Usage(input_tokens=30, output_tokens=40)
    parts = (ModelUsage(model=KNOWN[0], input_tokens=30, output_tokens=40),)

    assert price(("groq/compound",), usage, parts) is not None
    assert price(("groq/compound",), usage, parts * 2) is None


def test_zero_tokens_cost_zero() -> None:
    """Zero tokens of a model with a known price cost 0."""
    assert price((KNOWN[0],), Usage(input_tokens=0, output_tokens=0)) == 0


@pytest.mark.parametrize("cached", [2_000, 50_000, -5])
def test_impossible_usage(cached: int) -> None:
    """More cached tokens than input tokens, or fewer than 0: cost is a figure or unknown, and nothing is raised."""
    found = price((KNOWN[1],), Usage(input_tokens=1000, output_tokens=1, cached_tokens=cached))

    assert found is None or found >= 0


def test_the_cache_of_prices_is_bounded_and_thread_safe() -> None:
    """The cache keeps a limited number of models, and threads can fill it at the same time."""
    wrong: list[Any] = []

    def job(first: int) -> None:
        try:
            for number in range(first, first + 400):
                assert price((f"nobodys-{number}",), Usage(input_tokens=1, output_tokens=1)) is None
                assert price((KNOWN[number % 5],), Usage(input_tokens=1, output_tokens=1))
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=job, args=(n * 1000,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert len(cost._prices) <= cost._MAX_MODELS + 4


@each_mode
def test_cost_on_span_and_counter(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """A known model's cost is on the span and in the counter; an unknown model's is in neither."""
    sim.play(Answer("a", usage=Told(prompt_tokens=1000, completion_tokens=100)))
    for model in (KNOWN[0], "nobodys-model"):
        whole(mode, exported.client(mode, sim.base_url), model=model)
    expected = by_genai_prices(KNOWN[0], Usage(input_tokens=1000, output_tokens=100))
    spans = exported.record_spans

    assert [(s.attributes or {}).get("operation.cost") for s in spans] == [pytest.approx(expected), None]
    (point,) = exported.metrics()["groqscope.cost"]
    assert point.value == pytest.approx(expected)
    assert point.attributes["gen_ai.request.model"] == KNOWN[0]


GPT = "openai/gpt-oss-120b"
TOKENS = Usage(input_tokens=1_000, output_tokens=100, cached_tokens=512)


def test_a_tier_has_the_price_that_groq_states() -> None:
    """Flex costs as much as on demand, a batch half, cached tokens too; a tier with negotiated prices is unknown."""
    listed = price((GPT,), TOKENS)
    assert listed is not None
    for tier in (None, "on_demand", "flex", "auto"):
        assert price((GPT,), TOKENS, tier=tier) == listed
    uncached = price((GPT,), Usage(input_tokens=1_000, output_tokens=100))
    assert uncached is not None
    assert price((GPT,), TOKENS, tier="batch") == uncached / 2
    assert price((GPT,), TOKENS, tier="performance") is None
    assert price((GPT,), TOKENS, tier="one of tomorrow") is None


def test_what_caching_saves() -> None:
    """Half of the input's price; there is no figure in a batch, and none without a price for cached tokens."""
    assert cached_discount((GPT,), 1_000) == pytest.approx(0.075e-3)
    assert cached_discount((GPT,), 0) == 0
    assert cached_discount((GPT,), None) is None
    assert cached_discount((GPT,), 1_000, tier="batch") is None
    assert cached_discount(("llama-3.3-70b-versatile",), 1_000) is None
    assert cached_discount(("nobodys-model",), 1_000) is None


@pytest.mark.skipif(
    not price_of_audio(("whisper-large-v3-turbo",), seconds=60.0), reason="genai-prices before 0.2 knows only tokens"
)
def test_audio_is_billed_by_the_second_and_speech_by_the_character() -> None:
    """At least ten seconds are billed; a model that is billed by tokens has no price here."""
    assert price_of_audio(("whisper-large-v3-turbo",), seconds=3_600.0) == pytest.approx(0.04)
    assert price_of_audio(("whisper-large-v3-turbo",), seconds=2.5) == pytest.approx(0.04 / 360)
    assert price_of_audio(("canopylabs/orpheus-v1-english",), characters=1_000_000) == pytest.approx(22)
    assert price_of_audio((None, "whisper-large-v3"), seconds=1_800.0) == pytest.approx(0.0555)
    assert price_of_audio((GPT,), seconds=60.0) is None
    assert price_of_audio(("nobodys-model",), seconds=60.0) is None
    assert price_of_audio(("whisper-large-v3",)) is None


def test_a_price_list_that_knows_only_tokens_has_no_price_of_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    """With genai-prices before 0.2 the price is unknown, and nothing fails."""

    def usage(*, input_tokens: int = 0, output_tokens: int = 0) -> tuple[int, int]:
        return input_tokens, output_tokens

    monkeypatch.setattr(genai_prices, "Usage", usage)
    assert price_of_audio(("whisper-large-v3-turbo",), seconds=3_600.0) is None


def test_tools_that_groq_ran_have_a_price_by_call_or_by_time() -> None:
    """One tool without a price makes the sum unknown."""
    search = ExecutedTool(index=0, type="search")
    code = ExecutedTool(index=1, type="python", duration_ns=1_800 * 10**9)
    assert price_of_tools([]) == 0
    assert price_of_tools([search, search, code]) == pytest.approx(0.1)
    assert price_of_tools([search, ExecutedTool(index=0, type="python")]) is None
    assert price_of_tools([ExecutedTool(index=0, type="wolfram_alpha")]) is None
