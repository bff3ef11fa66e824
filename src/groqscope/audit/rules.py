"""The causes that a verdict can name: how each is measured in a record, and when it stands out.

A cause is named in a request when it took at least `MIN_NS` and

* its share of the duration is at least the rule's `absolute` (for avoidable causes: queues, retries, cold connections,
  the caller's own code), and a person would notice it (`NOTICEABLE_NS`) or it took at least `TIMES_USUAL` times what is
  usual for the model in the same data and `MIN_NS` more, or
* the request is slow, and the cause took at least `TIMES_USUAL` times what is usual, and the excess is at least
  `MIN_EXCESS` of the duration.

An avoidable cause is measured by the time that would be saved without it, so that the causes of a request can be added
up: the queue, as far as the SDK waited for it; failed attempts, less the connection that the first of them opened for
the successful one; opening a connection; waiting for one; and of the caller's own time only `caller_delay_ns`.

`docs/audit.md` has the same table in words.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from groqscope.audit.formatting import ago, count, duration, money, several
from groqscope.timeline import SAME_GAP, STALL_NS, STALL_TIMES_MEDIAN, RequestRecord, Usage

MIN_NS: Final = 20_000_000
NOTICEABLE_NS: Final = 100_000_000
"""A person notices a delay of at least this length."""
TIMES_USUAL: Final = 1.5
MIN_EXCESS: Final = 0.2
SLOW_TIMES: Final = 1.5
"""A request is slow if it takes at least this multiple of the usual duration, and `MIN_NS` more."""
USUAL_NEEDS: Final = 5
"""With fewer completed requests, nothing is called usual."""

_ADVICE: Final = {
    "tools": "Put what changes behind what stays: send the same tools, in the same order, in every request.",
    "model": "Stay with one model where prompts are alike: each has a cache of its own.",
    "expired": "Groq forgets a prompt two hours after its last use: ask more often, or do without.",
    "provider": "The prompt was the same, and Groq does not guarantee a hit: there is nothing to fix.",
    "too short": "Groq caches from 128 to 1,024 tokens on, depending on the model: there is nothing to fix.",
}
NAN: Final = float("nan")


@dataclass(frozen=True, slots=True)
class Rule:
    """One cause."""

    code: str
    title: str
    """As in `52% in TITLE`."""
    absolute: float | None
    """It is named from this share of the duration on, whatever is usual; `None`: only in comparison with the usual."""
    advice: str


RULES: Final[tuple[Rule, ...]] = (
    Rule("queue", "in Groq's queue", 0.2, "Spread the load over time, or ask for another service tier."),
    Rule("retries", "in failed attempts and back-off", 0.2, "Send fewer or smaller requests at once."),
    Rule("cold_connection", "opening a connection", 0.2, "Keep one client and use it for every request."),
    Rule("pool_wait", "waiting for a free connection", 0.2, "Raise the HTTP client's max_connections."),
    Rule("caller", "waiting for your own code", 0.2, "Do less per chunk, or hand the chunks to another task."),
    Rule("stall", "in one pause of the stream", 0.2, "If it repeats, tell Groq's support the request id."),
    Rule("prepare", "building the request", 0.2, "Something holds the CPU or the event loop: build less, block less."),
    Rule("send", "sending the request", 0.2, "Send less: a shorter history, smaller or linked images."),
    Rule("finish", "after the last byte", 0.2, "Look at what handles the response: parsing, hooks."),
    Rule("reasoning", "reasoning before the answer", 0.4, "Lower reasoning_effort, or take another model."),
    Rule("network", "between you and Groq, unaccounted for", 0.5, "Look at proxy, DNS and distance to the region."),
    Rule("prefill", "processing the prompt", 0.5, "Shorten the prompt, or keep its beginning: Groq caches it."),
    Rule("cache_miss", "missing Groq's prompt cache", 0.2, "Put what changes behind what stays (--why says what)."),
    Rule("tool_call", "waiting for a tool call to be written", None, "Let tools take fewer or shorter arguments."),
    Rule("long_answer", "generating a long answer", None, "Ask for less, or set max_completion_tokens."),
    Rule("slow_generation", "generating slowly", None, "Try later, or another service tier."),
)  # fmt: skip
BY_CODE: Final = {rule.code: rule for rule in RULES}

COLUMNS: Final = (
    "duration",
    "completed",
    "tokens",
    "reported",
    "queue",
    "retries",
    "cold_connection",
    "pool_wait",
    "caller",
    "caller_is_least",
    "stall",
    "prepare",
    "send",
    "finish",
    "reasoning",
    "network",
    "prefill",
    "cache_miss",
    "tool_call",
    "generation",
)
"""What the rules need of a record, in nanoseconds: 0 if a phase did not happen, `nan` if not known."""
NOT_ALWAYS_KNOWN: Final = frozenset({"tokens"})
INDEX: Final = {name: index for index, name in enumerate(COLUMNS)}
WIDTH: Final = len(COLUMNS)
Measured = tuple[float, ...]


def measure(record: RequestRecord) -> Measured:
    """Return the measurements of a record, in the order of `COLUMNS`."""
    p = record.phases
    usage = record.usage
    # Groq generates both while the SDK waits and while the caller has control.
    stream = (p.receive or 0) + (p.generate or 0) + (p.consume or 0)
    generated = _generated(record)
    reasoning = min(_reasoning(record, generated), stream)
    tool_call = max((c.assembly_ns or 0 for c in record.tool_calls), default=0) if record.tool_calls else 0
    stall = _stall(record, tool_call)
    missed = missed_prefill_ns(record)
    return (
        record.duration_ns,
        1.0 if record.outcome == "completed" else 0.0,
        NAN if usage.output_tokens is None else usage.output_tokens,
        1.0 if usage.prompt_time is not None or usage.queue_time is not None else 0.0,
        p.queue or 0,
        _retries_cost(record),
        (p.connect or 0) + (p.tls or 0),
        p.pool_wait or 0,
        record.caller_delay_ns or 0,
        1.0 if record.caller_delay_is_least else 0.0,
        stall,
        p.prepare or 0,
        p.send or 0,
        p.finish or 0,
        reasoning,
        p.network or 0,
        (p.prefill or 0) - missed,
        missed,
        tool_call,
        max(0, min(generated, stream - stall - tool_call) - reasoning),
    )


def missed_prefill_ns(record: RequestRecord) -> int:
    """Return the prefill of tokens that would have been cached: their share of those that were not."""
    usage, missed = record.usage, record.cache_missed_tokens
    processed = (usage.input_tokens or 0) - (usage.cached_tokens or 0)
    return round((record.phases.prefill or 0) * min(1.0, missed / processed)) if missed and processed > 0 else 0


def _generated(record: RequestRecord) -> int:
    """Return how long the answer was generated, as reported or observed; else how long the SDK received it."""
    tpot, tokens = record.tpot, record.usage.output_tokens
    if tpot is None or tokens is None:
        return (record.phases.receive or 0) + (record.phases.generate or 0)
    return round(tpot * tokens * 1e9)


def _retries_cost(record: RequestRecord) -> int:
    """Return the time saved if the first attempt had succeeded; it would have opened the connection all the same."""
    retry = record.phases.retry or 0
    if not retry or not record.attempts:
        return retry
    first, last = record.attempts[0], record.attempts[-1]
    opened, again = ((a.connect_ns or 0) + (a.tls_ns or 0) for a in (first, last))
    return retry - min(retry, max(0, opened - again))


def _reasoning(record: RequestRecord, generated_ns: int) -> int:
    """Return the time from the first reasoning token to the first answer token; if not observed, by token count."""
    usage = record.usage
    if record.ttfrt_ns is not None and record.ttfot_ns is not None:
        return max(0, record.ttfot_ns - record.ttfrt_ns)
    if usage.reasoning_tokens and usage.output_tokens:
        return round(generated_ns * min(1.0, usage.reasoning_tokens / usage.output_tokens))
    if record.ttfrt_ns is not None and record.last_chunk_ns is not None:
        return max(0, record.last_chunk_ns - record.ttfrt_ns)
    return 0


def _stall(record: RequestRecord, tool_call_ns: int) -> int:
    """Return the longest gap, if it is far above the median gap and not part of a tool call; else 0."""
    longest = record.icl_max_ns
    if longest is None or longest < STALL_NS or longest < STALL_TIMES_MEDIAN * (record.icl_p50_ns or 0):
        return 0
    return 0 if tool_call_ns >= SAME_GAP * longest else longest


def detail(code: str, record: RequestRecord) -> str:
    """Return what a record contains about a cause besides its length, or an empty text."""
    if code == "retries":
        return _retries(record)
    if code == "caller":
        return f"of {duration(record.phases.consume or 0)} in your code"
    if code == "tool_call":
        return max(record.tool_calls, key=lambda call: call.assembly_ns or 0).name or ""
    if code == "cache_miss":
        lost = f" and {money(record.cache_lost)}" if record.cache_lost else ""
        return f"about {count(record.cache_missed_tokens, 'token')}{lost}: {cache_miss(record)}"
    if code == "send" and record.request_size:
        return f"{record.request_size / 1e6:,.2f} MB"
    noun, get = _TOKENS.get(code, ("", None))
    number = get(record.usage) if get else None
    return count(number, noun) if number else ""


def cache_miss(record: RequestRecord) -> str:
    """Return why a prompt was not cached, with the time of the last use of what expired."""
    reason, used = record.cache_miss or "", record.cache_last_used_ns
    if used is not None:
        return f"{reason} (last used {ago(used)} ago)"
    return f"{reason} changed" if reason == "tools" or (reason and reason not in _ADVICE) else reason


def cache_advice(reason: str) -> str:
    """Return what can be done about a miss."""
    if reason in _ADVICE:
        return _ADVICE[reason]
    if reason == "system" or reason.startswith("message["):
        return f"Put what changes behind what stays: {reason} changed, and all behind it was processed again."
    return f"Send the same {reason} in every request: a change of it is a change of the prompt's beginning."


def delay(record: RequestRecord) -> str:
    """Return by how much the caller's own code delayed the end, in words."""
    ns = record.caller_delay_ns
    if ns is None:
        return ""
    if not record.caller_delay_is_least:
        return f"which delayed the end by {duration(ns)}" if ns else "which delayed nothing"
    bound = f"which delayed the end by at least {duration(ns)}" if ns else "which may have delayed the end"
    return f"{bound}; {not_reported(record)}"


def not_reported(record: RequestRecord) -> str:
    """Return why Groq's generation time is not known, in words."""
    if record.usage.completion_time:
        return "Groq's completion_time is not possible in this request"
    return "Groq reported no completion_time"


_TOKENS: Final[dict[str, tuple[str, Callable[[Usage], int | None]]]] = {
    "reasoning": ("reasoning token", lambda usage: usage.reasoning_tokens),
    "prefill": ("prompt token", lambda usage: usage.input_tokens),
    "long_answer": ("token", lambda usage: usage.output_tokens),
    "slow_generation": ("token", lambda usage: usage.output_tokens),
}


def _retries(record: RequestRecord) -> str:
    failed = [
        str(a.error_type if a.status is None else a.status)
        for a in record.attempts
        if a.error_type or a.backoff_ns is not None
    ]
    words = [several(failed.count(kind), kind) for kind in dict.fromkeys(failed)]
    backoff = sum(a.backoff_ns or 0 for a in record.attempts)
    if backoff >= MIN_NS:
        words.append(f"{duration(backoff)} of back-off")
    return ", ".join(words)
