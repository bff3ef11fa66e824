"""The cost of a request, by the price list of genai-prices.

The list takes about 50 ms to load; `warm_up` loads it in a thread while the first request waits for Groq.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from typing import Any, Final

from groqscope import _fork
from groqscope.timeline import ExecutedTool, ModelUsage, Usage

_lock = threading.Lock()
_held = False
_FORK_WAIT_S = 1.0
_ready = False
_prices: dict[str, Callable[[Usage], float] | None] = {}
_MAX_MODELS = 256
"""How many models the cache of prices holds, models without a price included."""


def warm_up() -> None:
    """Load the price list in the background, once."""
    global _ready  # noqa: PLW0603 - once per process
    if not _ready:
        with suppress(RuntimeError):  # the interpreter is ending
            threading.Thread(target=_load, name="groqscope-prices", daemon=True).start()
        _ready = True


def _before_fork() -> None:
    """Wait until the list is loaded: a child forked meanwhile would wait forever for the thread that loads it."""
    global _held  # noqa: PLW0603 - `_after_fork` releases it
    _held = _lock.acquire(timeout=_FORK_WAIT_S)


def _after_fork() -> None:
    if _held:
        _lock.release()


def _forked() -> None:
    global _lock  # noqa: PLW0603 - the thread that holds the old one is not in this process
    _lock = threading.Lock()


_fork.register(before=_before_fork, after_in_parent=_after_fork, after_in_child=_forked)


_LIST_PRICE: Final = frozenset({None, "on_demand", "flex", "auto", "default"})
"""Tiers at the list price: flex costs what on_demand costs, says <https://console.groq.com/docs/flex-processing>. What
`performance` costs is agreed with each customer."""
_BATCH: Final = "batch"
_BATCH_RATE: Final = 0.5
"""Of the list price, for cached tokens too: <https://console.groq.com/docs/batch>."""
_TOOLS: Final[Mapping[str, float]] = {"search": 0.005, "visit": 0.001, "visit_website": 0.001}
"""US dollars a call, by <https://groq.com/pricing>; an advanced search costs 0.008, which answers do not tell."""
_TOOLS_BY_TIME: Final[Mapping[str, float]] = {"python": 0.18, "code_interpreter": 0.18, "browser_automation": 0.08}
"""US dollars an hour."""


def price(
    models: tuple[str | None, ...], usage: Usage, inner: tuple[ModelUsage, ...] = (), *, tier: str | None = None
) -> float | None:
    """Return the cost of tokens in US dollars; `None` when usage or price are unknown.

    Args:
        models: names to look up, of which the first known one is used: the model that answered, then the requested one.
        usage: token counts; reasoning is part of the output, cached tokens are part of the input.
        inner: the model calls inside a compound system; if there are any, each is priced separately instead.
        tier: the service tier that answered.
    """
    if usage.input_tokens is None or usage.output_tokens is None or not (tier in _LIST_PRICE or tier == _BATCH):
        return None
    if not 0 <= (usage.cached_tokens or 0) <= usage.input_tokens or usage.output_tokens < 0:
        # Impossible counts: no cost is better than a wrong one.
        return None
    rate = 1.0
    if tier == _BATCH:
        rate, usage = _BATCH_RATE, Usage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
    if inner:
        reported = sum(m.input_tokens for m in inner), sum(m.output_tokens for m in inner)
        if reported != (usage.input_tokens, usage.output_tokens):
            # In recorded streams each inner call repeats the total usage, so the share of each is unknown.
            return None
        parts = [_price(m.model, Usage(input_tokens=m.input_tokens, output_tokens=m.output_tokens)) for m in inner]
        known = [p for p in parts if p is not None]
        return rate * sum(known) if len(known) == len(parts) else None
    for model in dict.fromkeys(models):
        if model is not None and (cost := _price(model, usage)) is not None:
            return rate * cost
    return None


def price_of_audio(
    models: tuple[str | None, ...], *, seconds: float | None = None, characters: int | None = None
) -> float | None:
    """Return the cost of audio that was transcribed, by the second, or of speech, by the character of its text.

    genai-prices bills ten seconds at least, as <https://console.groq.com/docs/speech-to-text> says. Before
    version 0.2 it has no prices for audio.
    """
    amounts = {"input_audio_seconds": seconds, "audio_seconds": seconds, "input_characters": characters}
    given = {name: Decimal(str(amount)) for name, amount in amounts.items() if amount is not None}
    genai_prices = _load() if given else None
    for model in dict.fromkeys(models):
        if genai_prices is not None and model is not None:
            with suppress(LookupError, TypeError):  # `Usage` knows only tokens before genai-prices 0.2
                found = genai_prices.calc_price(genai_prices.Usage(**given), model, provider_id="groq").total_price
                return float(found) or None  # a price of tokens says nothing about audio
    return None


def price_of_tools(tools: Iterable[ExecutedTool]) -> float | None:
    """Return the least that Groq's own tools cost; `None` where a price or a duration is not known."""
    total = 0.0
    for tool in tools:
        hourly = _TOOLS_BY_TIME.get(tool.type)
        one = _TOOLS.get(tool.type)
        if hourly is not None and tool.duration_ns is not None:
            one = hourly * tool.duration_ns / 3.6e12
        if one is None:
            return None
        total += one
    return total


@cache
def price_source() -> str:
    """Return the name and the version of the price list."""
    return f"genai-prices {version('genai-prices')}"


def cached_discount(models: tuple[str | None, ...], tokens: int | None, *, tier: str | None = None) -> float | None:
    """Return how much less cached tokens cost than others; `None` where no price is known.

    In a batch they cost no less.
    """
    if not tokens:
        return None if tokens is None else 0.0
    fresh = price(models, Usage(input_tokens=tokens, output_tokens=0), tier=tier)
    cached = price(models, Usage(input_tokens=tokens, output_tokens=0, cached_tokens=tokens), tier=tier)
    return None if fresh is None or cached is None or fresh == cached else fresh - cached


def _load() -> Any:
    with _lock:
        import genai_prices

        if not _prices:
            _find("openai/gpt-oss-20b", genai_prices)
        return genai_prices


def _price(model: str, usage: Usage) -> float | None:
    try:
        found = _prices[model]
    except KeyError:
        genai_prices = _load()
        with _lock:
            if len(_prices) >= _MAX_MODELS:
                _prices.clear()
            found = _find(model, genai_prices)
    return None if found is None else found(usage)


def _find(model: str, genai_prices: Any) -> Callable[[Usage], float] | None:
    found = None
    with suppress(LookupError):
        calculation = genai_prices.calc_price(
            genai_prices.Usage(input_tokens=1, output_tokens=1), model, provider_id="groq"
        )
        found = _calculator(genai_prices.Usage, calculation.model_price)
    _prices[model] = found
    return found


def _calculator(usage_type: Any, model_price: Any) -> Callable[[Usage], float]:
    """Return a function from usage to US dollars, in floats where each price is a plain number per token."""
    rates = [getattr(model_price, name, None) for name in ("input_mtok", "cache_read_mtok", "output_mtok")]
    if (
        isinstance(rates[0], Decimal)
        and isinstance(rates[2], Decimal)
        and (rates[1] is None or isinstance(rates[1], Decimal))
    ):
        fresh, cached, output = (None if rate is None else float(rate) / 1e6 for rate in rates)
        known = fresh or 0.0

        def linear(usage: Usage) -> float:
            read = usage.cached_tokens or 0
            return (
                ((usage.input_tokens or 0) - read) * known
                + read * (known if cached is None else cached)
                + (usage.output_tokens or 0) * (output or 0.0)
            )

        return linear

    def exact(usage: Usage) -> float:
        calculated = model_price.calc_price(
            usage_type(
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cache_read_tokens=usage.cached_tokens or 0,
            )
        )
        return float(calculated["total_price"])

    return exact
