"""What a request cost, by genai-prices.

The price list takes about 50 ms to load; `warm_up` does that in a thread, while the first request waits for Groq.
"""

import threading
from typing import Any

from groqscope.timeline import ModelUsage, Usage

_lock = threading.Lock()
_ready = False
_prices: dict[str, Any] = {}
_MAX_MODELS = 256
"""Model names whose price (or lack of one) is kept."""


def warm_up() -> None:
    """Load the price list in the background, once."""
    global _ready  # noqa: PLW0603 - once per process
    if not _ready:
        _ready = True
        threading.Thread(target=_load, name="groqscope-prices", daemon=True).start()


def price(models: tuple[str | None, ...], usage: Usage, inner: tuple[ModelUsage, ...] = ()) -> float | None:
    """Give the cost in US dollars; `None` when usage never came or the price is not known.

    Args:
        models: names to look up, the first known one counts: the model that answered, the one asked for.
        usage: the tokens.
        inner: the inner calls of a compound system, which are priced one by one instead.
    """
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    if inner:
        parts = [_price(m.model, Usage(input_tokens=m.input_tokens, output_tokens=m.output_tokens)) for m in inner]
        known = [p for p in parts if p is not None]
        return sum(known) if len(known) == len(parts) else None
    for model in dict.fromkeys(models):
        if model is not None and (cost := _price(model, usage)) is not None:
            return cost
    return None


def _load() -> Any:
    with _lock:
        import genai_prices  # noqa: PLC0415 - 30 ms

        if not _prices:
            _find("openai/gpt-oss-20b", genai_prices)
        return genai_prices


def _price(model: str, usage: Usage) -> float | None:
    if model not in _prices:
        genai_prices = _load()
        with _lock:
            if len(_prices) >= _MAX_MODELS:
                _prices.clear()
            _find(model, genai_prices)
    found = _prices[model]
    if found is None:
        return None
    usage_type, model_price = found
    calculated = model_price.calc_price(
        usage_type(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cached_tokens or 0,
        )
    )
    return float(calculated["total_price"])


def _find(model: str, genai_prices: Any) -> None:
    try:
        calculation = genai_prices.calc_price(
            genai_prices.Usage(input_tokens=1, output_tokens=1), model, provider_id="groq"
        )
    except LookupError:
        _prices[model] = None
    else:
        _prices[model] = (genai_prices.Usage, calculation.model_price)
