"""What is known about one request besides its bars: short texts under labels, for the terminal and the page alike."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from groqscope.audit.fields import nanoseconds
from groqscope.audit.formatting import DurationUnit, count, moment, money, plain, rate, seconds, share, size, visible
from groqscope.audit.ids import id_of
from groqscope.audit.model import Verdict
from groqscope.audit.reports.waterfall import Waterfall
from groqscope.audit.rules import cache_miss, missed_prefill_ns, not_reported
from groqscope.timeline import RequestRecord, Usage

P99_NEEDS: Final = 100
_MANY: Final = 8
_NAME: Final = 60

_ENDINGS: Final = {
    "closed": "Closed by the caller before the answer was complete.",
    "abandoned": "Abandoned: the caller dropped the stream before the answer was complete.",
    "cancelled": "Cancelled: the caller's task was cancelled.",
    "truncated": "Truncated: the stream ended without [DONE].",
}
UNFINISHED: Final = "Unfinished: it was running when this was recorded; everything is as of that moment."


@dataclass(frozen=True, slots=True)
class Fact:
    """Short texts under one label."""

    label: str
    items: tuple[str, ...]


def record_id(record: RequestRecord) -> str:
    """Return the ID that `groqscope audit ID` takes."""
    return visible(id_of(record) or "(no id)")


def model_of(record: RequestRecord) -> str:
    """Return the model that was requested, else the one that answered."""
    return visible(record.model or record.response_model or "(model not known)", limit=_NAME)


def ending(record: RequestRecord) -> str:
    """Return how a request ended; nothing if it completed."""
    if record.outcome is None:
        return UNFINISHED
    if record.outcome == "error" or record.stream_error:
        known = record.status is not None and str(record.status) != record.error_type
        status = f" (HTTP {record.status})" if known else ""
        message = f": {record.stream_error}" if record.stream_error else ""
        return f"Failed: {record.error_type or 'reason not known'}{status}{message}"
    return _ENDINGS.get(record.outcome, "")


def headline(record: RequestRecord, unit: DurationUnit) -> Iterator[str]:
    """Return what stands above a waterfall: ID, model, kind, length, outcome, time, chunks, tokens, cost."""
    yield record_id(record)
    yield model_of(record)
    if record.operation != "chat":
        yield visible(record.operation, limit=40)
    yield "stream" if record.stream else "not streamed"
    yield unit.full(record.duration_ns)
    yield record.outcome or "unfinished"
    yield moment(record.start_unix_ns)
    if record.chunks is not None:
        yield count(record.chunks, "chunk")
    if record.usage.output_tokens is not None:
        yield count(record.usage.output_tokens, "token")
    elif record.stream:
        yield "- tokens"
    yield money(record.cost) if record.cost is not None else "cost -"


def footnotes(record: RequestRecord, fall: Waterfall, unit: DurationUnit) -> Iterator[str]:
    """Return an explanation of every `-`, and of every figure that is less than it seems."""
    if record.usage.output_tokens is None:
        estimate = record.output_tokens_estimate
        guess = f", about {count(estimate, 'token')} by the chunks seen (an estimate)" if estimate is not None else ""
        yet = " yet" if record.outcome is None else ""
        yield f"tokens -: no usage came{yet}{guess}; so the cost is not known either"
    elif record.cost is None:
        yield "cost -: not known for this request"
    if record.cost_estimate:
        yield f"about {money(record.cost_estimate)} beside the cost, for {_estimated(record)} (an estimate)"
    if record.usage.output_tokens and record.tpot is None and record.phases.total():
        yield f"tokens/s -: {_no_speed(record)}"
    if record.first_token_read_ns is not None:
        late = unit.full(record.first_token_read_ns)
        yield f"first token -: at most {late}; it may have arrived while your own code held control"
    if any(row.length_ns is None for row in fall.group("tool")):
        yield "tool calls -: without a stream nobody sees a call arrive"
    if any(row.length_ns is None for row in fall.group("executed")):
        yield "Groq's tools -: not announced before their output came, or no output came"
    if record.phases_clamped:
        yield "the times Groq reports did not fit into the measured wait; the phases are cut to it"
    if record.duration_ns and not record.phases.total():
        yield "unaccounted: this span comes from another library, which measures no phases"


def _estimated(record: RequestRecord) -> str:
    """Return what an estimate of cost is for."""
    reasons = (
        ("an answer without usage", record.usage.output_tokens is None),
        ("the tools that Groq ran and their models", bool(record.executed_tools)),
        ("attempts that broke off after they were sent", record.retries > 0),
    )
    return " and ".join(reason for reason, holds in reasons if holds) or "what may be billed as well"


def _no_speed(record: RequestRecord) -> str:
    """Return why the speed of generation is not known, though the number of tokens is."""
    reported = not_reported(record)
    if not record.stream:
        return reported
    if record.reads == 1:
        return f"{reported}, and the whole answer came in one read"
    return f"{reported}, and your own code held control while chunks may have arrived"


def gap_count(record: RequestRecord) -> int:
    """Return how many gaps between chunks the quantiles are computed from."""
    return max(0, (record.reads or 0) - 1 - (record.icl_excluded or 0))


def facts(record: RequestRecord, unit: DurationUnit, verdict: Verdict | None = None) -> list[Fact]:
    """Return everything that is known; a label without items is left out."""
    made = {label: tuple(make(record, unit)) for label, make in _MAKERS}
    if verdict is not None:
        made["prompt cache"] += tuple(_prefill(record, unit, verdict))
    return [Fact(label, items) for label, items in made.items() if items]


def _firsts(record: RequestRecord, unit: DurationUnit) -> Iterator[str]:
    if record.stream:
        yield f"first chunk {unit.text(record.ttfc_ns)}"
        yield f"first token {unit.text(record.ttft_ns)}"
    if record.ttfrt_ns is not None:
        yield f"first reasoning {unit.text(record.ttfrt_ns)}"
        yield f"first answer {unit.text(record.ttfot_ns)}"
    if record.last_chunk_ns is not None:
        yield f"last chunk {unit.text(record.last_chunk_ns)}"


def _gaps(record: RequestRecord, unit: DurationUnit) -> Iterator[str]:
    n = gap_count(record)
    if record.icl_p50_ns is not None:
        yield f"n={n:,}"
        yield f"p50 {unit.text(record.icl_p50_ns)}"
        if n >= P99_NEEDS:
            yield f"p99 {unit.text(record.icl_p99_ns)}"
        yield f"max {unit.text(record.icl_max_ns)}"
    if record.icl_excluded:
        yield f"{count(record.icl_excluded, 'gap')} not observed: your own code held control"


def _tokens(record: RequestRecord, unit: DurationUnit) -> Iterator[str]:
    usage = record.usage
    if usage == Usage():
        return
    cached = f" ({count(usage.cached_tokens)} cached)" if usage.cached_tokens else ""
    reasoning = f" ({count(usage.reasoning_tokens)} reasoning)" if usage.reasoning_tokens else ""
    yield f"{count(usage.input_tokens)} in{cached}"
    yield f"{count(usage.output_tokens)} out{reasoning}"
    if record.tpot is not None:
        yield f"{rate(record.output_token_throughput)} tokens/s"
        yield f"{unit.text(record.tpot * 1e9)} each"


def _cost(record: RequestRecord, _: DurationUnit) -> Iterator[str]:
    if record.cost is not None and record.cost_source is not None:
        yield f"{money(record.cost)} by {plain(record.cost_source)}"
    if record.cost_estimate:
        yield f"about {money(record.cost_estimate)} more (an estimate)"


def _prompt_cache(record: RequestRecord, unit: DurationUnit) -> Iterator[str]:
    part, usage = record.cached_share, record.usage
    if part is None:
        return
    yield f"{count(usage.cached_tokens or 0)} of {count(usage.input_tokens, 'token')} cached ({share(part, 1)})"
    if record.cache_saved:
        yield f"saved {money(record.cache_saved)}"
    if record.cache_miss is not None:
        missed = record.cache_missed_tokens
        yield f"missed{f' about {count(missed)}' if missed else ''}: {cache_miss(record)}"
    lost = [money(record.cache_lost)] if record.cache_lost else []
    if prefill_ns := missed_prefill_ns(record):
        lost.append(f"about {unit.full(prefill_ns)} of prefill")
    if lost:
        yield f"lost {' and '.join(lost)}"


def _prefill(record: RequestRecord, unit: DurationUnit, verdict: Verdict) -> Iterator[str]:
    """Return how long Groq took for a prompt that was cached, beside those of the same size that were not."""
    took_ns, uncached_ns = nanoseconds(record.usage.prompt_time), verdict.prefill_uncached_ns
    if took_ns is not None and uncached_ns is not None:
        yield f"prefill {unit.full(took_ns)}, {unit.full(uncached_ns)} for uncached prompts of the same size"


def _deltas(record: RequestRecord, unit: DurationUnit) -> Iterator[str]:
    deltas = record.usage_deltas
    for delta in deltas[:_MANY]:
        tokens = (("in", delta.usage.input_tokens), ("out", delta.usage.output_tokens))
        added = [f"{value:+,} {name}" for name, value in tokens if value is not None]
        yield f"chunk {delta.chunk_index:,} at {unit.text(delta.time_ns)}: {', '.join(added) or 'times only'}"
    more = max(0, len(deltas) - _MANY) + record.usage_deltas_dropped
    if more:
        yield f"and {more:,} more"


def _models(record: RequestRecord, _: DurationUnit) -> Iterator[str]:
    for used in record.usage_models:
        yield f"{visible(used.model, limit=_NAME)} {used.input_tokens:,} in, {used.output_tokens:,} out"


def _limits(record: RequestRecord, _: DurationUnit) -> Iterator[str]:
    limits = record.rate_limits
    for left, of, reset, words in (
        (limits.requests_remaining, limits.requests_limit, limits.requests_reset, "requests a day"),
        (limits.tokens_remaining, limits.tokens_limit, limits.tokens_reset, "tokens a minute"),
    ):
        if left is None and of is None:
            continue
        part = f" ({share(left, of)})" if left is not None and of else ""
        until = f", reset in {seconds(reset)}" if reset is not None else ""
        yield f"{count(left)} of {count(of)} {words} left{part}{until}"
    if record.retry_after is not None:
        yield f"retry after {seconds(record.retry_after)}"


def _named(*facts: tuple[str, object]) -> Iterator[str]:
    """Yield those facts that are known, each after its name."""
    return (f"{name} {plain(value)}" for name, value in facts if value is not None)


def _request(record: RequestRecord, _: DurationUnit) -> Iterator[str]:
    yield from _named(
        ("messages", record.messages),
        ("tools offered", record.tools),
        ("max tokens", record.max_tokens),
        ("temperature", record.temperature),
        ("top p", record.top_p),
        ("frequency penalty", record.frequency_penalty),
        ("presence penalty", record.presence_penalty),
        ("stop", record.stop_sequences or None),
        ("seed", record.seed),
        ("choices", record.choice_count),
        ("output", record.output_type),
        ("reasoning effort", record.reasoning_effort),
        ("reasoning format", record.reasoning_format),
        ("tier asked", record.request_service_tier),
    )
    if record.request_size is not None:
        yield f"body {size(record.request_size)}"
    if record.server_address:
        yield f"to {plain(record.server_address)}" + (f":{record.server_port}" if record.server_port else "")


def _answer(record: RequestRecord, _: DurationUnit) -> Iterator[str]:
    if record.status is not None:
        yield f"HTTP {record.status}"
    if record.error_type is not None:
        yield f"error {plain(record.error_type)}"
    if record.stream_error is not None:
        yield f"Groq said: {plain(record.stream_error)}"
    if record.finish_reasons:
        yield f"finished: {plain(record.finish_reasons)}"
    if record.response_model and record.response_model != record.model:
        yield f"model {plain(record.response_model)}"
    yield from _named(
        ("tier", record.response_service_tier),
        ("region", record.region),
        ("fingerprint", record.system_fingerprint),
    )
    received = record.stream_bytes or record.response_size
    if received is not None:
        yield size(received) + (f" in {count(record.reads, 'read')}" if record.reads is not None else "")
    if record.audio_seconds is not None:
        yield f"audio {seconds(record.audio_seconds)}"


def _ids(record: RequestRecord, _: DurationUnit) -> Iterator[str]:
    return _named(
        ("request", record.request_id or None),
        ("response", record.response_id or None),
        ("trace", record.trace_id or None),
        ("span", record.span_id or None),
        ("service", record.service or None),
    )


_MAKERS: Final[tuple[tuple[str, Callable[[RequestRecord, DurationUnit], Iterator[str]]], ...]] = (
    ("arrivals", _firsts),
    ("gaps", _gaps),
    ("tokens", _tokens),
    ("cost", _cost),
    ("prompt cache", _prompt_cache),
    ("usage deltas", _deltas),
    ("inner models", _models),
    ("rate limits", _limits),
    ("request", _request),
    ("answer", _answer),
    ("ids", _ids),
)
