"""Why one request took as long as it did."""

from collections.abc import Sequence
from typing import Final

from groqscope.audit.formatting import capital, count, duration, percent
from groqscope.audit.model import Cause, Verdict
from groqscope.audit.rules import (
    BY_CODE,
    INDEX,
    MIN_EXCESS,
    MIN_NS,
    NOTICEABLE_NS,
    RULES,
    SLOW_TIMES,
    TIMES_USUAL,
    cache_advice,
    delay,
    detail,
    measure,
    not_reported,
)
from groqscope.timeline import FAILED, LEFT, RequestRecord

_SHOWN: Final = 3
_DIRECT: Final = tuple((rule.code, INDEX[rule.code], rule.absolute) for rule in RULES if rule.code in INDEX)
_ABSOLUTE: Final = tuple(one for one in _DIRECT if one[2] is not None)
"""Those that stand out in requests that are not slow."""
_CACHE: Final = "cache_miss"
_GENERATION: Final = INDEX["generation"]
_TOKENS: Final = INDEX["tokens"]
_REPORTED: Final = INDEX["reported"]


def is_slow(length_ns: float, usual: dict[str, float]) -> bool:
    """Return whether a request took clearly longer than usual."""
    expected = usual.get("duration")
    return expected is not None and length_ns >= SLOW_TIMES * expected and length_ns - expected >= MIN_NS


def named(row: Sequence[float], usual: dict[str, float]) -> list[tuple[str, float]]:
    """Return the causes that stand out in a row of measurements, with the nanoseconds of each, biggest first."""
    total = row[0]
    if total <= 0:
        return []
    slow = is_slow(total, usual)
    found: list[tuple[str, float]] = []
    for code, index, absolute in _DIRECT if slow else _ABSOLUTE:
        ns = row[index]
        if ns < MIN_NS:
            continue
        # Unaccounted time means something only if Groq reports the rest.
        alone = absolute is not None and ns >= absolute * total and bool(code != "network" or row[_REPORTED])
        least = 0 if alone else MIN_EXCESS * total
        if (alone and ns >= NOTICEABLE_NS) or ((alone or slow) and _exceeds(ns, usual.get(code), least)):
            found.append((code, ns))
    if slow and _exceeds(row[_GENERATION], usual.get("generation"), MIN_EXCESS * total):
        found.append((_generation(row, usual), row[_GENERATION]))
    return sorted(found, key=lambda item: -item[1]) if len(found) > 1 else found


def _exceeds(ns: float, usual_ns: float | None, least: float) -> bool:
    """Return whether a cause took clearly more than usual, by at least `least`."""
    return usual_ns is not None and ns >= TIMES_USUAL * usual_ns and ns - usual_ns >= max(least, MIN_NS)


def _generation(row: Sequence[float], usual: dict[str, float]) -> str:
    """Return the cause of a long generation: more tokens than usual, or slower ones."""
    tokens, usual_tokens = row[_TOKENS], usual.get("tokens")
    if not usual_tokens or not tokens > 0:  # not known is `nan`
        return "slow_generation"
    more = tokens / usual_tokens
    slower = (row[_GENERATION] / tokens) / (usual["generation"] / usual_tokens) if usual["generation"] else 1.0
    return "long_answer" if more >= slower else "slow_generation"


def judge(record: RequestRecord, usual: dict[str, float], prefill_uncached_ns: float | None = None) -> Verdict:
    """Return why a request took as long as it did, compared with what is usual for its model."""
    row = measure(record)
    found = found_in(row, record.cache_missed_tokens, usual)
    causes = tuple(_cause(code, ns, record, usual) for code, ns in found)
    slow = is_slow(row[0], usual)
    expected = usual.get("duration")
    return Verdict(
        sentence=_sentence(record, causes, expected, slow=slow),
        causes=causes,
        slow=slow,
        usual_ns=None if expected is None else round(expected),
        prefill_uncached_ns=prefill_uncached_ns,
    )


def found_in(row: Sequence[float], missed_tokens: int | None, usual: dict[str, float]) -> list[tuple[str, float]]:
    """Return the causes of a request's verdict, with the nanoseconds of each."""
    found = named(row, usual)
    if missed_tokens and _CACHE not in dict(found):
        # However little time it took: it cost money.
        found.append((_CACHE, row[INDEX[_CACHE]]))
    return found


def usual_of(code: str, usual: dict[str, float]) -> float | None:
    """Return the usual nanoseconds of a cause."""
    return usual.get("generation" if code in {"long_answer", "slow_generation"} else code)


def _cause(code: str, ns: float, record: RequestRecord, usual: dict[str, float]) -> Cause:
    share = ns / max(1, record.duration_ns)
    usual_ns = usual_of(code, usual)
    least = code == "caller" and record.caller_delay_is_least
    reason = not_reported(record) if least else ""
    facts = [duration(ns), detail(code, record), comparison(ns, usual_ns), reason]
    words = f"{percent(share)} {BY_CODE[code].title} ({', '.join(fact for fact in facts if fact)})"
    return Cause(
        code=code,
        ns=round(ns),
        share=share,
        usual_ns=None if usual_ns is None else round(usual_ns),
        sentence=f"at least {words}" if least else words,
        advice=cache_advice(record.cache_miss or "") if code == _CACHE else BY_CODE[code].advice,
    )


def comparison(ns: float, usual_ns: float | None) -> str:
    """Return a length compared with the usual one, in words."""
    if usual_ns is None:
        return ""
    if usual_ns and ns < TIMES_USUAL * usual_ns:
        return "as usual"
    return f"usually {duration(usual_ns)}" if usual_ns else "usually none"


def _sentence(record: RequestRecord, causes: Sequence[Cause], expected: float | None, *, slow: bool) -> str:
    parts = [_ending(record)]
    if slow and expected is not None:
        parts.append(f"Slow: {duration(record.duration_ns)}, usually {duration(expected)}.")
    if causes:
        words = "; ".join(cause.sentence for cause in causes[:_SHOWN])
        parts.append(f"{capital(words)}.")
    elif slow:
        parts.append("No measurement explains it.")
    elif record.outcome not in FAILED:
        parts.append(_nothing(record))
    return " ".join(part for part in parts if part)


def _ending(record: RequestRecord) -> str:
    if record.outcome in FAILED:
        why = record.error_type or record.stream_error or record.outcome
        tries = f" after {count(record.retries + 1, 'attempt')}" if record.retries else ""
        return f"Failed{tries}: {why}."
    if record.outcome in LEFT:
        tokens = f" {count(record.content_chunks, 'content chunk')}" if record.content_chunks else " nothing"
        return f"{str(record.outcome).capitalize()} by the caller after {duration(record.duration_ns)} and{tokens}."
    return ""


DOING: Final = {
    "prepare": "building the request",
    "retry": "failed attempts",
    "pool_wait": "waiting for a connection",
    "connect": "connecting",
    "tls": "the TLS handshake",
    "send": "sending the request",
    "queue": "Groq's queue",
    "prefill": "processing the prompt",
    "network": "waiting for the first byte",
    "generate": "generating",
    "receive": "receiving the answer",
    "consume": "your own code while the answer was coming",
    "finish": "finishing",
}


def _nothing(record: RequestRecord) -> str:
    phases = sorted(record.phases.items(), key=lambda item: -item[1])
    if not phases:
        return "Its phases are not known: another instrumentation recorded it."
    name, ns = phases[0]
    facts = [duration(ns), delay(record) if name == "consume" else ""]
    share = percent(ns / max(1, record.duration_ns))
    return f"Nothing stands out: {share} {DOING[name]} ({', '.join(f for f in facts if f)})."
