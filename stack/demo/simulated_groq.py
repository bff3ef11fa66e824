"""A simulated Groq for the demo profile: a few models at their own pace, with the faults that real traffic has.

    python stack/demo/simulated_groq.py [--host 127.0.0.1] [--port 8787] [--seed 1]

Every tenth minute one model's queue grows long, and every seventh the tokens of the minute run low.
"""

import argparse
import random
import time
from collections.abc import Callable
from typing import Final

from groqscope.simulator import (
    Answer,
    Cut,
    Delays,
    ErrorEvent,
    Failure,
    Received,
    Reply,
    Simulator,
    ToolCall,
    Usage,
)

WORDS: Final = ("the", "order", "left", "our", "warehouse", "this", "morning", "and", "should", "arrive", "soon")
MODELS: Final = {
    # prompt processing in seconds, tokens a second
    "llama-3.1-8b-instant": (0.012, 800),
    "llama-3.3-70b-versatile": (0.045, 320),
    "openai/gpt-oss-120b": (0.030, 480),
}
TOKENS_A_MINUTE: Final = 300_000
BUSY: Final = "llama-3.3-70b-versatile"


def _limits(rng: random.Random) -> dict[str, str]:
    """Tell what is left of the minute's tokens: little, one minute in seven."""
    left = rng.uniform(0.05, 0.09) if time.time() % 420 < 60 else rng.uniform(0.4, 0.8)
    return {
        "x-ratelimit-limit-tokens": str(TOKENS_A_MINUTE),
        "x-ratelimit-remaining-tokens": str(int(TOKENS_A_MINUTE * left)),
    }


def script(rng: random.Random) -> Callable[[Received], Reply]:
    """Return the function that answers."""

    def answer(received: Received) -> Reply:
        model = received.model or BUSY
        prefill, speed = MODELS.get(model, (0.03, 400))
        luck = rng.random()
        if luck < 0.03:  # one in thirty: the SDK tries again
            return Failure(429, retry_after=0.3) if luck < 0.02 else Failure(503)  # two of three
        if luck < 0.04:  # one in a hundred: no use in trying again
            return Failure(400, code="tool_use_failed", message="Failed to call a function")
        queue = rng.lognormvariate(-5.5, 0.8)
        if model == BUSY and time.time() % 600 < 60:  # a minute in ten
            queue += rng.uniform(0.5, 2.0)
        tokens = rng.randint(20, 160)
        prompt_time = prefill * rng.lognormvariate(0, 0.3)
        completion_time = tokens / speed
        delays = Delays(
            before_headers=queue + 0.02,
            before_first=prompt_time if received.stream else prompt_time + completion_time,
            per_chunk=1 / speed,
            before_tools=30 / speed,
        )
        calls = (ToolCall("lookup_order", '{"order": "4711"}'),) if rng.random() < 0.2 else ()  # one in five
        usage = Usage(
            prompt_tokens=rng.randint(150, 4000),
            queue_time=queue,
            prompt_time=prompt_time,
            completion_time=completion_time,
        )
        ending = None
        if luck < 0.055:  # a few streams break
            ending = Cut(tokens // 2) if luck < 0.045 else ErrorEvent(tokens // 2)
        return Answer(
            [f"{rng.choice(WORDS)} " for _ in range(tokens)],
            tool_calls=calls,
            reasoning="first the customer's order, then the parcel" if "gpt-oss" in model else "",
            usage=usage,
            delays=delays,
            headers=_limits(rng),
            events_per_write=4,
            ending=ending,
        )

    return answer


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8787)
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    rng = random.Random(options.seed)  # noqa: S311 - traffic, not secrets
    simulator = Simulator(script(rng), host=options.host, port=options.port)
    simulator.run(lambda url: print(f"a simulated Groq on {url}", flush=True), None)


if __name__ == "__main__":
    main()
