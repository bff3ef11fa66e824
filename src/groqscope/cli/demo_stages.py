"""What the demo runs against: the simulator with real recordings, or Groq itself."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from groqscope.cli.demo_scenes import Request, Stage

RECORDED: Mapping[str, str] = {
    # without the second 429, whose retry-after of eight seconds is too long for a demo
    "rate limited": "pai_mixed_content_ordering_20260129_1",
    "streamed": "oll_chat_streaming_legacy_0",
    "together": "oll_async_chat_legacy_0",
    "search": "pai_web_search_tool_stream_0",
    "agent": "pai_tool_use_failed_error_streaming_0",
    "failing": "pai_model_name_suggestion_0",
    "abandoned": "pai_thinking_part_iter_0",
    "slow": "oi_token_counts_test_0",
}
"""The recording that each scene requests; later recordings of the same conversation are served too."""
LEFT_OUT = frozenset({"pai_mixed_content_ordering_20260129_2"})

_SMALL, _REASONING = "llama-3.1-8b-instant", "openai/gpt-oss-20b"
_ANSWER, _CALLS = 300, {"together": 6, "agent": 3}


def _live(model: str, text: str, **options: Any) -> Request:
    # the limit on the answers bounds the cost
    return {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "max_completion_tokens": _ANSWER,
        **options,
    }


LIVE: Mapping[str, Request] = {
    "streamed": _live(_SMALL, "Tell me a joke about opentelemetry", stream=True),
    "together": _live(_SMALL, "Tell me a joke about opentelemetry"),
    "agent": {
        "model": _REASONING,
        "messages": [
            {"role": "system", "content": "Be concise."},
            {"role": "user", "content": "Get something by the name of example, with the tool, and tell me what it is."},
        ],
    },
    "failing": _live("llama-3.3-70b-versatlie", "hello"),
    "abandoned": _live(_REASONING, "I want a recipe to cook Uruguayan alfajores.", stream=True),
    "slow": _live(_SMALL, "Name twenty rivers of Europe.", stream=True),
}
"""What each scene asks Groq.

Two scenes are missing: a rate limit is not provoked on purpose, and the cost of a web search is not known in advance.
"""


@contextmanager
def simulated() -> Generator[Stage]:
    """Serve the recordings at the pace Groq reported.

    Raises:
        MissingExtraError: the simulator is not installed.
    """
    from groq import AsyncGroq, Groq

    from groqscope.simulator import BUNDLED, Simulator, read_recordings

    recordings = {r.name: r for r in read_recordings(BUNDLED)[0] if r.name not in LEFT_OUT}
    with Simulator(replay=list(recordings.values())) as simulator:
        options: dict[str, Any] = {"base_url": simulator.base_url, "api_key": "demo"}
        requests = {key: recordings[name].request for key, name in RECORDED.items()}
        with Groq(**options) as client:
            yield Stage(client, lambda: AsyncGroq(**options), requests)


@contextmanager
def live() -> Generator[Stage]:
    """Use Groq, with the API key from the environment.

    Raises:
        GroqError: there is none.
    """
    from groq import AsyncGroq, Groq

    with Groq() as client:
        yield Stage(client, AsyncGroq, LIVE)


def most_it_costs() -> tuple[int, Decimal]:
    """Return the number of the live demo's requests, and their highest possible price in US dollars."""
    from genai_prices import Usage, calc_price

    requests, total = 0, Decimal(0)
    for key, request in LIVE.items():
        if key == "failing":  # gets an error, which costs nothing
            requests += 1
            continue
        calls = _CALLS.get(key, 1)
        requests += calls
        # a token is rarely shorter than two bytes; an agent's later requests repeat the messages before
        prompt = (len(str(request)) // 2 + 500) * calls
        usage = Usage(input_tokens=prompt, output_tokens=_ANSWER * calls)
        total += calc_price(usage, request["model"], provider_id="groq").total_price
    return requests, total
