"""Spans of other libraries in the store: of traces with a Groq request, so many of each, and none when switched off."""

from pathlib import Path
from typing import Any, cast

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from support.runs import readable, request, span

from groqscope.runs import TraceSpan, run_of
from groqscope.store import LocalSpanExporter, ReadReport, TraceCollector, others, read_traces
from groqscope.store.others import OtherSpans


def ids(spans: list[ReadableSpan]) -> list[str]:
    return [f"{made.span_id:x}" for made in (one.get_span_context() for one in spans) if made is not None]


def made(*spans: TraceSpan) -> list[ReadableSpan]:
    return [readable(one) for one in spans]


ROOT = span("a", 1, 500)
EARLY = span("b", 1, 100, "a")
ASKED = request("c", 100, "a", receive=100)
LATE = span("d", 200, 300, "a")


def test_what_came_before_the_request_waits():
    """A span waits until its trace has a request; then it is written, and so is what follows."""
    store = OtherSpans()

    assert ids(store.select(made(EARLY))) == []
    assert ids(store.select(made(ASKED))) == ["c", "b"]
    assert ids(store.select(made(LATE, ROOT))) == ["d", "a"]


def test_a_trace_without_a_request():
    """Nothing of it is written, and what waits is bounded: the traces that began first are let go."""
    store = OtherSpans()
    for number in range(others.MAX_WAITING + 10):
        one = span(f"{number + 1:x}", 1, 2)
        assert store.select([readable(TraceSpan(**{**fields(one), "trace_id": f"{number + 1:032x}"}))]) == []

    assert store._number == len(store._waiting) == others.MAX_WAITING


def fields(one: TraceSpan) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__dataclass_fields__}


def test_remembered_traces_are_bounded(monkeypatch):
    """Of traces with requests the latest are remembered."""
    monkeypatch.setattr(others, "MAX_TRACES", 3)
    store = OtherSpans()
    for number in range(5):
        store.select([readable(TraceSpan(**{**fields(ASKED), "trace_id": f"{number + 1:032x}"}))])

    assert len(store._known) == 3


def test_too_many_of_a_trace(tmp_path: Path):
    """Beyond the limit spans are left out; the root is written all the same, and the run says how many are missing."""
    exporter = LocalSpanExporter(tmp_path, others=2)
    exporter.export(made(ASKED))
    exporter.export(made(*(span(f"{number:x}", 10, 20, "a") for number in range(0x20, 0x27)), ROOT))
    exporter.shutdown()

    (trace,) = read_traces([tmp_path], ReadReport())
    run = run_of(trace)
    assert len(run.spans) == 4
    assert run.missing == ("5 spans of other libraries were not stored: there were too many",)


def test_switched_off():
    """With 0 only groqscope's own spans are written."""
    assert ids(OtherSpans(0).select(made(EARLY, ASKED, LATE, ROOT))) == ["c"]


def test_a_request_by_another_library():
    """A Groq request that another library wrote is one."""
    theirs = span("e", 1, 100, "a", attributes={"gen_ai.system": "groq", "gen_ai.operation.name": "chat"})

    assert ids(OtherSpans().select(made(EARLY, theirs))) == ["b", "e"]


def test_more_traces_than_fit():
    """A trace that does not fit into memory any more is left out, and the report says so."""
    from groqscope.store.exporters import encode_span_line

    report = ReadReport()
    collector = TraceCollector(report, max_spans=1)
    for number in range(2):
        line = encode_span_line([readable(TraceSpan(**{**fields(ASKED), "trace_id": f"{number + 1:032x}"}))])
        assert line is not None
        collector.read(line, "memory")

    assert len(list(collector.traces())) == 1
    assert "more traces than fit" in str(report.warnings[0])


@pytest.mark.parametrize(("value", "kept"), [(None, 2), ("0", 0), ("1", 1), ("many", 2)])
def test_the_variable(value, kept, tmp_path, monkeypatch):
    """`GROQSCOPE_STORE_OTHERS` says how many; what is no number is passed over."""
    from groqscope.configuration import pipelines, settings
    from groqscope.configuration.environment import Environment

    environment = {} if value is None else {"GROQSCOPE_STORE_OTHERS": value}
    chosen = settings.read(
        endpoint=None, protocol=None, headers=None, directory=tmp_path, environment=Environment(environment)
    )
    (processor,) = pipelines.span_processors(chosen)
    exporter = cast("Any", processor)._batch_processor._exporter
    for one in made(ASKED, EARLY, LATE):
        processor.on_end(one)
    processor.force_flush()
    processor.shutdown()

    assert isinstance(exporter, LocalSpanExporter)
    traces = list(read_traces([tmp_path], ReadReport()))
    assert sum(len(trace) for trace in traces) == 1 + kept
