"""Groq's prompt cache over many requests: what it saved, what was missed, and why."""

import heapq
from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Final

from groqscope.audit.fields import nanoseconds
from groqscope.audit.formatting import count, money, percent
from groqscope.audit.groups import count_dollars, dollars_of
from groqscope.audit.model import CacheMisses, CacheSummary, PromptCache
from groqscope.audit.rules import INDEX, cache_advice
from groqscope.audit.table import Table, ids, known, split, where
from groqscope.timeline import RequestRecord

EXAMPLES: Final = 3
_COUNTS: Final = tuple(field.name for field in fields(CacheSummary) if field.type is int)
_DOLLARS: Final = ("cache_saved", "cache_lost")
_MISSED: Final = INDEX["cache_miss"]
MOSTLY: Final = 0.5
"""Share of a prompt from which its prefill counts as that of a cached one."""


@dataclass(slots=True)
class CacheSum:
    """The requests for one model."""

    counts: Counter[str] = field(default_factory=Counter[str])
    pico_usd: Counter[str] = field(default_factory=Counter[str])
    prefill: dict[tuple[int, bool], tuple[int, int]] = field(default_factory=dict[tuple[int, bool], tuple[int, int]])
    """Requests and nanoseconds by the size of the prompt, in powers of two, and by whether it was mostly cached."""

    def add(self, table: Table) -> None:
        """Count requests whose prompts could be cached."""
        counts, tokens = self.counts, table.column("cacheable_tokens")
        cached = [number or 0 for number in table.column("usage.cached_tokens")]
        counts["requests"] += len(table)
        counts["hits"] += sum(number > 0 for number in cached)
        counts["misses"] += len(known(table.column("cache_miss")))
        counts["input_tokens"] += sum(tokens)
        counts["cached_tokens"] += sum(cached)
        counts["missed_tokens"] += sum(filter(None, table.column("cache_missed_tokens")))
        count_dollars(self.pico_usd, table, _DOLLARS)
        for sent, known_before, seconds in zip(tokens, cached, table.column("usage.prompt_time"), strict=True):
            prefill_ns = nanoseconds(seconds)
            mostly = known_before >= MOSTLY * sent
            if prefill_ns is not None and sent and (mostly or not known_before):
                key = sent.bit_length(), mostly
                n, ns = self.prefill.get(key, (0, 0))
                self.prefill[key] = n + 1, ns + prefill_ns

    def merge(self, other: "CacheSum") -> None:
        """Add what was counted elsewhere."""
        self.counts.update(other.counts)
        self.pico_usd.update(other.pico_usd)
        for key, (n, ns) in other.prefill.items():
            before = self.prefill.get(key, (0, 0))
            self.prefill[key] = before[0] + n, before[1] + ns

    def summary(self, model: str | None) -> CacheSummary:
        """Return what reports show."""
        cached_ns = uncached_ns = n = 0.0
        for (size, mostly), (hits, ns) in self.prefill.items():
            others, others_ns = self.prefill.get((size, False), (0, 0))
            if mostly and others:
                n, cached_ns, uncached_ns = n + hits, cached_ns + ns, uncached_ns + others_ns / others * hits
        return CacheSummary(
            model=model,
            **{name: self.counts[name] for name in _COUNTS},
            saved=dollars_of(self.pico_usd, "cache_saved"),
            lost=dollars_of(self.pico_usd, "cache_lost"),
            prefill_cached_ns=cached_ns / n if n else None,
            prefill_uncached_ns=uncached_ns / n if n else None,
        )


@dataclass(slots=True)
class MissSum:
    """The misses with one reason."""

    requests: int = 0
    tokens: int = 0
    pico_usd: Counter[str] = field(default_factory=Counter[str])
    ns: int = 0
    worst: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])

    def add(self, table: Table) -> None:
        """Count some."""
        tokens = [number or 0 for number in table.column("cache_missed_tokens")]
        self.requests += len(table)
        self.tokens += sum(tokens)
        count_dollars(self.pico_usd, table, ("cache_lost",))
        self.ns += sum(int(row[_MISSED]) for row in table.measured())
        self.worst = heapq.nlargest(EXAMPLES, [*self.worst, *zip(tokens, ids(table), strict=True)])

    def merge(self, other: "MissSum") -> None:
        """Add what was counted elsewhere."""
        self.requests += other.requests
        self.tokens += other.tokens
        self.pico_usd.update(other.pico_usd)
        self.ns += other.ns
        self.worst = heapq.nlargest(EXAMPLES, self.worst + other.worst)

    def summary(self, reason: str) -> CacheMisses:
        """Return what reports show."""
        return CacheMisses(
            reason=reason,
            requests=self.requests,
            tokens=self.tokens,
            lost=dollars_of(self.pico_usd, "cache_lost"),
            prefill_ns=self.ns,
            advice=cache_advice(reason),
            examples=tuple(name for _, name in self.worst),
        )


class PromptCacheTally:
    """All requests for models that cache prompts."""

    def __init__(self) -> None:
        self.models: dict[str | None, CacheSum] = {}
        self.misses: dict[str, MissSum] = {}

    def add(self, table: Table) -> None:
        """Count requests; those of a model without a cache do not count."""
        cacheable = where(table, [tokens is not None for tokens in table.column("cacheable_tokens")])
        if not len(cacheable):
            return
        for model, these in split(cacheable, cacheable.column("model")):
            self.models.setdefault(model, CacheSum()).add(these)
        for reason, these in split(cacheable, cacheable.column("cache_miss")):
            if reason is not None:
                self.misses.setdefault(reason, MissSum()).add(these)

    def merge(self, other: "PromptCacheTally") -> None:
        """Add what was counted elsewhere."""
        for model, one in other.models.items():
            self.models.setdefault(model, CacheSum()).merge(one)
        for reason, misses in other.misses.items():
            self.misses.setdefault(reason, MissSum()).merge(misses)

    def prefill_uncached_ns(self, record: RequestRecord) -> float | None:
        """Return the mean prefill of prompts of this size of which nothing was cached; `None` unless some of it was."""
        summed, tokens = self.models.get(record.model), record.cacheable_tokens
        if summed is None or not tokens or not record.usage.cached_tokens:
            return None
        n, ns = summed.prefill.get((tokens.bit_length(), False), (0, 0))
        return ns / n if n else None

    def result(self) -> PromptCache | None:
        """Return what reports show; `None` where no model caches prompts."""
        if not self.models:
            return None
        whole = CacheSum()
        for one in self.models.values():
            whole.merge(one)
        total = whole.summary(None)
        models = (one.summary(model) for model, one in self.models.items())
        misses = sorted(
            (one.summary(reason) for reason, one in self.misses.items()),
            key=lambda m: (-m.tokens, -m.requests, m.reason),
        )
        return PromptCache(
            total=total,
            models=tuple(sorted(models, key=lambda m: (-m.input_tokens, m.model or ""))),
            misses=tuple(misses),
            sentence=_sentence(total, misses),
        )


def _sentence(total: CacheSummary, misses: list[CacheMisses]) -> str:
    share = total.share
    if share is None:
        return "No input tokens of models that cache prompts."
    head = f"{percent(share)} of input tokens cached"
    if total.saved:
        head += f", which saved {money(total.saved)}"
    worth = [miss for miss in misses if miss.tokens]
    if not worth:
        return f"{head}."
    lost = f" and {money(total.lost)}" if total.lost else ""
    return (
        f"{head}. Missed: about {count(total.missed_tokens, 'token')}{lost}, "
        f"most of it by {worth[0].reason} ({count(worth[0].requests, 'request')})."
    )
