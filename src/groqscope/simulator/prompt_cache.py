"""Groq's prompt cache: an exact prefix, by blocks of tokens, for two hours, as its documentation and its answers say.

<https://console.groq.com/docs/prompt-caching>: a prefix is cached automatically for some models, expires after two
hours without use, and has to have at least 128 to 1,024 tokens, depending on the model. Every count of cached tokens
that Groq shows is a multiple of 128 (256 of 336 in a recording, 4,608 of 4,641 in the documentation), and where nothing
was cached the answer leaves the count out.
"""

import json
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, Final

from groqscope.simulator.received import Received
from groqscope.simulator.script import Answer, Usage

MODELS: Final = frozenset(
    {"moonshotai/kimi-k2-instruct-0905", "openai/gpt-oss-20b", "openai/gpt-oss-120b", "openai/gpt-oss-safeguard-20b"}
)
"""The models whose prompts Groq caches."""
_BYTES_A_TOKEN: Final = 4
_BEFORE_MESSAGES: Final = (
    "tool_choice",
    "response_format",
    "reasoning_effort",
    "text",
    "reasoning",
    "tools",
    "instructions",
)
"""What a prompt begins with: a change of these is a change of its prefix."""
_MAX_BLOCKS: Final = 100_000


@dataclass(slots=True, kw_only=True)
class PromptCache:
    """What a simulator remembers of prompts: `Simulator(script, prompt_cache=PromptCache())`.

    An `Answer` whose usage does not say otherwise then reports the prompt's tokens (four bytes each) and those of them
    that were cached.
    """

    minimum: int = 256
    """Tokens that a cached prefix has at least; Groq's own minimum is 128 to 1,024, by model."""
    block: int = 128
    """Tokens that are cached or not together."""
    lifetime: float = 7200.0
    """Seconds without use after which a block is forgotten."""
    models: Collection[str] = MODELS
    token_time: float = 0.0
    """Seconds that each token takes that is not cached: before the first event, and in `prompt_time`."""
    clock: Callable[[], float] = time.monotonic
    _used: dict[bytes, float] = field(default_factory=dict[bytes, float], repr=False)
    """When each block was last used, the one used longest ago first."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def clear(self) -> None:
        """Forget everything, as Groq may at any time."""
        with self._lock:
            self._used.clear()

    def serve(self, answer: Answer, received: Received) -> tuple[Answer, int | None]:
        """Return the answer with the cache's effect on it, and the tokens that were cached; `None`: a model without."""
        if received.model not in self.models:
            return answer, None
        prompt = b"".join(_parts(received.json))
        tokens = max(1, len(prompt) // _BYTES_A_TOKEN)
        cached = self._look_up(received.model or "", prompt, tokens)
        took = (tokens - cached) * self.token_time
        given, delays = answer.usage, answer.delays
        delays = replace(delays, before_first=delays.before_first + took)
        if given is not None:
            given = _filled(given, tokens, cached)
        return replace(answer, usage=given, delays=delays), cached

    def _look_up(self, model: str, prompt: bytes, tokens: int) -> int:
        """Return how many tokens are cached, and remember all whole blocks."""
        size = self.block * _BYTES_A_TOKEN
        now, cached, unbroken = self.clock(), 0, True
        chain = blake2b(model.encode(), digest_size=16)
        with self._lock:
            # The last token is always processed: an answer begins with it.
            for block in range((tokens - 1) // self.block):
                chain.update(prompt[block * size : (block + 1) * size])
                key = chain.digest()
                used = self._used.pop(key, None)
                unbroken = unbroken and used is not None and now - used <= self.lifetime
                cached += self.block * unbroken
                self._used[key] = now
            while len(self._used) > _MAX_BLOCKS:
                del self._used[next(iter(self._used))]
        return cached if cached >= self.minimum else 0


def _parts(body: dict[str, Any]) -> Iterator[bytes]:
    for name in _BEFORE_MESSAGES:
        if body.get(name) is not None:
            yield json.dumps({name: body[name]}).encode()
    messages: Any = body.get("messages", body.get("input"))  # the second in the Responses API, where it may be a text
    for message in messages if isinstance(messages, list) else [messages]:  # pyright: ignore[reportUnknownVariableType] - JSON
        yield json.dumps(message).encode()


def _filled(usage: Usage, tokens: int, cached: int) -> Usage:
    return replace(
        usage,
        prompt_tokens=tokens if usage.prompt_tokens is None else usage.prompt_tokens,
        cached_tokens=(cached or None) if usage.cached_tokens is None else usage.cached_tokens,
    )
