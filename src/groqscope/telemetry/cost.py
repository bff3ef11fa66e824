"""The cost of a request, by the price list of genai-prices.

The list takes about 50 ms to load; `warm_up` loads it in a thread while the first request waits for Groq.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

from groqscope import _fork
from groqscope.timeline import ModelUsage, Usage

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


def price(models: tuple[str | None, ...], usage: Usage, inner: tuple[ModelUsage, ...] = ()) -> float | None:
    """Return the cost in US dollars; `None` when usage or price are unknown.

    Args:
        models: names to look up, of which the first known one is used: the model that answered, then the requested one.
        usage: token counts.
        inner: the model calls inside a compound system; if there are any, each is priced separately instead.
    """
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    if not 0 <= (usage.cached_tokens or 0) <= usage.input_tokens or usage.output_tokens < 0:
        # Impossible counts: no cost is better than a wrong one.
        return None
    if inner:
        reported = sum(m.input_tokens for m in inner), sum(m.output_tokens for m in inner)
        if reported != (usage.input_tokens, usage.output_tokens):
            # In recorded streams each inner call repeats the total usage, so the share of each is unknown.
            return None
        parts = [_price(m.model, Usage(input_tokens=m.input_tokens, output_tokens=m.output_tokens)) for m in inner]
        known = [p for p in parts if p is not None]
        return sum(known) if len(known) == len(parts) else None
    for model in dict.fromkeys(models):
        if model is not None and (cost := _price(model, usage)) is not None:
            return cost
    return None


def cached_discount(models: tuple[str | None, ...], tokens: int | None) -> float | None:
    """Return how much less tokens cost that are read from the prompt cache; `None` where no price says so."""
    if not tokens:
        return None if tokens is None else 0.0
    fresh = price(models, Usage(input_tokens=tokens, output_tokens=0))
    cached = price(models, Usage(input_tokens=tokens, output_tokens=0, cached_tokens=tokens))
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
