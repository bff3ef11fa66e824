"""Records summed up: counts, shares, causes over many, and memory that does not grow."""

import tracemalloc
from dataclasses import replace

import pytest
from support.traffic import MODEL, MS, START, failed, request, retried, traffic, with_tool

from groqscope.audit import MemorySource, NoRequests, Query, Records, overview
from groqscope.timeline import Phases, Usage


def audit(records, query=None, **options):
    return overview(Records(MemorySource(list(records)), query or Query()), **options)


def test_counts_add_up():
    """Requests, errors, tokens, cost and retries of the models add up to those of the whole."""
    records = list(traffic(500))
    report = audit(records)

    assert report.total.requests == 500 == sum(m.requests for m in report.models)
    assert report.total.errors == sum(r.outcome == "error" for r in records)
    assert report.total.input_tokens == sum(r.usage.input_tokens or 0 for r in records)
    assert report.total.retries == sum(r.retries for r in records)
    assert report.total.cost == pytest.approx(sum(r.cost or 0 for r in records))
    assert report.total.cost == pytest.approx(sum(m.cost or 0 for m in report.models))
    assert report.total.error_types == (("rate_limit_exceeded", report.total.errors),)


def test_phases_conserve_the_duration():
    """Phase shares sum to 1, phase totals to the summed durations."""
    records = list(traffic(300))
    report = audit(records)

    assert sum(p.total_ns for p in report.total.phases) == sum(r.duration_ns for r in records)
    assert sum(p.share for p in report.total.phases) == pytest.approx(1)


def test_the_whole_equals_one_group():
    """Quantiles over everything are those of one group with all values in it."""
    records = list(traffic(400))
    apart = audit(records).total
    together = audit(replace(r, model="one") for r in records).models[0]

    assert apart.duration == together.duration
    assert apart.ttfc == together.ttfc
    assert apart.phases == together.phases


def test_unknown_is_not_zero():
    """The summary leaves out unknown usage, cost and first chunk, and counts the requests that lack them."""
    total = audit([failed(n) for n in range(3)]).total

    assert total.cost is None
    assert (total.usage_unknown, total.cost_unknown) == (3, 3)
    assert (total.ttfc.n, total.ttfc.p50) == (0, None)


def test_models_are_listed_by_the_time_they_took():
    """The model that took most time comes first."""
    records = [request(1), *(replace(request(n), model="other") for n in range(3))]

    assert [m.model for m in audit(records).models] == ["other", MODEL]


def test_the_newest_are_listed():
    """The overview lists the newest, newest first, and says how many it does not list."""
    report = audit(traffic(50), listed=3)

    starts = [e.record.start_unix_ns for e in report.entries]
    assert starts == sorted(starts, reverse=True)
    assert starts[0] == START + 49 * 250 * MS
    assert report.omitted == 47


def test_the_slowest_by_a_phase_are_listed():
    """`slowest` lists by the given field; the statistics are over all requests."""
    report = audit(traffic(200), Query(slowest=4, by="queue"))

    queues = [e.record.phases.queue or 0 for e in report.entries]
    assert queues == sorted(queues, reverse=True)
    assert len(queues) == 4
    assert report.total.requests == 200
    assert report.provenance.selection.by == "phase.queue"


def test_the_last_are_selected():
    """`last` counts only the newest, whatever order they come in."""
    report = audit(reversed(list(traffic(50))), Query(last=10))

    assert report.total.requests == 10
    assert report.provenance.first_unix_ns == START + 40 * 250 * MS


def test_tools():
    """Calls are counted by tool, with their waiting time and what was not JSON."""
    tools = audit([with_tool(1), with_tool(2, valid=False), with_tool(3, "search", assembly_ns=MS)]).tools

    assert [(t.name, t.calls, t.requests, t.invalid) for t in tools] == [("get_weather", 2, 2, 1), ("search", 1, 1, 0)]
    assert tools[0].assembly.p50 == 60 * MS


def test_why_lists_the_causes_of_the_slow_ones():
    """The causes of slow requests are listed biggest share first, with examples to look at."""
    records = [request(n) for n in range(100)]
    records += [request(n, queue=1000 * MS) for n in range(100, 110)]
    records += [retried(n, backoff_ns=300 * MS) for n in range(110, 113)]
    why = audit(records, why=True).why

    assert why.slow == 13
    assert [c.code for c in why.causes] == ["queue", "retries"]
    assert why.causes[0].requests == 10
    assert why.causes[0].share == pytest.approx(why.causes[0].ns / why.slow_ns)
    assert set(why.causes[0].examples) <= {r.request_id for r in records[100:110]}
    assert "in Groq's queue" in why.sentence


@pytest.mark.parametrize(("completion_time", "words"), [(None, "at least 9"), (0.1, "9")])
def test_a_group_says_where_the_callers_delay_is_a_lower_bound(completion_time, words):
    """What one request can say only as "at least", their sum says as "at least" too; where Groq reports, not."""
    records = [request(n) for n in range(100)]
    for n in range(100, 105):
        slow = replace(request(n, consume=9_000 * MS), caller_delay_ns=8_900 * MS)
        records.append(replace(slow, usage=replace(slow.usage, completion_time=completion_time)))
    report = audit(records, why=True)
    cause = report.why.causes[0]

    assert (cause.code, cause.is_lower_bound) == ("caller", completion_time is None)
    assert cause.sentence.startswith(words)
    assert f"The biggest cause: {words}" in report.why.sentence
    assert f"Of the time: {words[:-1]}" in report.total.verdict


def test_why_without_slow_requests_names_nothing():
    """Without a cause that stands out, none is named."""
    why = audit([request(n) for n in range(100)], why=True).why

    assert (why.slow, why.causes) == (0, ())
    assert why.sentence == "None of 100 requests is slow."


def test_why_with_too_few_requests_says_so():
    """Three requests are too few for a baseline."""
    why = audit([request(n) for n in range(3)], why=True).why

    assert "3 of 3 requests could not be judged: 5 completed ones" in why.sentence
    assert (why.unjudged, why.slow) == (3, 0)


def test_requests_that_could_not_be_judged_are_counted_beside_the_others():
    """Two requests for another model are not among those that are not slow."""
    odd = [replace(request(n), model="rare") for n in range(100, 102)]
    why = audit([*(request(n) for n in range(20)), *odd], why=True).why

    assert why.unjudged == 2
    assert why.sentence.startswith("None of 20 requests is slow. 2 of 22 requests could not be judged")


def test_a_slow_request_that_nothing_explains():
    """A slow request without a cause is counted as unexplained."""
    odd = replace(request(200), phases=Phases(), duration_ns=2000 * MS, icl_max_ns=None)
    why = audit([*(request(n) for n in range(50)), odd], why=True).why

    assert (why.slow, why.unexplained) == (1, 1)
    assert "No measurement explains it" in why.sentence


def test_the_group_names_what_all_of_it_waits_for():
    """A cause that every request has is named for the group, even if no request is slow."""
    report = audit(request(n, queue=600 * MS) for n in range(30))

    assert "in Groq's queue (30 of 30 requests)" in report.sentence
    assert report.models[0].verdict.startswith("Of the time: ")


def test_a_group_of_ordinary_requests_names_nothing():
    """Where nothing was injected the sentence names the biggest phase."""
    assert "Nothing stands out: 83% of the time receiving" in audit(request(n) for n in range(30)).sentence


def test_foreign_spans_are_counted():
    """Spans without phases are counted as another instrumentation's."""
    foreign = replace(request(1), phases=Phases(), attempts=(), usage=Usage(), icl_max_ns=None)
    report = audit([request(0), foreign])

    assert report.provenance.foreign == 1
    assert sum(p.share for p in report.total.phases) == pytest.approx(1)


def test_nothing_selected_says_what_was_asked():
    """If no request fits, the message repeats the conditions."""
    with pytest.raises(NoRequests, match=r"none of 5 requests fits \(outcome error\): widen the selection"):
        audit((request(n) for n in range(5)), Query(outcomes=("error",)))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_records():
    """Ten thousand requests pass through in a few megabytes: what stays is a row of numbers each."""

    class Endless(MemorySource):
        def read(self, report, **_):
            for number in range(10_000):
                report.records += 1
                yield replace(pattern, start_unix_ns=START + number, span_id=f"{number:016x}")

    pattern = request(1)
    records = Records(Endless([]), Query())
    tracemalloc.start()
    report = overview(records)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert report.total.requests == 10_000
    assert peak < 12_000_000


def test_those_the_caller_left_are_apart_from_errors():
    """Closed, abandoned and cancelled are no errors; a truncated stream is one."""
    outcomes = ("closed", "abandoned", "cancelled", "truncated", "completed")
    total = audit([replace(request(n), outcome=outcome) for n, outcome in enumerate(outcomes)]).total

    assert (total.abandoned, total.errors) == (3, 1)
    assert dict(total.outcomes) == dict.fromkeys(outcomes, 1)


def test_small_causes_are_not_listed():
    """A cause below a hundredth of the slow requests' time is left out of `--why`."""
    records = [request(n) for n in range(100)]
    records += [request(n, queue=100_000 * MS) for n in range(100, 110)]
    records += [request(200, queue=300 * MS, consume=250 * MS)]

    assert [c.code for c in audit(records, why=True).why.causes] == ["queue"]


def test_a_group_of_foreign_spans_says_so():
    """Without phases the verdict says that nothing is known about the time."""
    foreign = replace(request(1), phases=Phases(), attempts=(), usage=Usage(), icl_max_ns=None)

    assert "another instrumentation recorded them" in audit([foreign]).sentence
