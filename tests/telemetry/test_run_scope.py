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


def test_with_block(spans, provider):
    """A `with` block is one span, which has all that was said about the run."""
    with run("answer", tracer_provider=provider, **GIVEN):
        assert current_run().name == "answer"

    assert finished(spans) == [("run answer", WHOLE, "UNSET")]
    assert current_run() is None


async def test_async_with_block(spans, provider):
    """Tasks inside `async with`, and threads that carry the context over, are part of the run."""
    async with run("answer", tracer_provider=provider, **GIVEN):
        task = asyncio.create_task(asyncio.sleep(0, result=None))
        await task
        assert (await asyncio.to_thread(current_run)).user == "u-1"

    assert finished(spans) == [("run answer", WHOLE, "UNSET")]


async def test_decorator(spans, provider):
    """Each call of a decorated function, sync or async, is a run of its own, and returns what the function returns."""

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
    """It cannot be decorated, since its body runs in turns with its caller; the error says what to do instead."""
    with pytest.raises(TypeError, match=r"with groqscope\.run"):

        @run("answer")
        def words():
            yield "a"


def test_run_inside_a_run(spans, provider):
    """It is a child of the outer run, and inherits whatever it does not set itself."""
    with run("outer", tracer_provider=provider, **GIVEN), run("inner", tags={"step": "2"}, tracer_provider=provider):
        found = current_run()

    inner, outer = spans.get_finished_spans()
    assert (found.conversation, found.user, dict(found.tags)) == ("c-1", "u-1", {"feature": "search", "step": "2"})
    assert inner.parent.span_id == outer.context.span_id


def test_run_that_raises(spans, provider):
    """The exception passes through; the span has its type, but not its message."""
    with pytest.raises(ValueError, match="secret"), run("answer", tracer_provider=provider):
        raise ValueError("secret")

    [span] = spans.get_finished_spans()
    assert (span.status.status_code.name, span.attributes["error.type"], span.events) == ("ERROR", "ValueError", ())
    assert "secret" not in span.to_json()


@pytest.mark.parametrize("kind", [asyncio.CancelledError, KeyboardInterrupt, GeneratorExit])
def test_interrupted_run(spans, provider, kind):
    """A run that is cancelled or closed says so, and is not an error."""
    with pytest.raises(kind), run("answer", tracer_provider=provider):
        raise kind

    [span] = spans.get_finished_spans()
    assert span.attributes["groqscope.run.interrupted"] is True
    assert span.status.status_code.name == "UNSET"
    assert "error.type" not in span.attributes


def test_same_scope_twice(spans, provider):
    """A scope that is entered twice, also inside itself, is two runs."""
    scope = run("answer", tracer_provider=provider)
    with scope, scope:
        pass
    with scope:
        pass

    assert len(spans.get_finished_spans()) == 3


def test_without_a_provider():
    """Without a provider all spans are the same object; nested entries still leave no context behind."""
    before = otel_context.get_current()
    scope = run("answer", tracer_provider=trace.NoOpTracerProvider())
    with scope, scope:
        assert current_run().name == "answer"

    assert otel_context.get_current() == before


async def test_same_scope_in_tasks(spans, provider):
    """When two tasks enter one scope at once, each ends its own run."""
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
    """A generator that is closed in another context than it was started in ends its run, without a traceback."""

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
def test_invalid_arguments(name, tags):
    """They are rejected when the run is created, not when it is entered."""
    with pytest.raises(TypeError):
        run(name, tags=tags)


@pytest.mark.injects_failure
def test_a_span_that_cannot_be_started_or_ended(monkeypatch, spans, provider):
    """The caller's code runs all the same."""
    monkeypatch.setattr(trace, "get_tracer", lambda *_, **__: 1 / 0)
    before = otel_context.get_current()
    with run("answer", tracer_provider=provider):
        done = True

    assert done
    assert otel_context.get_current() == before
    assert spans.get_finished_spans() == ()
