"""The metrics of a record.

The worker records histograms and counters after the span has ended: histograms in the span's context, so that exemplars
link to the trace, and counters once for several requests. Counters are synchronous, because an observable counter
starts at its first collection with a value above 0, and Prometheus would miss the first error of each kind. Requests in
flight and gauges are kept here and observed at each collection, which costs a request almost nothing; the callback
first drains the worker's queue, so that a collection includes every request that has ended.
"""

import os
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation

from groqscope import _fork, semconv
from groqscope._version import __version__
from groqscope.runs import PART_KINDS, Run
from groqscope.semconv import Metric
from groqscope.telemetry.background import worker
from groqscope.timeline import RateLimits, RequestRecord

T = TypeVar("T")

MAX_VALUES = 128
"""Limit of distinct values per attribute (model, tool, server, error); later values become `_OTHER`."""
OTHER = "_OTHER"

LABELS_VARIABLE: Final = "GROQSCOPE_METRIC_ATTRIBUTES"
"""Names, separated by commas, of attributes that are written on metrics only when asked for."""
_LABELS: Final[dict[str, Callable[[Any], str | None]]] = {
    semconv.RUN_NAME: attrgetter("run"),
    semconv.AGENT_NAME: attrgetter("agent"),
    semconv.CONVERSATION_ID: attrgetter("conversation"),
    semconv.USER_ID: attrgetter("user"),
}
"""How to read each of them from a record or a run, which have the same fields, except that a run has its own name."""

MetricAttributes = dict[str, str | int]
_Key = tuple[tuple[str, str | int], ...]
_NOWHERE: Final = Context()
"""A context without a span, whatever span is current in the thread that drains the queue."""

_LIMITS: Final = {
    metric.name: {resource: f"{resource}_{suffix}" for resource in ("requests", "tokens")}
    for metric, suffix in (
        (semconv.METRIC_RATELIMIT_LIMIT, "limit"),
        (semconv.METRIC_RATELIMIT, "remaining"),
        (semconv.METRIC_RATELIMIT_RESET, "reset"),
    )
}
"""For each gauge, the field of `RateLimits` by resource."""
_LIMIT_FIELDS: Final = tuple(field for fields in _LIMITS.values() for field in fields.values())

_all: "weakref.WeakSet[Metrics]" = weakref.WeakSet()


class Metrics:
    """The instruments of one meter."""

    def __init__(self, meter: Meter) -> None:
        self._active: dict[int, _Key] = {}
        """Requests in flight, by the identity of the attributes they started with, so that each ends only once."""
        self._ever: set[_Key] = set()
        """Attributes of all requests that were in flight; those without one now are observed as 0."""
        self._limits: dict[_Key, dict[str, float]] = {}
        """The rate limits that Groq reported last, by metric attributes."""
        self._counted: dict[tuple[str, _Key], float] = {}
        """Amounts not yet added to the counters, by metric name and attributes."""
        self._values: dict[str, set[str]] = {}
        self._lock = threading.Lock()
        self._labels = _labels()
        self._histograms: dict[str, Any] = {}
        self._counters: dict[str, Any] = {}
        _all.add(self)
        # Callbacks run in the order of registration: the first one drains the queue.
        active = semconv.METRIC_ACTIVE
        meter.create_observable_up_down_counter(active.name, [self._observe_active], active.unit, active.brief)
        for metric in semconv.METRICS:
            name, unit, brief = metric.name, metric.unit, metric.brief
            if metric.kind == "counter":
                self._counters[name] = meter.create_counter(name, unit, brief)
            elif metric.kind == "histogram":
                self._histograms[name] = meter.create_histogram(
                    name, unit, brief, explicit_bucket_boundaries_advisory=metric.buckets
                )
            elif metric.kind == "gauge":
                meter.create_observable_gauge(name, [self._observe_limits(_LIMITS[name])], unit, brief)

    def _observe_active(self, _options: CallbackOptions) -> Iterator[Observation]:
        worker.drain()
        active = Counter(list(self._active.values()))
        for key in tuple(self._ever):
            yield Observation(active[key], dict(key))

    def _observe_limits(self, fields: Mapping[str, str]) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_options: CallbackOptions) -> Iterator[Observation]:
            with self._lock:
                observed = [
                    (value, {**dict(key), semconv.RATELIMIT_RESOURCE: resource})
                    for key, limits in self._limits.items()
                    for resource, field in fields.items()
                    if (value := limits.get(field)) is not None
                ]
            for value, attributes in observed:
                yield Observation(value, attributes)

        return observe

    def started(self, attributes: MetricAttributes) -> None:
        """Count a request that has started."""
        key = _key(attributes)
        self._ever.add(key)
        self._active[id(attributes)] = key

    def ended(self, attributes: MetricAttributes) -> None:
        """Count a request that has ended; `attributes` are those passed to `started`."""
        self._active.pop(id(attributes), None)

    def internal_error(self, hook: str) -> None:
        """Count a failure of groqscope in a hook."""
        self._counters[semconv.METRIC_INTERNAL_ERRORS.name].add(1, {semconv.HOOK: hook})

    def _count(self, metric: Metric, amount: float, attributes: MetricAttributes) -> None:
        """Sum up the amounts of waiting requests, and add them to the counter at once: each add costs some 10 us."""
        key = metric.name, _key(attributes)
        if not self._counted:
            # Queued after the jobs of the requests that are waiting now. Before adding: an interrupt in between would
            # leave an amount that nothing adds to the counter.
            worker.put_unlocked(self._add_to_counters)
        with self._lock:
            self._counted[key] = self._counted.get(key, 0) + amount

    def _add_to_counters(self) -> None:
        with self._lock:
            counted, self._counted = self._counted, {}
        for (name, key), amount in counted.items():
            self._counters[name].add(amount, dict(key))

    def in_flight(self, operation: str, model: str | None) -> MetricAttributes:
        """Return the attributes of a request in flight."""
        attributes: MetricAttributes = {semconv.OPERATION_NAME: operation, semconv.PROVIDER_NAME: semconv.PROVIDER}
        if model is not None:
            attributes[semconv.REQUEST_MODEL] = self._bounded(semconv.REQUEST_MODEL, model)
        return attributes

    def record(
        self,
        record: RequestRecord,
        gaps: list[int],
        context: Context,
        recorded_elsewhere: Collection[str] = frozenset(),
    ) -> None:
        """Record the metrics of a finished request, except those that another library records: `recorded_elsewhere`."""
        base = self._attributes(record)
        failed = base
        if record.error_type is not None:
            failed = {**base, semconv.ERROR_TYPE: self._bounded(semconv.ERROR_TYPE, record.error_type)}

        def put(metric: Metric, value: float | None, attributes: MetricAttributes = base) -> None:
            if value is not None and metric.name not in recorded_elsewhere:
                self._histograms[metric.name].record(value, attributes, context)

        put(semconv.METRIC_DURATION, record.duration_ns / 1e9, failed)
        self._count(semconv.METRIC_OUTCOMES, 1, {**failed, semconv.OUTCOME: record.outcome or ""})
        put(semconv.METRIC_TTFC, None if record.ttfc_ns is None else record.ttfc_ns / 1e9)
        put(semconv.METRIC_TPOT, record.tpot)
        put(semconv.METRIC_CALLER_DELAY, None if record.caller_delay_ns is None else record.caller_delay_ns / 1e9)
        put(semconv.METRIC_TOKENS, record.usage.input_tokens, {**base, semconv.TOKEN_TYPE: "input"})
        put(semconv.METRIC_TOKENS, record.usage.output_tokens, {**base, semconv.TOKEN_TYPE: "output"})
        if record.cost is not None and semconv.METRIC_COST.name not in recorded_elsewhere:
            self._count(semconv.METRIC_COST, record.cost, base)
        self._cache(record, base)
        if semconv.METRIC_TPOC.name not in recorded_elsewhere:
            self._gaps(gaps, base, context)
        put(semconv.METRIC_QUEUE, record.usage.queue_time)
        put(semconv.METRIC_PROMPT, record.usage.prompt_time)
        put(semconv.METRIC_COMPLETION, record.usage.completion_time)
        for phase, length in record.phases.items():
            put(semconv.METRIC_PHASE, length / 1e9, {**base, semconv.PHASE: phase})
        for call in record.tool_calls:
            if call.assembly_ns is not None:
                name = self._bounded(semconv.TOOL_NAME, call.name) if call.name else OTHER
                put(semconv.METRIC_ASSEMBLY, call.assembly_ns / 1e9, {**base, semconv.TOOL_NAME: name})
        self._attempts(record, base)
        self._rate_limits(record.rate_limits, base)

    def _cache(self, record: RequestRecord, base: MetricAttributes) -> None:
        """Count what the prompt cache did, if the model has one."""
        tokens = record.cacheable_tokens
        if tokens is None:
            return
        cached, missed = record.usage.cached_tokens or 0, record.cache_missed_tokens or 0
        for outcome, number in (("cached", cached), ("missed", missed), ("new", max(0, tokens - cached - missed))):
            self._count(semconv.METRIC_CACHE_TOKENS, number, {**base, semconv.CACHE_OUTCOME: outcome})
        if record.cache_miss is not None:
            # The number of a message would make a series of each.
            reason = record.cache_miss.partition("[")[0]
            self._count(semconv.METRIC_CACHE_MISSES, 1, {**base, semconv.CACHE_MISS: reason})
        for metric, usd in (
            (semconv.METRIC_CACHE_SAVED, record.cache_saved),
            (semconv.METRIC_CACHE_LOST, record.cache_lost),
        ):
            if usd is not None:
                self._count(metric, usd, base)

    def record_run(self, run: Run, context: Context) -> None:
        """Record the metrics of a run that has ended."""
        base: MetricAttributes = {}
        for name, get in self._labels.items():
            value = run.name if name == semconv.RUN_NAME else get(run)
            if value is not None:
                base[name] = self._bounded(name, value)
        outcome = "interrupted" if run.interrupted else "failed" if run.failed else "completed"
        duration = self._histograms[semconv.METRIC_RUN_DURATION.name]
        duration.record(run.duration_ns / 1e9, {**base, semconv.RUN_OUTCOME: outcome}, context)
        part = self._histograms[semconv.METRIC_RUN_PART.name]
        for kind in PART_KINDS:
            length = run.time_in(kind)
            if length:
                part.record(length / 1e9, {**base, semconv.RUN_PART: kind}, context)

    def _gaps(self, gaps: list[int], base: MetricAttributes, context: Context) -> None:
        """Record the gaps of a stream; only the longest, the one worth looking at, has an exemplar."""
        histogram = self._histograms[semconv.METRIC_TPOC.name]
        longest = gaps.index(max(gaps)) if gaps else None
        for place, gap in enumerate(gaps):
            histogram.record(gap / 1e9, base, context if place == longest else _NOWHERE)

    def _attempts(self, record: RequestRecord, base: MetricAttributes) -> None:
        for attempt in record.attempts:
            outcome = self._bounded(semconv.ERROR_TYPE, attempt.error_type) if attempt.error_type else "ok"
            self._count(semconv.METRIC_ATTEMPTS, 1, {**base, semconv.ATTEMPT_OUTCOME: outcome})

    def _rate_limits(self, limits: RateLimits, base: MetricAttributes) -> None:
        reported = {name: value for name in _LIMIT_FIELDS if (value := getattr(limits, name)) is not None}
        if reported:
            with self._lock:
                self._limits.setdefault(_key(base), {}).update(reported)

    def _attributes(self, record: RequestRecord) -> MetricAttributes:
        attributes = self.in_flight(record.operation, record.model)
        if record.response_model is not None:
            attributes[semconv.RESPONSE_MODEL] = self._bounded(semconv.RESPONSE_MODEL, record.response_model)
        if record.server_address is not None:
            attributes[semconv.SERVER_ADDRESS] = self._bounded(semconv.SERVER_ADDRESS, record.server_address)
            if record.server_port is not None:
                attributes[semconv.SERVER_PORT] = record.server_port
        for name, get in self._labels.items():
            value = get(record)
            if value is not None:
                attributes[name] = self._bounded(name, value)
        return attributes

    def forked(self) -> None:
        """Reset in a child process: requests in flight, and the thread that may hold the lock, are the parent's."""
        self._lock = threading.Lock()
        self._active.clear()
        self._ever.clear()
        self._counted.clear()

    def _bounded(self, key: str, value: str) -> str:
        """Return the value, or `_OTHER` once its attribute has too many distinct values."""
        seen = self._values.get(key)
        if seen is not None and value in seen:
            return value
        with self._lock:
            seen = self._values.setdefault(key, set())
            if value in seen or len(seen) < MAX_VALUES:
                seen.add(value)
                return value
        return OTHER


def _key(attributes: MetricAttributes) -> _Key:
    return tuple(sorted(attributes.items()))


def _labels() -> dict[str, Callable[[Any], str | None]]:
    """Return how to read each attribute that was asked for; no others, since each value is a time series of its own."""
    asked = [name.strip() for name in os.environ.get(LABELS_VARIABLE, "").split(",")]
    tags = [name for name in asked if name.startswith(semconv.TAG_PREFIX)]
    return {name: _LABELS[name] for name in asked if name in _LABELS} | {name: _tag(name) for name in tags}


def _tag(name: str) -> Callable[[Any], str | None]:
    tag = name.removeprefix(semconv.TAG_PREFIX)
    return lambda one: dict(one.tags).get(tag)


def _forked() -> None:
    for metrics in tuple(_all):
        metrics.forked()


_fork.register(after_in_child=_forked)


class OnePerProvider(Generic[T]):
    """One value for each provider, by its identity: a provider may be neither hashable nor ours. It lives as long."""

    def __init__(self) -> None:
        self._values: dict[int, tuple[weakref.ref[Any], T]] = {}

    def of(self, owner: object, make: Callable[[], T]) -> T:
        """Return the value of a provider, made at first; each time, if it does not support weak references."""
        key = id(owner)
        known = self._values.get(key)
        if known is not None and known[0]() is owner:
            return known[1]
        made = make()
        with suppress(TypeError):
            self._values[key] = weakref.ref(owner, lambda _: self._values.pop(key, None)), made
        return made


_shared: OnePerProvider[Metrics] = OnePerProvider()


def shared_metrics(provider: MeterProvider) -> Metrics:
    """Return the metrics of a provider, created once: a provider keeps its instruments for as long as it exists.

    Not to be called while metrics are collected: a provider may lock then what creating instruments needs.
    """
    return _shared.of(
        provider, lambda: Metrics(provider.get_meter(semconv.SCOPE, __version__, schema_url=semconv.SCHEMA_URL))
    )
