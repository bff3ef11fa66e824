"""`groqscope.run(...)`: a span around what belongs together, with its name, conversation, user and tags."""

import asyncio

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from groqscope.telemetry.run_scope import current_run, run


@pytest.fixture
def spans():
    return InMemorySpanExporter()


@pytest.fixture
def provider(spans):
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(spans))
    return made


def finished(spans):
    return [(s.name, dict(s.attributes), s.status.status_code.name) for s in spans.get_finished_spans()]


WHOLE = {
    "groqscope.run.name": "answer",
    "gen_ai.conversation.id": "c-1",
    "user.id": "u-1",
    "groqscope.tag.feature": "search",
}
GIVEN = {"conversation": "c-1", "user": "u-1", "tags": {"feature": "search"}}


def test_with(spans, provider):
    """A `with` block is one span that carries all that was said about the run."""
    with run("answer", tracer_provider=provider, **GIVEN):
        assert current_run().name == "answer"

    assert finished(spans) == [("run answer", WHOLE, "UNSET")]
    assert current_run() is None


async def test_async(spans, provider):
    """`async with`, tasks below it and threads that carry the context over see the run."""
    async with run("answer", tracer_provider=provider, **GIVEN):
        task = asyncio.create_task(asyncio.sleep(0, result=None))
        await task
        assert (await asyncio.to_thread(current_run)).user == "u-1"

    assert finished(spans) == [("run answer", WHOLE, "UNSET")]


async def test_decorator(spans, provider):
    """Each call of a decorated function, sync or async, is a run of its own, and its result its caller's."""

    @run("sync", tracer_provider=provider)
    def double(x: int) -> int:
        return 2 * x

    @run("async", tracer_provider=provider)
    async def triple(x: int) -> int:
        await asyncio.sleep(0)
        return 3 * x

    assert [double(1), double(2)] == [2, 4]
    assert await asyncio.gather(triple(1), triple(2)) == [3, 6]
    assert sorted(s.name for s in spans.get_finished_spans()) == ["run async"] * 2 + ["run sync"] * 2
    assert double.__name__ == "double"


def test_generator_function():
    """A generator's body runs in its caller's turns, so it cannot be decorated, and says what to do instead."""
    with pytest.raises(TypeError, match=r"with groqscope\.run"):

        @run("answer")
        def words():
            yield "a"


def test_inherits(spans, provider):
    """A run within a run inherits what it does not say, and is a child of it."""
    with run("outer", tracer_provider=provider, **GIVEN), run("inner", tags={"step": "2"}, tracer_provider=provider):
        found = current_run()

    inner, outer = spans.get_finished_spans()
    assert (found.conversation, found.user, dict(found.tags)) == ("c-1", "u-1", {"feature": "search", "step": "2"})
    assert inner.parent.span_id == outer.context.span_id


def test_error(spans, provider):
    """An exception passes through; the span says its type, and nothing of what it says."""
    with pytest.raises(ValueError, match="secret"), run("answer", tracer_provider=provider):
        raise ValueError("secret")

    [span] = spans.get_finished_spans()
    assert (span.status.status_code.name, span.attributes["error.type"], span.events) == ("ERROR", "ValueError", ())
    assert "secret" not in span.to_json()


@pytest.mark.parametrize("kind", [asyncio.CancelledError, KeyboardInterrupt, GeneratorExit])
def test_interrupted(spans, provider, kind):
    """A run that is cancelled or closed says so, and is no error."""
    with pytest.raises(kind), run("answer", tracer_provider=provider):
        raise kind

    [span] = spans.get_finished_spans()
    assert span.attributes["groqscope.run.interrupted"] is True
    assert span.status.status_code.name == "UNSET"
    assert "error.type" not in span.attributes


def test_same_scope_again(spans, provider):
    """One scope entered twice, also within itself, is two runs."""
    scope = run("answer", tracer_provider=provider)
    with scope, scope:
        pass
    with scope:
        pass

    assert len(spans.get_finished_spans()) == 3


def test_without_a_provider():
    """With no provider, where every span is the same, nested entries leave no context behind."""
    before = otel_context.get_current()
    scope = run("answer", tracer_provider=trace.NoOpTracerProvider())
    with scope, scope:
        assert current_run().name == "answer"

    assert otel_context.get_current() == before


async def test_same_scope_in_tasks(spans, provider):
    """One scope entered by two tasks at once: each ends its own run."""
    scope = run("answer", tracer_provider=provider)
    first_is_in, second_is_in, first_is_out = (asyncio.Event() for _ in range(3))

    async def first():
        with scope:
            entered = trace.get_current_span().get_span_context().span_id
            first_is_in.set()
            await second_is_in.wait()
        first_is_out.set()
        return entered, trace.get_current_span().get_span_context().is_valid

    async def second():
        await first_is_in.wait()
        with scope:
            entered = trace.get_current_span().get_span_context().span_id
            second_is_in.set()
            await first_is_out.wait()
        return entered, trace.get_current_span().get_span_context().is_valid

    (of_first, left), (of_second, left_too) = await asyncio.gather(first(), second())
    assert [s.context.span_id for s in spans.get_finished_spans()] == [of_first, of_second]
    assert of_first != of_second
    assert not left
    assert not left_too


def test_left_in_another_context(spans, provider, caplog):
    """A generator closed in another context than it was begun in ends its run all the same, without a traceback."""

    def words():
        with run("answer", tracer_provider=provider):
            yield "a"

    import contextvars

    words_ = words()
    contextvars.copy_context().run(next, words_)
    words_.close()

    assert [s.name for s in spans.get_finished_spans()] == ["run answer"]
    assert not caplog.records


def test_bounds(spans, provider):
    """Long texts and many tags are cut, so that no run can make its requests' spans large."""
    with run("n" * 1000, tags={f"t{i:03}": "v" * 1000 for i in range(100)}, tracer_provider=provider):
        pass

    [span] = spans.get_finished_spans()
    assert len(span.attributes) == 1 + 32
    assert {len(v) for v in span.attributes.values()} == {256}


@pytest.mark.parametrize(("name", "tags"), [(None, None), (3, None), ("x", ["a"])])
def test_wrong_arguments(name, tags):
    """What cannot be is said when the run is made, not inside the request."""
    with pytest.raises(TypeError):
        run(name, tags=tags)


@pytest.mark.injects_failure
def test_failure_of_ours(monkeypatch, spans, provider):
    """When the span cannot be begun, or ended, the caller's work is done all the same."""
    monkeypatch.setattr(trace, "get_tracer", lambda *_, **__: 1 / 0)
    before = otel_context.get_current()
    with run("answer", tracer_provider=provider):
        done = True

    assert done
    assert otel_context.get_current() == before
    assert spans.get_finished_spans() == ()
