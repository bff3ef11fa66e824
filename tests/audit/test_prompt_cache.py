"""Groq's prompt cache over many requests: shares, dollars and prefill add up, and what was missed has its reason."""

import json
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.report_samples import usage
from support.traffic import request

from groqscope.audit import MemorySource, Query, Records, one_request, overview
from groqscope.audit.prompt_cache import PromptCacheTally
from groqscope.audit.reports import HtmlRenderer, JsonRenderer, Look, MarkdownRenderer, TerminalRenderer
from groqscope.audit.table import RecordTable
from groqscope.timeline import RequestRecord, Usage

GPT = "openai/gpt-oss-120b"
TERMINAL = TerminalRenderer(Look(width=200))


def asked(
    number: int = 1,
    *,
    tokens: int = 1_000,
    cached: int | None = None,
    prefill: float = 0.04,
    model: str = GPT,
    **more: object,
) -> RequestRecord:
    """A request with what Groq's cache did for it."""
    saved = None if cached is None else cached * 0.075e-6
    used = usage(tokens, 10, 0.001, prefill, 0.1, cached=cached)
    return replace(request(number), model=model, usage=used, cache_saved=saved, **more)


def missed(number: int, reason: str, tokens: int, **more: Any) -> RequestRecord:
    """A request of which more could have been cached."""
    return asked(number, cache_miss=reason, cache_missed_tokens=tokens, cache_lost=tokens * 0.075e-6, **more)


def tally(*records: RequestRecord) -> PromptCacheTally:
    """All of them, counted."""
    found = PromptCacheTally()
    found.add(RecordTable(records))
    return found


def test_a_model_without_a_cache_has_no_share() -> None:
    """Absent is not zero: neither in a record, nor in a summary, nor beside a model that caches."""
    plain = asked(model="llama-3.3-70b-versatile")
    assert (plain.cacheable_tokens, plain.cached_share) == (None, None)
    assert tally(plain).result() is None
    found = tally(plain, asked(cached=512)).result()
    assert found is not None
    assert [model.model for model in found.models] == [GPT]
    assert found.total.share == 0.512


def test_no_count_is_no_hit_where_the_model_caches() -> None:
    """Groq leaves the count out where nothing was cached."""
    found = tally(asked(), asked(cached=768)).result()
    assert found is not None
    assert (found.total.requests, found.total.hits, found.total.input_tokens) == (2, 1, 2_000)
    assert found.total.share == 0.384
    assert asked(tokens=0).cached_share is None


def test_what_was_saved_and_lost() -> None:
    """In dollars, and in the time that Groq took for prompts of the same size."""
    records = [
        asked(1, cached=896, prefill=0.01),
        asked(2, prefill=0.05),
        asked(3, tokens=8_000, prefill=0.4),
        missed(4, "system", 896, prefill=0.05),
        missed(5, "system", 512, prefill=0.05),
        missed(6, "tools", 896, prefill=0.05),
        asked(7, cache_miss="too short"),
    ]
    found = tally(*records).result()
    assert found is not None
    total = found.total
    assert total.saved == round(896 * 0.075e-6, 12)
    assert total.lost == round(2_304 * 0.075e-6, 12)
    assert total.missed_tokens == 2_304
    assert total.prefill_cached_ns == 10_000_000
    assert total.prefill_uncached_ns == 48_000_000
    assert [(m.reason, m.requests, m.tokens) for m in found.misses] == [
        ("system", 2, 1_408),
        ("tools", 1, 896),
        ("too short", 1, 0),
    ]
    assert found.misses[0].advice.startswith("Put what changes behind what stays: system changed")
    assert found.misses[0].prefill_ns > 0
    assert found.sentence == (
        "6% of input tokens cached, which saved $0.000067. "
        "Missed: about 2,304 tokens and $0.00017, most of it by system (2 requests)."
    )


@given(cached=st.lists(st.one_of(st.none(), st.integers(0, 1_000)), min_size=1, max_size=30), cut=st.integers(0, 30))
def test_the_sums_do_not_depend_on_who_counted_them(cached: list[int | None], cut: int) -> None:
    """Counted in two parts and merged, or at once."""
    records = [asked(n, cached=tokens) for n, tokens in enumerate(cached)]
    parts = tally(*records[:cut])
    parts.merge(tally(*records[cut:]))
    assert parts.result() == tally(*records).result()


def test_the_overview_shows_it_and_why_sums_it() -> None:
    """In the terminal, in HTML, Markdown and JSON; where no model caches, nowhere."""
    records = [asked(1, cached=896), *(missed(n, "message[0]", 896) for n in range(2, 9))]
    audit = overview(Records(MemorySource(records), Query()), why=True)
    for renderer in (TERMINAL, HtmlRenderer(), MarkdownRenderer(), JsonRenderer()):
        assert "message[0]" in renderer.render(audit).replace("\\", ""), renderer
        assert "message[0]" in renderer.render(audit, "why").replace("\\", ""), renderer
    why = TERMINAL.render(audit, "why")
    assert "7 requests, about 6,272 tokens, $0.00047" in why
    assert "Put what changes behind what stays: message[0] changed" in why
    assert '<td class="words" data-label="what to do">' in HtmlRenderer().render(audit), "advice may wrap"
    plain = Records(MemorySource([asked(model="llama-3.3-70b-versatile")]), Query())
    assert "prompt cache" not in TERMINAL.render(overview(plain))


def test_a_request_shows_what_its_cache_did() -> None:
    """Tokens, dollars and reason stand in a line of their own."""
    record = missed(1, "expired", 896, cache_last_used_ns=7_800 * 10**9)
    text = TERMINAL.render(record)
    assert "prompt cache" in text
    assert "0 of 1,000 tokens cached (0.0%)" in text
    assert "missed about 896: expired (last used 2 h 10 m ago)" in text
    assert "prompt cache" not in TERMINAL.render(replace(record, model="llama", usage=Usage(), cache_miss=None))


def test_the_prefill_of_a_cached_prompt_is_beside_that_of_uncached_ones() -> None:
    """In a request's page and its JSON: of the same size and model; a miss says about how much prefill it cost."""
    hit = asked(1, cached=896, prefill=0.01)
    records = [
        hit,
        asked(2, prefill=0.05),
        missed(3, "system", 896, prefill=0.07),
        asked(4, tokens=8_000, prefill=0.4),
        asked(5, prefill=0.9, model="openai/gpt-oss-20b"),
    ]
    source = Records(MemorySource(records), Query())
    report = one_request(source, hit.span_id or "")
    said = "prefill 10.0 ms, 60.0 ms for uncached prompts of the same size"
    assert said in TERMINAL.render(report)
    assert said in HtmlRenderer().render(report)
    assert said in HtmlRenderer().render(overview(source))
    assert json.loads(JsonRenderer().render(report))["verdict"]["prefill_uncached_ns"] == 60_000_000
    uncached = one_request(source, records[2].span_id or "")
    assert uncached.verdict.prefill_uncached_ns is None
    for renderer in (TERMINAL, HtmlRenderer()):
        text = renderer.render(uncached)
        assert "lost $0.000067 and about 25.0 ms of prefill" in text
        assert "uncached prompts" not in text
    alone = one_request(Records(MemorySource([hit]), Query()), hit.span_id or "")
    assert alone.verdict.prefill_uncached_ns is None
    assert "uncached prompts" not in TERMINAL.render(alone)


def test_what_is_not_a_time_is_in_no_mean() -> None:
    """An answer may name any number of seconds: no report fails of it."""
    records = [asked(1, cached=896, prefill=1e300), asked(2, prefill=1e300), asked(3, prefill=0.05)]
    source = Records(MemorySource(records), Query())
    cache = overview(source).cache
    assert cache is not None
    assert cache.total.prefill_cached_ns is None
    report = one_request(source, records[0].span_id or "")
    assert report.verdict.prefill_uncached_ns == 50_000_000
    for renderer in (TERMINAL, HtmlRenderer(), JsonRenderer()):
        assert renderer.render(report)
