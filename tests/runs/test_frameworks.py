"""Spans of frameworks' instrumentations that are not where the work was: put below what was around them."""

import pytest
from support.runs import MS, request, span

from groqscope.runs import run_of
from groqscope.timeline import RequestRecord


def theirs(span_id: str, start: int, end: int, parent: str, kind: str, **more: str):
    key = "traceloop.span.kind" if kind == "task" else "openinference.span.kind"
    return span(span_id, start, end, parent, attributes={key: kind, **more})


def lengths(run) -> dict[str, int]:
    return {f"{part.kind} {part.name}": part.duration_ns // MS for part in run.parts}


def parents(run) -> dict[str, str | None]:
    return {one.span_id: one.parent_id for one in run.spans}


def test_a_request_beside_the_framework():
    """OpenInference keeps its spans out of the context, so that a request is a sibling of the whole graph."""
    run = run_of(
        [
            span("run", 0, 1_000),
            theirs("graph", 0, 990, "run", "CHAIN"),
            theirs("node", 100, 500, "graph", "CHAIN"),
            theirs("llm", 120, 480, "node", "LLM"),
            theirs("search", 520, 900, "graph", "TOOL", **{"tool.name": "search"}),
            request("r", 130, "run", queue=300),
        ]
    )

    assert lengths(run)["model queue"] == 300
    assert lengths(run)["tool search"] == 380
    assert parents(run)["r"] == "llm"
    assert run.overlaps == ()


@pytest.mark.parametrize("kind", ["CHAIN", "task"])
def test_a_step_and_what_it_runs(kind):
    """A node's function and the chain that it runs are siblings with the same time: the chain was inside."""
    run = run_of(
        [
            theirs("graph", 0, 1_000, "none", kind),
            theirs("function", 0, 1_000, "graph", kind),
            theirs("chain", 1, 999, "graph", kind),
            request("r", 100, "chain", queue=800),
        ]
    )

    assert lengths(run)["model queue"] == 800
    assert parents(run)["chain"] == "function"
    assert run.overlaps == ()


def test_an_inference_beside_the_request():
    """Where another library wrote the same request as a sibling, the request counts once, inside its span."""
    other = span("other", 90, 410, "node")
    record = RequestRecord(trace_id=other.trace_id, span_id="other", start_unix_ns=90 * MS, duration_ns=320 * MS)
    run = run_of(
        [
            span("node", 0, 500),
            span("other", 90, 410, "node", record=record),
            request("r", 100, "node", queue=300),
        ]
    )

    assert [one.span_id for one in run.requests] == ["r"]
    assert parents(run)["r"] == "other"
    assert sum(lengths(run).values()) == 500


def test_requests_at_once_beside_their_inferences():
    """Each request has the inference that fits; none has that of another."""
    spans = [span("node", 0, 900)]
    for number in range(3):
        at = 100 * number
        spans += [
            theirs(f"llm{number}", at, at + 400, "node", "LLM"),
            request(f"r{number}", at + 10, "node", queue=380),
        ]

    assert {child: parent for child, parent in parents(run_of(spans)).items() if child.startswith("r")} == {
        "r0": "llm0",
        "r1": "llm1",
        "r2": "llm2",
    }


def test_work_at_once_stays_apart():
    """What a program's own spans say is left as it is, though one is inside another's time."""
    run = run_of([span("top", 0, 1_000), span("own", 0, 1_000, "top"), request("r", 100, "top", queue=300)])

    assert parents(run)["r"] == "top"
    assert lengths(run) == {"own own": 1_000}
