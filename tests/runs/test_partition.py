"""The partition of a run's wall clock: exact for any tree of spans, and by the critical path."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from groqscope.runs import NotARun, TraceSpan, run_of, runs_of
from groqscope.timeline import PHASE_NAMES, Phases, RequestRecord

TRACE = "0af7651916cd43dd8448eb211c80319c"


def span(span_id: str, start: int, end: int | None, parent: str | None = None, **fields) -> TraceSpan:
    name = fields.pop("name", span_id)
    return TraceSpan(
        trace_id=TRACE, span_id=span_id, parent_id=parent, name=name, start_unix_ns=start, end_unix_ns=end, **fields
    )


def tool(span_id: str, name: str, start: int, end: int, parent: str) -> TraceSpan:
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
    return span(span_id, start, end, parent, attributes=attributes)


def request(span_id: str, start: int, phases: Phases, parent: str | None = None, **facts) -> TraceSpan:
    record = RequestRecord(
        trace_id=TRACE, span_id=span_id, start_unix_ns=start, duration_ns=phases.total(), phases=phases, **facts
    )
    return span(span_id, start, start + phases.total(), parent, record=record)


def shares(run) -> dict[tuple[str, str], int]:
    return {(part.kind, part.name): part.duration_ns for part in run.parts}


@st.composite
def traces(draw) -> list[TraceSpan]:
    """Trees of spans as they come: children before, beyond and beside their parents, parents that never arrived."""
    count = draw(st.integers(1, 25))
    times = st.integers(0, 200)
    spans = []
    for number in range(count):
        known = [f"{n:016x}" for n in range(-1, count)]
        parent = draw(st.sampled_from([None, *known[: number + 1], "ffffffffffffffff"]))
        start = draw(times)
        if draw(st.booleans()):
            lengths = draw(
                st.lists(st.none() | st.integers(0, 40), min_size=len(PHASE_NAMES), max_size=len(PHASE_NAMES))
            )
            spans.append(
                request(f"{number:016x}", start, Phases(**dict(zip(PHASE_NAMES, lengths, strict=True))), parent)
            )
        else:
            end = draw(st.none() | st.integers(0, 300).map(lambda length, start=start: start + length))
            spans.append(span(f"{number:016x}", start, end, parent))
    return draw(st.permutations(spans))


@given(traces())
def test_every_nanosecond_once(spans):
    """Segments adjoin, cover the run whole, and their lengths sum to its duration; so do the parts."""
    for top in [None, *(s.span_id for s in spans)]:
        try:
            run = run_of(spans, top=top)
        except NotARun:
            continue
        at = run.start_unix_ns
        for segment in run.segments:
            assert segment.start_ns == at
            assert segment.end_ns > at
            at = segment.end_ns
        assert at == run.start_unix_ns + run.duration_ns
        assert sum(part.duration_ns for part in run.parts) == run.duration_ns


@given(traces())
def test_order_does_not_matter(spans):
    """The same spans in any order, or twice, are the same runs."""
    assert runs_of(spans) == runs_of(sorted(spans, key=lambda s: s.span_id)) == runs_of([*spans, *spans])


def test_agent():
    """Requests by phase, tools by name, and what is between them is the agent's own code."""
    first = Phases(prepare=1, send=2, queue=10, prefill=20, network=7, receive=60)
    second = Phases(prepare=1, send=2, queue=5, prefill=40, network=2, receive=50)
    run = run_of(
        [
            span("a", 0, 300, name="invoke_agent"),
            request("r1", 5, first, "a"),
            tool("t", "search", 110, 170, "a"),
            request("r2", 190, second, "a"),
        ]
    )

    assert shares(run) == {
        ("model", "prepare"): 2,
        ("model", "send"): 4,
        ("model", "queue"): 15,
        ("model", "prefill"): 60,
        ("model", "network"): 9,
        ("model", "receive"): 110,
        ("tool", "search"): 60,
        ("own", "invoke_agent"): 5 + 5 + 20 + 10,
    }


def test_tools_at_once():
    """Of tools at once the one that ended last decides; what the others would have added is saved time."""
    run = run_of(
        [
            span("a", 0, 100),
            request("r", 0, Phases(receive=10), "a"),
            tool("t1", "slow", 10, 90, "a"),
            tool("t2", "quick", 10, 40, "a"),
            tool("t3", "middle", 20, 60, "a"),
        ]
    )

    assert shares(run) == {("model", "receive"): 10, ("tool", "slow"): 80, ("own", "a"): 10}
    assert run.overlap_saved_ns == 30 + 40
    assert run.overlaps[0].names == ("slow", "quick", "middle")


def test_staggered():
    """Before the one that ended last began, time is with the sibling that was open then."""
    run = run_of(
        [
            span("a", 0, 20),
            tool("t1", "x", 0, 10, "a"),
            tool("t2", "y", 5, 15, "a"),
            request("r", 15, Phases(send=5), "a"),
        ]
    )

    assert shares(run) == {("tool", "x"): 5, ("tool", "y"): 10, ("model", "send"): 5}


def test_agent_within_a_tool():
    """A tool that asks another model is a tool only for its own time."""
    run = run_of(
        [
            span("a", 0, 100),
            tool("t", "delegate", 10, 90, "a"),
            span("b", 20, 80, "t", name="inner agent"),
            request("r", 30, Phases(queue=40), "b"),
        ]
    )

    assert shares(run) == {
        ("model", "queue"): 40,
        ("tool", "delegate"): 20,
        ("own", "a"): 20,
        ("own", "inner agent"): 20,
    }


def test_between_chunks():
    """A streamed request's time in the caller's hands is the run's own code."""
    run = run_of([span("a", 0, 50), request("r", 0, Phases(receive=30, consume=20), "a")])

    assert shares(run) == {("model", "receive"): 30, ("own", "between chunks"): 20}


def test_children_of_a_request():
    """What another library records below a request is part of the request."""
    run = run_of([span("a", 0, 50), request("r", 0, Phases(send=50), "a"), span("h", 5, 45, "r", kind="client")])

    assert shares(run) == {("model", "send"): 50}
    assert [s.span_id for s in run.spans] == ["a", "r"]


def test_parent_that_never_arrived():
    """A trace whose root is not there is a run that says so; where no span is open it is idle."""
    run = run_of([request("r1", 0, Phases(send=10), "gone"), request("r2", 30, Phases(send=10), "gone")])

    assert run.span_id is None
    assert shares(run) == {("model", "send"): 20, ("idle", "idle"): 20}
    assert run.missing == ("a parent span is missing (not sampled, not exported, or still running)",)


def test_still_running():
    """A run whose root has no end lasts to the last moment seen, and says so."""
    run = run_of([span("a", 0, None), request("r1", 10, Phases(send=10), "a")])

    assert run.duration_ns == 20
    assert run.missing == ("1 span has no end: still running, or cut off",)


def test_circle():
    """Spans that are each other's parents do not hang the reader."""
    run = run_of([span("a", 0, 50, "b"), span("b", 10, 40, "a"), request("r", 20, Phases(send=10), "b")])

    assert run.duration_ns == 50


def test_deep():
    """Thousands of spans below each other need no recursion."""
    chain = [span(f"{n}", n, 10_000 - n, f"{n - 1}" if n else None) for n in range(4_000)]
    run = run_of([*chain, request("r", 4_500, Phases(send=10), "3999")])

    assert run.time_in("own") == 10_000 - 10


def test_one_of_each_agent():
    """Two agents in one trace are two runs; what is around them is not."""
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}
    runs = runs_of(
        [
            span("server", 0, 100, kind="server"),
            span("a1", 10, 40, "server", attributes=agent),
            request("r1", 20, Phases(send=10), "a1"),
            span("a2", 50, 90, "server", attributes={**agent, "gen_ai.agent.name": "writer"}),
            request("r2", 60, Phases(send=10), "a2"),
        ]
    )

    assert [(run.agent, run.duration_ns) for run in runs] == [("planner", 30), ("writer", 40)]


def test_no_run():
    """A single request with nothing around it is a request."""
    assert runs_of([request("r", 0, Phases(send=10))]) == []


def test_what_only_requests_know():
    """A user that came as baggage is on the requests alone; where they do not agree, the run has none."""
    told = [
        request(
            f"r{n}",
            n * 300,
            Phases(receive=200),
            "a",
            user="u-1",
            conversation=f"c-{n}",
            tags=(("feature", "x"), ("n", str(n))),
        )
        for n in range(2)
    ]
    top = span("a", 0, 900, name="POST /chat", kind="server")
    made = run_of([top, *told])
    named = run_of([replace(top, attributes={"user.id": "u-0", "groqscope.tag.feature": "y"}), *told])

    assert (made.user, made.conversation, made.tags) == ("u-1", None, {"feature": "x"})
    assert (named.user, named.tags) == ("u-0", {"feature": "y"})
