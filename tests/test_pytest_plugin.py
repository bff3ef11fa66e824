"""The pytest plugin, in sessions of its own against the simulator."""

import pytest
from support.full_records import ordinary_record

from groqscope.pytest_plugin import CapturedRecords

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.slow

_HEAD = """
import groq
import pytest
from groqscope.simulator import Answer, Delays, Failure, Simulator

@pytest.fixture(scope="module")
def sim():
    with Simulator([Answer("one two three", delays=Delays(before_first=0.03))]) as simulator:
        yield simulator

@pytest.fixture
def client(sim):
    with groq.Groq(base_url=sim.base_url, api_key="test", max_retries=0) as client:
        yield client

def ask(client):
    messages = [{"role": "user", "content": "hello"}]
    return client.chat.completions.create(model="llama-3.3-70b-versatile", messages=messages)
"""


@pytest.fixture
def outcomes(pytester, monkeypatch):
    """Run a test file with no other plugin, in a process of its own; return the outcomes."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(tests):
        pytester.makepyfile(_HEAD + tests)
        return pytester.runpytest_subprocess("-p", "groqscope.pytest_plugin", "-q")

    return run


def test_records_are_captured(outcomes):
    """The fixture has the test's requests, in order, and nothing stays instrumented."""
    result = outcomes("""
def test_two(client, groqscope_records):
    ask(client), ask(client)
    assert len(groqscope_records) == 2
    assert groqscope_records[0].usage.output_tokens
    assert groqscope_records.overview().total.requests == 2
    assert groqscope_records.budgets("duration.max < 10s")[0].verdict == "ok"

def test_none(groqscope_records):
    assert groqscope_records == []

def test_nothing_stays():
    from groqscope.instrument import is_instrumented
    assert not is_instrumented(groq.Groq)
""")

    result.assert_outcomes(passed=3)


def test_budgets_are_checked(outcomes):
    """A marked test fails if its requests exceed a budget, and says which, and what was measured."""
    result = outcomes("""
@pytest.mark.groq_budget("duration.max < 10s", "errors < 1", goodput=["e2el:10000"])
def test_kept(client):
    ask(client)

@pytest.mark.groq_budget("duration.max < 1ms", "errors < 1", "requests >= 2")
def test_over(client):
    ask(client)
""")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "groq_budget over: duration.max < 1ms, measured * ms in 1 request",
            "groq_budget over: requests >= 2, measured 1 in 1 request",
            "FAILED * - Failed: groq_budget over: d*",
        ]
    )
    result.stdout.no_fnmatch_line("*over: errors*")


def test_a_repeat_counts_once():
    """A request that is recorded twice, with the same ids, counts once for a budget, as in the audit."""
    record = ordinary_record()
    (requests,) = CapturedRecords([record, record]).budgets("requests <= 1")

    assert (requests.measured, requests.verdict) == (1, "ok")


def test_an_inconclusive_budget_fails(outcomes):
    """Without a request, or with too few for the percentile, the test does not pass."""
    result = outcomes("""
@pytest.mark.groq_budget("duration.max < 10s")
def test_no_request():
    pass

@pytest.mark.groq_budget("duration.p95 < 10s")
def test_too_few(client):
    ask(client)
""")

    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "*inconclusive: duration.max < 10s, measured nothing in 0 requests (no request has duration)",
            "*inconclusive: duration.p95 < 10s, measured nothing in 1 request (p95 needs 20 values, there are 1)",
        ]
    )


def test_a_failing_test_stays_what_it_is(outcomes):
    """The test's own error is the one that is reported."""
    result = outcomes("""
@pytest.mark.groq_budget("duration.max < 1ms")
def test_wrong(client):
    ask(client)
    assert 1 == 2
""")

    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*groq_budget over*")


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ("'ttfc < 1s'", "*groq_budget: which of all values of ttfc*"),
        ("", "*groq_budget without a budget*"),
        ("'errors < 1', limit=3", "*groq_budget takes budgets and goodput=, not limit*"),
        ("goodput='ttft'", "*groq_budget: goodput 'ttft': expected KEY:MILLISECONDS*"),
    ],
)
def test_an_invalid_mark(outcomes, mark, message):
    """A mistake in a mark fails its test with a sentence."""
    result = outcomes(f"""
@pytest.mark.groq_budget({mark})
def test_marked():
    pass
""")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([message])
    result.stdout.no_fnmatch_line("*another exception*")


def test_the_mark_is_known(outcomes):
    """`pytest --strict-markers` accepts the mark, `--markers` explains it."""
    result = outcomes("def test_nothing(): pass")
    result.assert_outcomes(passed=1)


def test_asynchronous_tests(outcomes):
    """An asynchronous test's requests are captured as well."""
    result = outcomes("""
import asyncio

@pytest.mark.groq_budget("requests >= 1")
def test_async(sim, groqscope_records):
    async def main():
        async with groq.AsyncGroq(base_url=sim.base_url, api_key="test") as client:
            stream = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "hello"}], stream=True
            )
            async for _ in stream:
                pass
    asyncio.run(main())
    assert [r.outcome for r in groqscope_records] == ["completed"]
""")

    result.assert_outcomes(passed=1)


def test_budgets_on_runs(outcomes):
    """Runs are seen without a tracer provider, and checked against their budgets."""
    result = outcomes("""
import groqscope

@pytest.mark.groq_budget("run.requests < 3", "run.duration < 30s", "run.failed < 1", "requests < 3")
def test_kept(client):
    with groqscope.run("answer"):
        ask(client), ask(client)

@pytest.mark.groq_budget("run.requests < 2", "run.duration.max < 1ms")
def test_over(client):
    with groqscope.run("answer"):
        ask(client), ask(client)

@pytest.mark.groq_budget("run.requests < 2")
def test_none(client):
    ask(client)
""")

    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*groq_budget over: run.requests < 2, measured 2 in 1 run*"])
    result.stdout.fnmatch_lines(["*groq_budget inconclusive: run.requests < 2, measured nothing in 0 runs*"])
