"""Runs are reported once each as they end, with all that belongs to them, and measured."""

import gc
import os
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from support.scope import ASK, Wire, completion, groq_client

import groqscope
from groqscope.runs import Run
from groqscope.telemetry import metrics, observer_of, run_observer, worker
from groqscope.telemetry.metrics import shared_metrics

AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}
SEARCH = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}


class Program:
    """A program whose spans are observed."""

    def __init__(self) -> None:
        self.provider = TracerProvider(shutdown_on_exit=False)
        self._runs: list[Run] = []
        self.observer = observer_of(self.provider, lambda run, _: self._runs.append(run))
        self.tracer = self.provider.get_tracer("program")
        wire = Wire(completion)
        self.client = groqscope.instrument(groq_client("sync", http={"transport": wire}), tracer_provider=self.provider)

    def ask(self) -> None:
        self.client.chat.completions.create(**ASK)

    def run(self, name: str, **options: Any) -> Any:
        return groqscope.run(name, tracer_provider=self.provider, **options)

    @property
    def runs(self) -> list[Run]:
        worker.drain()
        return self._runs


@pytest.fixture
def program() -> Iterator[Program]:
    made = Program()
    yield made
    made.provider.shutdown()


def test_a_run(program: Program) -> None:
    """A run is reported when it has ended, with its tools, requests and tags."""
    with program.run("answer", tags={"feature": "chat"}):
        program.ask()
        with program.tracer.start_as_current_span("execute_tool search", attributes=SEARCH):
            pass
        program.ask()

    (run,) = program.runs
    assert (run.name, run.tags, len(run.requests)) == ("answer", {"feature": "chat"}, 2)
    assert [tool.name for tool in run.tools] == ["search"]
    assert run.requests[0].phases.total() == run.requests[0].duration_ns
    assert sum(segment.length_ns for segment in run.segments) == run.duration_ns
    assert not run.missing


def test_the_outermost_span_is_the_run(program: Program) -> None:
    """An agent inside a run is part of it; agents one after the other in a trace are separate runs."""
    with program.run("answer"), program.tracer.start_as_current_span("invoke_agent", attributes=AGENT):
        program.ask()
    with program.tracer.start_as_current_span("POST /chat"):
        for _ in range(2):
            with program.tracer.start_as_current_span("invoke_agent planner", attributes=AGENT):
                program.ask()
            assert program.runs

    assert [run.name for run in program.runs] == ["answer", "invoke_agent planner", "invoke_agent planner"]


def test_traces_without_a_marked_run(program: Program) -> None:
    """A server's span with requests is a run; a request alone is not, nor is a trace without requests."""
    with program.tracer.start_as_current_span("POST /chat"):
        program.ask()
    program.ask()
    with program.tracer.start_as_current_span("GET /health"):
        pass

    assert [run.name for run in program.runs] == ["POST /chat"]


def test_memory_is_bounded(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept of open traces is bounded, and nothing is kept of those that ended."""
    monkeypatch.setattr(run_observer, "MAX_TRACES", 2)
    open_spans = [program.tracer.start_span("open", context=trace.Context()) for _ in range(3)]
    with program.run("not kept"):
        program.ask()
    for span in open_spans:
        span.end()
    monkeypatch.setattr(run_observer, "MAX_SPANS", 3)
    with program.run("too long"):
        for _ in range(5):
            program.ask()

    assert program.runs == []
    assert program.observer._traces == {}
    assert program.observer._kept == 0


def test_after_a_fork(program: Program) -> None:
    """A child process has none of its parent's open traces."""
    with program.run("answer"):
        child = os.fork()
        if not child:
            os._exit(0 if not program.observer._traces else 1)
        _, status = os.waitpid(child, 0)
        program.ask()

    assert status == 0
    assert len(program.runs) == 1


@pytest.mark.injects_failure
def test_a_failing_observer(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure of groqscope's loses the run, and does not reach the program."""

    def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(run_observer.RunObserver, "_started", broken)
    monkeypatch.setattr(run_observer.RunObserver, "_ended", broken)
    with program.run("answer"):
        program.ask()

    assert program.runs == []


def test_metrics_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Durations by outcome and parts by kind add up and have exemplars; other attributes only by name, and limited."""
    monkeypatch.setenv("GROQSCOPE_METRIC_ATTRIBUTES", "groqscope.run.name, groqscope.tag.feature")
    monkeypatch.setenv("OTEL_METRICS_EXEMPLAR_FILTER", "trace_based")
    monkeypatch.setattr(metrics, "MAX_VALUES", 3)
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    program = Program()
    program.provider.add_span_processor(groqscope.run_metrics(meters))
    with program.run("answer", user="u-1", conversation="c-1", tags={"feature": "chat", "other": "x"}):
        program.ask()
    for number in range(5):
        with program.run(f"run {number}"):
            program.ask()
    interrupted = program.run("answer")
    with interrupted:
        program.ask()
        interrupted.__exit__(KeyboardInterrupt, None, None)
    worker.drain()

    points = measured(reader)
    durations = points["groqscope.run.duration"]
    first = next(point for point in durations if point.attributes.get("groqscope.tag.feature") == "chat")
    assert first.attributes == {
        "groqscope.run.name": "answer",
        "groqscope.tag.feature": "chat",
        "groqscope.run.outcome": "completed",
    }
    assert first.exemplars[0].trace_id == int(program.runs[0].trace_id, 16)
    assert first.exemplars[0].span_id == int(program.runs[0].span_id or "0", 16)
    assert {point.attributes["groqscope.run.outcome"] for point in durations} == {"completed", "interrupted"}
    assert len({point.attributes["groqscope.run.name"] for point in durations}) == 3 + 1
    parts = [point for point in points["groqscope.run.part.time"] if "groqscope.tag.feature" in point.attributes]
    assert {point.attributes["groqscope.run.part"] for point in parts} == {"model", "own"}
    assert sum(point.sum for point in parts) == pytest.approx(first.sum)
    program.provider.shutdown()
    meters.shutdown()


def test_no_attributes_unless_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name, user, conversation and tags are attributes of a metric only if they were named."""
    monkeypatch.delenv("GROQSCOPE_METRIC_ATTRIBUTES", raising=False)
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    program = Program()
    program.provider.add_span_processor(groqscope.run_metrics(meters))
    with program.run("answer", user="u-1", conversation="c-1", tags={"feature": "chat"}):
        program.ask()
    worker.drain()

    names = {name for points in measured(reader).values() for point in points for name in point.attributes}
    assert names == {"groqscope.run.outcome", "groqscope.run.part"}
    program.provider.shutdown()
    meters.shutdown()


def measured(reader: InMemoryMetricReader) -> dict[str, list[Any]]:
    data: Any = reader.get_metrics_data()
    metrics = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
    return {
        metric.name: list(metric.data.data_points) for metric in metrics if metric.name.startswith("groqscope.run.")
    }


def test_a_provider_is_not_kept() -> None:
    """The observer of a provider is released together with it."""
    provider = TracerProvider(shutdown_on_exit=False)
    observer_of(provider, lambda *_: None)
    gone = weakref.ref(provider)
    del provider
    gc.collect()

    assert gone() is None


def test_a_run_that_is_still_waiting_when_metrics_are_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its instruments exist by then: to create them during a collection would block it."""
    monkeypatch.setattr(worker, "start", lambda: None)
    reader = InMemoryMetricReader()
    meters = _Locked(MeterProvider([reader], shutdown_on_exit=False))
    shared = shared_metrics(meters)
    program = Program()
    program.provider.add_span_processor(groqscope.run_metrics(meters))
    with program.run("answer"):
        program.ask()
    with meters.lock:
        flushed = threading.Thread(target=worker.drain, daemon=True)
        flushed.start()
        flushed.join(30)
        assert not flushed.is_alive()

    assert shared_metrics(meters) is shared
    assert [point.count for point in measured(reader)["groqscope.run.duration"]] == [1]
    program.provider.shutdown()
    meters.shutdown()


class _Locked(MeterProvider):
    """A provider that is locked while it is flushed, and not hashable, as Logfire's is."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, inner: MeterProvider) -> None:
        self._inner = inner
        self.lock = threading.Lock()

    def __eq__(self, other: object) -> bool:
        return self is other

    def get_meter(self, *args: Any, **kwargs: Any) -> Any:
        with self.lock:
            return self._inner.get_meter(*args, **kwargs)

    def shutdown(self, timeout_millis: float = 30_000) -> None:
        self._inner.shutdown(timeout_millis)


def test_a_provider_that_is_not_hashable() -> None:
    """It has one observer and one set of instruments, as any other, and none after it is gone."""

    class Provider(TracerProvider):
        __hash__ = None  # type: ignore[assignment]

    provider = Provider(shutdown_on_exit=False)
    observer = observer_of(provider, lambda *_: None)
    assert observer_of(provider, lambda *_: None) is observer
    provider.shutdown()
    kept = weakref.ref(observer)
    del provider, observer
    gc.collect()
    assert kept() is None
