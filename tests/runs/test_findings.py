"""Why a run was slow: each rule on what it names, and silence where nothing stands out."""

import pytest
from support.runs import MS, request, span, tool

from groqscope.runs import findings_of, run_of


def found(*spans):
    return {f.kind: f for f in findings_of(run_of(spans))}


def test_nothing_stands_out():
    """An agent that asks, runs a quick tool and asks again has no finding."""
    assert (
        found(
            span("a", 0, 1_000),
            request("r1", 5, "a", receive=400, messages=2, calls=[("c", "search", "h")]),
            tool("t", "search", 410, 480, "a", "c"),
            request("r2", 490, "a", receive=505, messages=4),
        )
        == {}
    )


def test_short_run():
    """Whatever its share, what nobody notices is no finding."""
    assert found(span("a", 0, 100), request("r", 0, "a", queue=20), tool("t", "x", 20, 95, "a")) == {}


def test_tool():
    """A tool that the run waited for is named with its time and its executions."""
    finding = found(
        span("a", 0, 2_000),
        request("r1", 0, "a", receive=300),
        tool("t1", "search", 300, 900, "a"),
        tool("t2", "search", 900, 1_500, "a"),
        request("r2", 1_500, "a", receive=500),
    )["tool"]

    assert (finding.name, finding.count, finding.lost_ns) == ("search", 2, 1_200 * MS)
    assert finding.span_ids == ("t1", "t2")


def test_tool_that_ran_beside_another():
    """Only the time that the run waited counts: a tool beside a longer one cost nothing."""
    run = found(
        span("a", 0, 1_000),
        request("r1", 0, "a", receive=100),
        tool("t1", "long", 100, 900, "a"),
        tool("t2", "short", 100, 800, "a"),
        request("r2", 900, "a", receive=100),
    )

    assert run["tool"].name == "long"


def test_sequential_requests():
    """Requests one after the other that did not need each other's answers could have run at once."""
    finding = found(
        span("a", 0, 1_200),
        *(request(f"r{n}", n * 240, "a", receive=230, messages=2) for n in range(5)),
    )["sequential_requests"]

    assert (finding.count, finding.lost_ns) == (5, 4 * 230 * MS)


def test_conversation():
    """Requests whose messages grow carry the answers on: they had to wait."""
    spans = [request(f"r{n}", n * 240, "a", receive=230, messages=2 + 2 * n) for n in range(5)]

    assert "sequential_requests" not in found(span("a", 0, 1_200), *spans)


def test_requests_at_once():
    """Requests that ran at the same time are not one after the other."""
    spans = [request(f"r{n}", n, "a", receive=500, messages=2) for n in range(5)]

    assert "sequential_requests" not in found(span("a", 0, 1_200), *spans)


@pytest.mark.parametrize(("second", "expected"), [("h1", True), ("h2", False)])
def test_repeated_tool(second, expected):
    """The same tool with the same arguments again; told by the hash of the model's calls."""
    kinds = found(
        span("a", 0, 2_000),
        request("r1", 0, "a", receive=300, messages=1, calls=[("c1", "search", "h1")]),
        tool("t1", "search", 300, 600, "a", "c1"),
        request("r2", 600, "a", receive=300, messages=3, calls=[("c2", "search", second)]),
        tool("t2", "search", 900, 1_200, "a", "c2"),
        request("r3", 1_200, "a", receive=800, messages=5),
    )

    assert ("repeated_tool" in kinds) is expected
    if expected:
        assert (kinds["repeated_tool"].lost_ns, kinds["repeated_tool"].count) == (300 * MS, 2)


def test_growing_context():
    """Each request prefills all that was said before."""
    sizes = [(2_000, 50), (8_000, 200), (19_000, 500)]
    spans = [
        request(f"r{n}", n * 700, "a", prefill=prefill, receive=100, tokens=tokens, messages=2 + n)
        for n, (tokens, prefill) in enumerate(sizes)
    ]
    finding = found(span("a", 0, 2_100), *spans)["growing_context"]

    assert (finding.before, finding.after, finding.lost_ns) == (2_000, 19_000, (150 + 450) * MS)


def test_own_code():
    """The program's own code between a tool and the next request."""
    finding = found(
        span("a", 0, 2_000, name="invoke_agent planner"),
        request("r1", 0, "a", receive=300),
        tool("t", "x", 300, 350, "a"),
        request("r2", 1_450, "a", receive=550),
    )["own_code"]

    assert (finding.lost_ns, finding.name) == (1_100 * MS, "invoke_agent planner")


def test_late_end():
    """The answer was there long before the run ended."""
    finding = found(span("a", 0, 5_000), request("r1", 0, "a", receive=3_100))["late_end"]

    assert (finding.before, finding.after, finding.lost_ns) == (3_100 * MS, 5_000 * MS, 1_900 * MS)


def test_retry_and_queue():
    """What retries and Groq's queue took of the run."""
    kinds = found(span("a", 0, 1_000), request("r1", 0, "a", retry=400, queue=300, receive=300))

    assert (kinds["retry"].lost_ns, kinds["queue"].lost_ns) == (400 * MS, 300 * MS)


def test_idle():
    """Time in which no span was open."""
    kinds = found(request("r1", 0, "gone", receive=300), request("r2", 900, "gone", receive=300))

    assert kinds["idle"].lost_ns == 600 * MS
