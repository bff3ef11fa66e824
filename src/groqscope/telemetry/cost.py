"""What a request cost, by genai-prices.

The price list takes about 50 ms to load; `warm_up` does that in a thread, while the first request waits for Groq.
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
"""Model names whose price (or lack of one) is kept."""


def warm_up() -> None:
    """Load the price list in the background, once."""
    global _ready  # noqa: PLW0603 - once per process
    if not _ready:
        _ready = True
        threading.Thread(target=_load, name="groqscope-prices", daemon=True).start()


def _before_fork() -> None:
    """A child forked while the list is being loaded would wait forever for the thread that loads it."""
    global _held  # noqa: PLW0603 - for the one that lets go
    _held = _lock.acquire(timeout=_FORK_WAIT_S)


def _after_fork() -> None:
    if _held:
        _lock.release()


def _forked() -> None:
    global _lock  # noqa: PLW0603 - whoever holds the old one is not in this process
    _lock = threading.Lock()


_fork.register(before=_before_fork, after_in_parent=_after_fork, after_in_child=_forked)


def price(models: tuple[str | None, ...], usage: Usage, inner: tuple[ModelUsage, ...] = ()) -> float | None:
    """Give the cost in US dollars; `None` when usage never came or the price is not known.

    Args:
        models: names to look up, the first known one counts: the model that answered, the one asked for.
        usage: the tokens.
        inner: the inner calls of a compound system, which are priced one by one instead.
    """
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    if not 0 <= (usage.cached_tokens or 0) <= usage.input_tokens or usage.output_tokens < 0:
        # Not what a sane server reports: no figure is better than a wrong one.
        return None
    if inner:
        told = sum(m.input_tokens for m in inner), sum(m.output_tokens for m in inner)
        if told != (usage.input_tokens, usage.output_tokens):
            # Streamed, each inner call repeats the whole usage (recorded): who used how much is not known.
            return None
        parts = [_price(m.model, Usage(input_tokens=m.input_tokens, output_tokens=m.output_tokens)) for m in inner]
        known = [p for p in parts if p is not None]
        return sum(known) if len(known) == len(parts) else None
    for model in dict.fromkeys(models):
        if model is not None and (cost := _price(model, usage)) is not None:
            return cost
    return None


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
    """Give a function from usage to US dollars; without Decimal where the price is a plain one per token."""
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
