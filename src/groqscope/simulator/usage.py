"""Usage as Groq sends it, with times that match an answer's delays."""

from collections.abc import Sequence
from typing import Any

from groqscope.simulator.script import Chunk, Delays, Raw, Usage


def agree(
    usage: Usage, *, chunks: Sequence[Chunk | Raw], prompt: int, delays: Delays, generating: float
) -> dict[str, Any]:
    """Return usage with the unset fields filled in; `generating` is the time from first event to last, in seconds."""
    reasoning = sum(isinstance(c, Chunk) and bool(c.reasoning) for c in chunks)
    # as in the recordings: each content or reasoning chunk is a token, and the end is one more
    tokens = 1 + sum(isinstance(c, Chunk) and bool(c.reasoning or c.content or c.tool_calls) for c in chunks)
    return usage_json(
        usage,
        prompt_tokens=prompt if usage.prompt_tokens is None else usage.prompt_tokens,
        completion_tokens=tokens if usage.completion_tokens is None else usage.completion_tokens,
        queue_time=delays.before_headers if usage.queue_time is None else usage.queue_time,
        prompt_time=delays.before_first if usage.prompt_time is None else usage.prompt_time,
        completion_time=generating if usage.completion_time is None else usage.completion_time,
        reasoning_tokens=reasoning or None if usage.reasoning_tokens is None else usage.reasoning_tokens,
    )


def usage_json(
    usage: Usage,
    *,
    prompt_tokens: int,
    completion_tokens: int,
    queue_time: float,
    prompt_time: float,
    completion_time: float,
    reasoning_tokens: int | None,
) -> dict[str, Any]:
    """Return Groq's usage object, its keys in Groq's order; details only if there are any."""
    total = prompt_time + completion_time if usage.total_time is None else usage.total_time
    found: dict[str, Any] = {
        "queue_time": queue_time,
        "prompt_tokens": prompt_tokens,
        "prompt_time": prompt_time,
        "completion_tokens": completion_tokens,
        "completion_time": completion_time,
        "total_tokens": prompt_tokens + completion_tokens,
        "total_time": total,
    }
    if usage.cached_tokens is not None:
        found["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    if reasoning_tokens is not None:
        found["completion_tokens_details"] = {"reasoning_tokens": reasoning_tokens}
    return found


def count_prompt(body: bytes) -> int:
    """Estimate the prompt's tokens from the request's size: four bytes each."""
    return max(1, len(body) // 4)
