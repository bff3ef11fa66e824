"""What a request's record says about the run, the agent and the baggage around it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest
from opentelemetry import baggage
from opentelemetry import context as otel_context
from support.both import Mode
from support.scope import ASK, Exported, Wire, completion, http_client

import groqscope
from groqscope.telemetry.metrics import LABELS_VARIABLE, MAX_VALUES, OTHER
from groqscope.telemetry.run_scope import BAGGAGE_VARIABLE

RUN = {"conversation": "c-1", "user": "u-1", "tags": {"feature": "search"}}
WHOLE = ("answer", None, "c-1", "u-1", {"feature": "search"})


def around(record):
    return record.run, record.agent, record.conversation, record.user, dict(record.tags)


def client(exported, mode: Mode = "sync"):
    wire = Wire(completion)
    return exported.client(mode, http_client=http_client(mode, transport=wire))


@pytest.fixture
def with_baggage():
    """Run inside baggage, as the headers of a caller would have brought it."""
    context = otel_context.get_current()
    for name, value in {"session.id": "s-1", "user.id": "u-2", "tenant": "acme", "secret": "x"}.items():
        context = baggage.set_baggage(name, value, context)
    token = otel_context.attach(context)
    yield
    otel_context.detach(token)


def test_request_inside_a_run():
    """It has the run's name, conversation, user and tags; a request outside has none of them."""
    exported = Exported()
    groq = client(exported)
    with groqscope.run("answer", tracer_provider=exported.tracer_provider, **RUN):
        groq.chat.completions.create(**ASK)
    groq.chat.completions.create(**ASK)

    inside, outside = exported.records
    assert around(inside) == WHOLE
    assert around(outside) == (None, None, None, None, {})


async def test_tasks_inside_a_run():
    """Tasks that were started inside a run are inside it; the run is their parent."""
    exported = Exported()
    groq = client(exported, "async")
    async with groqscope.run("answer", tracer_provider=exported.tracer_provider, **RUN):
        await asyncio.gather(*(groq.chat.completions.create(**ASK) for _ in range(3)))

    assert [around(record) for record in exported.records] == [WHOLE] * 3
    run = next(span for span in exported.spans if span.name == "run answer")
    assert {span.parent.span_id for span in exported.record_spans} == {run.context.span_id}


def test_threads_inside_a_run():
    """Threads are inside a run if the context was carried over to them."""
    exported = Exported()
    groq = client(exported)
    with groqscope.run("answer", tracer_provider=exported.tracer_provider, **RUN), ThreadPoolExecutor() as pool:
        pool.submit(copy_context().run, lambda: groq.chat.completions.create(**ASK)).result()

    assert [around(record) for record in exported.records] == [WHOLE]


def test_agent_around_a_request():
    """The current span gives the agent, the conversation and the user, by the names that frameworks use."""
    exported = Exported()
    groq = client(exported)
    attributes = {"gen_ai.agent.name": "planner", "session.id": "s-1", "user.id": "u-2"}
    tracer = exported.tracer_provider.get_tracer("framework")
    with tracer.start_as_current_span("invoke_agent planner", attributes=attributes):
        groq.chat.completions.create(**ASK)

    assert [around(record) for record in exported.records] == [(None, "planner", "s-1", "u-2", {})]


def test_run_takes_precedence_over_agent():
    """What the program says about the run takes precedence over what the framework says."""
    exported = Exported()
    groq = client(exported)
    tracer = exported.tracer_provider.get_tracer("framework")
    attributes = {"gen_ai.agent.name": "planner", "gen_ai.conversation.id": "theirs"}
    with (
        groqscope.run("answer", conversation="mine", tracer_provider=exported.tracer_provider),
        tracer.start_as_current_span("invoke_agent planner", attributes=attributes),
    ):
        groq.chat.completions.create(**ASK)

    assert [around(record) for record in exported.records] == [("answer", "planner", "mine", None, {})]


@pytest.mark.usefixtures("with_baggage")
def test_allowed_baggage(monkeypatch):
    """Only entries that are named are recorded, since baggage may come from anywhere."""
    monkeypatch.setenv(BAGGAGE_VARIABLE, "session.id, tenant,absent")
    exported = Exported()
    client(exported).chat.completions.create(**ASK)

    assert [around(record) for record in exported.records] == [(None, None, "s-1", None, {"tenant": "acme"})]


@pytest.mark.usefixtures("with_baggage")
def test_no_baggage_unless_allowed():
    """Nothing of it is recorded unless it is allowed."""
    exported = Exported()
    client(exported).chat.completions.create(**ASK)

    assert [around(record) for record in exported.records] == [(None, None, None, None, {})]


def test_metrics_have_no_attributes_of_the_run():
    """Users, conversations and tags are not attributes of metrics: each value would be a time series."""
    exported = Exported()
    groq = client(exported)
    with groqscope.run("answer", tracer_provider=exported.tracer_provider, **RUN):
        groq.chat.completions.create(**ASK)

    labels = {key for points in exported.metrics().values() for point in points for key in point.attributes}
    assert not labels & {"user.id", "gen_ai.conversation.id", "groqscope.run.name", "groqscope.tag.feature"}


def test_metric_attributes_that_were_asked_for(monkeypatch):
    """Those that are named are there, with a limited number of values each."""
    monkeypatch.setenv(LABELS_VARIABLE, "groqscope.tag.feature,gen_ai.agent.name,nonsense")
    exported = Exported()
    groq = client(exported)
    for number in range(MAX_VALUES + 5):
        with groqscope.run("answer", tags={"feature": f"f{number}"}, tracer_provider=exported.tracer_provider):
            groq.chat.completions.create(**ASK)

    points = exported.metrics()["gen_ai.client.operation.duration"]
    values = [point.attributes["groqscope.tag.feature"] for point in points]
    assert len(values) == MAX_VALUES + 1
    assert OTHER in values
    assert all("gen_ai.agent.name" not in point.attributes for point in points)
