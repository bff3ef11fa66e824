"""OpenLLMetry, OpenInference and OpenLIT on the same calls: nothing crashes, an inference and its tokens count once."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import groq
import pytest
from openinference.instrumentation.groq import GroqInstrumentor as OpenInference
from opentelemetry.instrumentation.groq import GroqInstrumentor as OpenLLMetry
from opentelemetry.trace import SpanKind
from support.both import Both, Mode, both, each_mode
from support.callers import streamed_text, whole_text
from support.figures import Figure
from support.processes import environment, run
from support.scope import ASK, MODEL, STREAM, groq_client

from groqscope import semconv
from groqscope.instrument import flush
from groqscope.simulator import Answer, Failure, Playable, Simulator
from groqscope.store import decode_traces, read_records
from groqscope.store.exporters import encode_span_line
from groqscope.telemetry import telemetry
from groqscope.telemetry.outer_inference import find_outer_inference
from groqscope.timeline import RequestRecord

TEXT = Answer(["a", "b"])
RETRIED = [Failure(429, retry_after=0.001), TEXT]


@both
async def raw(client: Any) -> str:
    answer = await client.chat.completions.with_raw_response.create(**ASK)
    return (await answer.parse()).choices[0].message.content


@both
async def refused(client: Any) -> str:
    with pytest.raises(groq.AuthenticationError):
        await client.chat.completions.create(**ASK)
    return "ab"


@both
async def _closing(scene: Both, client: Any) -> Any:
    async with client:
        return await scene.asynchronous(client)


def play(scene: Both, mode: Mode, sim: Simulator, script: Playable = TEXT) -> Any:
    """Run a scene against a script."""
    sim.play(script)
    return _closing(mode, scene, groq_client(mode, sim.base_url))


def once(beside: Any) -> RequestRecord:
    """One inference span, and one record, which is none, inside it; the record."""
    (inference,) = beside.inferences
    record, span = beside.exported.only()

    assert inference.instrumentation_scope.name != semconv.SCOPE
    assert (span.name, span.kind, record.nested) == (f"groq.request {MODEL}", SpanKind.INTERNAL, True)
    assert span.parent is not None
    assert span.parent.span_id == inference.context.span_id
    assert span.context.trace_id == inference.context.trace_id
    return record


@each_mode
@pytest.mark.parametrize(
    ("scene", "script"),
    [(whole_text, TEXT), (whole_text, RETRIED), (streamed_text, TEXT), (streamed_text, RETRIED)],
    ids=["whole", "whole, retried", "streamed", "streamed, retried"],
)
def test_openllmetry(scene: Both, script: Playable, mode: Mode, beside: Any, sim: Simulator) -> None:
    """OpenLLMetry's span is the inference, ours the record inside; it measures tokens and duration, we the cost."""
    beside.on(OpenLLMetry())
    assert play(scene, mode, sim, script) == "ab"
    record = once(beside)

    assert beside.tokens() == (record.usage.input_tokens or 0) + (record.usage.output_tokens or 0) > 0
    assert beside.durations() == 1
    assert beside.cost() == pytest.approx(record.cost)
    assert len(record.attempts) == (2 if script is RETRIED else 1)


@each_mode
def test_openllmetry_and_an_error(mode: Mode, beside: Any, sim: Simulator) -> None:
    """A failure is one inference that failed, measured once."""
    beside.on(OpenLLMetry())
    play(refused, mode, sim, Failure(401))
    record = once(beside)

    assert (record.outcome, record.status, beside.durations()) == ("error", 401, 1)


@each_mode
# It takes the answer to be parsed already, and leaves a coroutine behind.
@pytest.mark.filterwarnings("ignore:coroutine 'AsyncAPIResponse.parse' was never awaited:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_openllmetry_and_a_raw_response(mode: Mode, beside: Any, sim: Simulator) -> None:
    """It wraps raw responses too, of which it reads nothing: its span all the same, and ours inside."""
    beside.on(OpenLLMetry())
    assert play(raw, mode, sim) == "ab"
    once(beside)


def test_openllmetry_and_a_stream_left_early(beside: Any, sim: Simulator) -> None:
    """Its span ends before ours does; ours is inside it, whatever the order."""
    beside.on(OpenLLMetry())
    sim.play(TEXT)
    with groq_client("sync", sim.base_url) as client:
        chunks = client.chat.completions.create(**STREAM)
        next(chunks)
        chunks.close()
        del chunks
        flush()
    record = once(beside)

    assert record.outcome == "abandoned"


@each_mode
def test_openllmetry_taken_back(mode: Mode, beside: Any, sim: Simulator) -> None:
    """When it is taken back, the next request is an inference of ours."""
    beside.on(OpenLLMetry())
    play(whole_text, mode, sim)
    beside.off()
    beside.exported.exporter.clear()
    play(whole_text, mode, sim)
    record, span = beside.exported.only()

    assert (span.name, span.kind, record.nested) == (f"chat {MODEL}", SpanKind.CLIENT, False)
    assert [s.context.span_id for s in beside.inferences] == [span.context.span_id]


@each_mode
def test_past_openllmetry(mode: Mode, beside: Any, sim: Simulator) -> None:
    """A call that goes past its wrapper is an inference of ours: nobody else counts it."""
    beside.on(OpenLLMetry())

    @both
    async def posted(client: Any) -> str:
        answer = await client.post("/openai/v1/chat/completions", body=ASK, cast_to=groq.types.chat.ChatCompletion)
        return answer.choices[0].message.content

    assert play(posted, mode, sim) == "ab"
    record, span = beside.exported.only()
    assert (span.kind, record.nested) == (SpanKind.CLIENT, False)


def test_the_audit_counts_once(beside: Any, sim: Simulator) -> None:
    """What is read back from both libraries' spans is one request each."""
    beside.on(OpenLLMetry())
    for scene in (whole_text, streamed_text):
        play(scene, "sync", sim)
    line = encode_span_line(beside.exported.spans)
    assert line is not None

    assert [r.nested for r in decode_traces(line)] == [True, True]


@each_mode
@pytest.mark.parametrize("scene", [whole_text, streamed_text, raw], ids=lambda s: s.name)
def test_openinference(scene: Both, mode: Mode, beside: Any, sim: Simulator) -> None:
    """Its span has names of its own and measures nothing: by OpenTelemetry's names the inference is ours, below it."""
    beside.on(OpenInference())
    assert play(scene, mode, sim) == "ab"
    record, span = beside.exported.only()
    theirs = [s for s in beside.exported.spans if s.instrumentation_scope.name.startswith("openinference")]

    assert [s.context.span_id for s in beside.inferences] == [span.context.span_id]
    assert span.parent is not None
    assert [s.context.span_id for s in theirs] == [span.parent.span_id]
    assert beside.tokens() == (record.usage.input_tokens or 0) + (record.usage.output_tokens or 0)
    assert (beside.durations(), beside.cost()) == (1, pytest.approx(record.cost))


@each_mode
@pytest.mark.parametrize("scene", [whole_text, streamed_text], ids=lambda s: s.name)
@pytest.mark.parametrize("first", [OpenLLMetry, OpenInference], ids=["OpenLLMetry inside", "OpenInference inside"])
def test_both_at_once(first: Callable[[], Any], scene: Both, mode: Mode, beside: Any, sim: Simulator) -> None:
    """Three at once: one inference by OpenTelemetry's names, OpenLLMetry's, and our record."""
    second = OpenInference if first is OpenLLMetry else OpenLLMetry
    beside.on(first(), second())
    assert play(scene, mode, sim) == "ab"
    record = once(beside)

    assert beside.tokens() == (record.usage.input_tokens or 0) + (record.usage.output_tokens or 0)
    assert beside.durations() == 1


def test_openlit(tmp_path: Path, sim: Simulator) -> None:
    """OpenLIT, which lives on global providers, in a program of its own: one inference a request, its own."""
    sim.play(TEXT)
    run(
        tmp_path,
        f"""
        import groq, openlit
        from opentelemetry import metrics, trace
        from support.scope import ASK, STREAM, Exported
        exported = Exported()
        trace.set_tracer_provider(exported.tracer_provider)
        metrics.set_meter_provider(exported.meter_provider)
        groqscope.instrument()
        openlit.init(otlp_endpoint="http://127.0.0.1:9", disabled_instrumentors=["httpx"])
        client = groq.Groq(api_key="test", base_url={sim.base_url!r})
        client.chat.completions.create(**ASK)
        list(client.chat.completions.create(**STREAM))
        chats = [s for s in exported.spans if s.attributes.get("gen_ai.operation.name") == "chat"]
        assert [s.instrumentation_scope.name for s in chats] == ["openlit.instrumentation.groq"] * 2, chats
        assert [r.nested for r in exported.records] == [True, True]
        found = exported.metrics()
        expected = sum(r.usage.input_tokens + r.usage.output_tokens for r in exported.records)
        assert sum(p.sum for p in found["gen_ai.client.token.usage"]) == expected
        assert sum(p.count for p in found["gen_ai.client.operation.duration"]) == 2
        assert "groqscope.cost" not in found
        os._exit(0)
        """,
    )


def test_all_of_them_without_code(tmp_path: Path, sim: Simulator) -> None:
    """`opentelemetry-instrument` loads every instrumentation that is there: one inference, one record a request."""
    sim.play(TEXT)
    program = tmp_path / "app.py"
    program.write_text(
        "import groq\nfrom support.scope import ASK, STREAM\n"
        f"client = groq.Groq(api_key='test', base_url={sim.base_url!r})\n"
        "client.chat.completions.create(**ASK)\nlist(client.chat.completions.create(**STREAM))\n"
    )
    subprocess.run(
        [str(Path(sys.executable).with_name("opentelemetry-instrument")), sys.executable, str(program)],
        env=environment(tmp_path, TRACELOOP_TRACE_CONTENT="false"),
        check=True,
        timeout=60,
    )
    records = list(read_records([tmp_path / "store"]))

    assert [(r.outcome, r.nested) for r in records] == [("completed", True)] * 2


@each_mode
def test_what_looking_costs(mode: Mode, beside: Any, sim: Simulator, figure: Figure, monkeypatch: Any) -> None:
    """Whether somebody is around is known for a few microseconds where OpenLLMetry is, and for less where it is not."""
    took: list[float] = []

    def timed(context: Any) -> Any:
        began = time.perf_counter()
        for _ in range(1_000):
            found = find_outer_inference(context)
        took.append((time.perf_counter() - began) / 1_000)
        return found

    monkeypatch.setattr(telemetry, "find_outer_inference", timed)
    beside.on(OpenLLMetry())
    play(whole_text, mode, sim)
    beside.off()
    play(whole_text, mode, sim)
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "opentelemetry.instrumentation.groq")
        play(whole_text, mode, sim)
    inside, imported, without = (f"{each * 1e6:.2f}" for each in took)
    figure("knowing whose inference it is", f"{without} µs, OpenLLMetry imported {imported} µs, in use {inside} µs")

    assert max(took) < 1e-3
