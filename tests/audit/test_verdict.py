"""Why a request took as long as it did: each injected cause is named, and none where nothing was injected."""

import random
from dataclasses import replace

import pytest
from support.observed import Observed, at
from support.traffic import MS, failed, request, retried, with_tool

from groqscope.audit.baseline import Baseline
from groqscope.audit.rules import BY_CODE, COLUMNS, RULES, measure
from groqscope.audit.verdict import judge
from groqscope.timeline import Phases, Usage

INJECTED = {
    "queue": lambda n: request(n, queue=900 * MS),
    "retries": lambda n: retried(n, backoff_ns=400 * MS),
    "cold_connection": lambda n: request(n, connect=60 * MS, tls=155 * MS),
    "pool_wait": lambda n: request(n, pool_wait=300 * MS),
    "caller": lambda n: request(n, consume=640 * MS),
    "stall": lambda n: request(n, stall=700 * MS),
    "prepare": lambda n: request(n, prepare=250 * MS),
    "send": lambda n: request(n, send=300 * MS),
    "finish": lambda n: request(n, finish=300 * MS),
    "reasoning": lambda n: request(n, reasoning=900 * MS),
    "network": lambda n: request(n, network=500 * MS),
    "prefill": lambda n: request(n, prefill=600 * MS),
    "cache_miss": lambda n: _missed(request(n, prefill=600 * MS)),
    "long_answer": lambda n: request(n, tokens=900),
    "slow_generation": lambda n: replace(_slower(request(n), 4), icl_p50_ns=6 * MS),
    "tool_call": lambda n: _tool_call(n, 500 * MS),
}


def _slower(record, times):
    phases = replace(record.phases, receive=record.phases.receive * times)
    usage = replace(record.usage, completion_time=record.usage.completion_time * times)
    return replace(record, phases=phases, duration_ns=phases.total(), usage=usage)


def _missed(record):
    return replace(record, cache_miss="system", cache_missed_tokens=record.usage.input_tokens, cache_lost=0.0005)


def _tool_call(number, length):
    record = request(number, stall=length)
    return replace(record, tool_calls=with_tool(number, assembly_ns=length).tool_calls)


def usual(count=200):
    """Return a baseline of ordinary requests."""
    baseline = Baseline()
    for number in range(count):
        baseline.add(request(number))
    return baseline


@pytest.fixture(scope="module")
def ordinary():
    """The baseline of requests without any injected cause."""
    return usual()


@pytest.mark.parametrize("code", sorted(INJECTED))
def test_an_injected_cause_is_named(code, ordinary):
    """The cause that was put in is named first, with its length, and no other is."""
    record = INJECTED[code](1000)
    verdict = judge(record, ordinary.of(record))

    assert [cause.code for cause in verdict.causes] == [code]
    cause = verdict.causes[0]
    assert 0 < cause.share <= 1
    assert cause.ns == round(cause.share * record.duration_ns)
    own = "Put what changes behind what stays: system changed, and all behind it was processed again."
    assert cause.advice == (own if code == "cache_miss" else BY_CODE[code].advice)
    assert cause.sentence[1:] in verdict.sentence


def test_every_rule_is_injected():
    """A rule without a scenario here would be a promise without a test."""
    assert set(INJECTED) == {rule.code for rule in RULES}


def test_nothing_is_named_where_nothing_was_injected(ordinary):
    """Of two thousand ordinary requests none gets a cause, and none is slow."""
    verdicts = [judge(request(n), ordinary.of(request(n))) for n in range(5000, 7000)]

    assert [v for v in verdicts if v.causes or v.slow] == []
    assert verdicts[0].sentence.startswith("Nothing stands out: ")


_ALONE = sorted(code for code in INJECTED if BY_CODE[code].absolute is not None)


@pytest.mark.parametrize("code", _ALONE)
def test_a_single_request_is_explained_without_knowing_what_is_usual(code):
    """What one could do without is named by its share alone."""
    verdict = judge(INJECTED[code](1), {})

    assert [cause.code for cause in verdict.causes] == [code]
    assert verdict.usual_ns is None
    assert not verdict.slow


def test_a_miss_of_the_cache_is_named_however_little_time_it_took(ordinary):
    """It cost money: tokens, dollars and the part of the request that changed are in the sentence, last."""
    record = request(1, queue=900 * MS)
    missed = replace(record, cache_miss="message[2]", cache_missed_tokens=64, cache_lost=0.0001)
    verdict = judge(missed, ordinary.of(missed))

    assert [cause.code for cause in verdict.causes] == ["queue", "cache_miss"]
    assert "missing Groq's prompt cache (" in verdict.causes[1].sentence
    assert "about 64 tokens and $0.00010: message[2]" in verdict.causes[1].sentence
    assert 0 < verdict.causes[1].ns < record.phases.prefill
    assert judge(replace(record, cache_miss="too short"), ordinary.of(record)).causes == verdict.causes[:1]


def test_what_expired_says_when_it_was_last_used(ordinary):
    """In hours and minutes."""
    record = replace(request(1), cache_miss="expired", cache_missed_tokens=64, cache_last_used_ns=7_800 * 10**9)
    (cause,) = judge(record, ordinary.of(record)).causes

    assert "expired (last used 2 h 10 m ago)" in cause.sentence
    assert cause.advice.startswith("Groq forgets a prompt two hours after its last use")


def test_several_causes_are_named_biggest_first(ordinary):
    """Two causes in one request: both, in order."""
    record = request(1, queue=400 * MS, consume=900 * MS)
    verdict = judge(record, ordinary.of(record))

    assert [cause.code for cause in verdict.causes] == ["caller", "queue"]


def test_the_sentence_says_share_length_and_what_is_usual(ordinary):
    """The sentence of a verdict contains the figures."""
    record = request(1, queue=900 * MS)
    sentence = judge(record, ordinary.of(record)).sentence

    assert sentence.startswith("Slow: 1.")
    assert "in Groq's queue (90" in sentence
    assert "ms, usually 4.54 ms)" in sentence


@pytest.mark.parametrize(("completion_time", "why"), [(None, "reported no"), (90.0, "is not possible")])
def test_a_delay_of_the_caller_is_the_least_where_groq_reports_no_generation(completion_time, why):
    """The sentence says that the share is a lower bound, and why; where Groq reports its time it says neither."""
    record = replace(request(1, consume=900 * MS), caller_delay_ns=600 * MS)
    unknown = replace(record, usage=replace(record.usage, completion_time=completion_time))
    known, least = judge(record, {}).sentence, judge(unknown, {}).sentence

    assert known == "48% waiting for your own code (600 ms, of 906 ms in your code)."
    assert least.startswith("At least 48% waiting for your own code (600 ms, of 906 ms in your code, Groq")
    assert why in least


@pytest.mark.parametrize(
    ("delay_ns", "reported", "said"),
    [
        (0, True, "which delayed nothing"),
        (12 * MS, True, "which delayed the end by 12.0 ms"),
        (12 * MS, False, "which delayed the end by at least 12.0 ms; Groq reported no completion_time"),
        (0, False, "which may have delayed the end; Groq reported no completion_time"),
    ],
)
def test_your_own_code_that_is_no_cause_is_said_with_what_it_cost(delay_ns, reported, said):
    """Where most of the time was the caller's and nothing stands out, the sentence says what that delayed."""
    record = replace(request(1, consume=900 * MS), caller_delay_ns=delay_ns)
    if not reported:
        record = replace(record, usage=replace(record.usage, completion_time=None))

    assert judge(record, {}).sentence.startswith("Nothing stands out: ")
    assert f"(906 ms, {said})." in judge(record, {}).sentence


def test_retries_are_told_by_kind(ordinary):
    """The sentence mentions two 429s and their back-off."""
    record = retried(1, backoff_ns=400 * MS)

    assert "two 429s, 800 ms of back-off" in judge(record, ordinary.of(record)).sentence


def test_reasoning_is_told_by_tokens(ordinary):
    """The sentence contains the number of reasoning tokens."""
    record = request(1, reasoning=900 * MS)
    record = replace(record, usage=replace(record.usage, reasoning_tokens=1900))

    assert "1,900 reasoning tokens" in judge(record, ordinary.of(record)).sentence


def test_reasoning_that_is_not_streamed(ordinary):
    """Without a stream the reasoning is the share of its tokens in the time of generating."""
    phases = Phases(prepare=MS, send=MS, network=10 * MS, generate=1000 * MS)
    usage = Usage(output_tokens=1000, reasoning_tokens=700, prompt_time=0.01, completion_time=1.0)
    record = replace(
        request(1), stream=False, phases=phases, duration_ns=phases.total(), usage=usage, ttfrt_ns=None, icl_max_ns=None
    )
    cause = judge(record, {}).causes[0]

    assert (cause.code, cause.ns) == ("reasoning", 700 * MS)


def test_a_tool_call_is_no_stall(ordinary):
    """The silent pause in which Groq writes a tool call is not a stall of the stream."""
    record = _tool_call(1, 500 * MS)

    assert [c.code for c in judge(record, ordinary.of(record)).causes] == ["tool_call"]


def test_short_things_are_not_named():
    """Below twenty milliseconds nothing is worth a sentence, whatever its share."""
    phases = Phases(prepare=MS, connect=4 * MS, tls=15 * MS, network=2 * MS, receive=8 * MS)
    record = replace(request(1), phases=phases, duration_ns=phases.total(), icl_max_ns=MS)

    assert judge(record, {}).causes == ()


def test_a_share_that_nobody_notices_is_no_cause():
    """Half of 140 ms in the queue: less than a person notices, unless it is more than usual."""
    phases = Phases(prepare=MS, queue=70 * MS, network=30 * MS, receive=39 * MS)
    record = replace(request(1), phases=phases, duration_ns=phases.total(), icl_max_ns=MS, caller_delay_ns=None)
    often = {"duration": 140.0 * MS, "queue": 70.0 * MS}

    assert judge(record, {}).causes == ()
    assert judge(record, often).causes == ()
    assert [c.code for c in judge(record, {**often, "queue": 5.0 * MS}).causes] == ["queue"]
    long = replace(record, phases=replace(phases, queue=100 * MS), duration_ns=phases.total() + 30 * MS)
    assert [c.code for c in judge(long, {**often, "queue": 100.0 * MS}).causes] == ["queue"]


def test_work_while_groq_generates_is_no_cause(ordinary):
    """A caller that holds control for nearly all of a stream, and delays nothing."""
    base = request(1)
    phases = replace(base.phases, receive=5 * MS, consume=base.phases.receive)
    record = replace(base, phases=phases, duration_ns=phases.total(), caller_delay_ns=14 * MS)
    verdict = judge(record, ordinary.of(record))

    assert verdict.causes == ()
    assert "your own code while the answer was coming" in verdict.sentence


def test_a_failed_attempt_is_not_blamed_for_the_connection_it_opened():
    """Without it the request would have opened the connection itself."""
    record = retried(1, backoff_ns=200 * MS)
    opened = replace(record.attempts[0], connect_ns=50 * MS, tls_ns=70 * MS)
    (cause,) = judge(replace(record, attempts=(opened, *record.attempts[1:])), {}).causes

    assert (cause.code, cause.ns) == ("retries", record.phases.retry - 120 * MS)
    again = replace(record.attempts[-1], connect_ns=50 * MS, tls_ns=70 * MS)
    assert measure(replace(record, attempts=(opened, again)))[COLUMNS.index("retries")] == record.phases.retry


def test_unaccounted_waiting_without_reported_times_is_not_the_network():
    """Where Groq reports no times, the wait holds its own work: the network is not blamed for it."""
    phases = Phases(prepare=MS, network=900 * MS)
    record = replace(request(1), usage=Usage(), phases=phases, duration_ns=phases.total(), icl_max_ns=None)

    assert judge(record, {}).causes == ()


def test_a_failed_request_says_why():
    """The error, and the attempts it took, come first."""
    assert judge(failed(1), {}).sentence == "Failed: rate_limit_exceeded."
    again = replace(retried(1, backoff_ns=300 * MS), outcome="error", error_type="503")
    assert judge(again, {}).sentence.startswith("Failed after 3 attempts: 503. ")


def test_a_request_that_was_left_says_so():
    """A request that the caller ended early is neither failed nor slow."""
    record = replace(request(1), outcome="abandoned")

    assert judge(record, {}).sentence.startswith("Abandoned by the caller after ")


def test_a_foreign_span_is_not_explained():
    """A span without phases is not explained by guessing."""
    record = replace(request(1), phases=Phases(), icl_max_ns=None)

    assert judge(record, {}).sentence.startswith("Its phases are not known")


def test_five_completed_requests_say_what_is_usual():
    """Four are too few, and failed ones say nothing."""
    record = request(9, queue=900 * MS)
    few = usual(4)
    for number in range(20, 40):
        few.add(failed(number))
    enough = usual(5)

    assert judge(record, few.of(record)).usual_ns is None
    assert judge(record, enough.of(record)).usual_ns is not None


def test_streamed_and_not_streamed_are_apart():
    """The baseline of streamed requests does not apply to one that is not streamed."""
    record = replace(request(1), stream=False)

    assert usual().of(record) == {}


def test_what_is_usual_is_bounded():
    """Beyond its limit a group keeps a sample, and its rows weigh more."""
    from groqscope.audit.baseline import Rows

    rows = Rows(limit=50)
    rng = random.Random(1)
    for number in range(500):
        rows.add(measure(request(number, rng=rng)), str(number))

    assert len(list(rows)) == 50
    assert rows.weight == 10
    assert rows.medians["duration"] == pytest.approx(380 * MS, rel=0.1)


def test_what_is_measured_has_its_column():
    """The measurements of a record are in the order of `COLUMNS`."""
    row = dict(zip(COLUMNS, measure(request(1, queue=50 * MS, connect=MS, tls=2 * MS)), strict=True))

    assert row["cold_connection"] == 3 * MS
    assert row["queue"] > 50 * MS
    assert row["completed"] == 1


def test_more_time_without_known_tokens_is_slow_generation(ordinary):
    """Where usage never came, a long answer cannot be told from a slow one: it is called slow."""
    record = replace(request(1, tokens=900), usage=Usage(prompt_time=0.02, queue_time=0.01))

    assert [c.code for c in judge(record, ordinary.of(record)).causes] == ["slow_generation"]


def test_nothing_at_all():
    """A record without a duration or a baseline still gets a sentence."""
    record = replace(request(1), duration_ns=0, phases=Phases())

    assert judge(record, {}).causes == ()


def test_attempts_that_failed_without_a_status():
    """A broken connection is named; back-off is mentioned only if there was some."""
    from groqscope.timeline import Attempt

    record = request(1, retry=900 * MS)
    broken = Attempt(start_ns=0, duration_ns=900 * MS, error_type="ConnectError", backoff_ns=0)
    record = replace(record, attempts=(broken, *record.attempts))

    assert "(900 ms, one ConnectError)" in judge(record, {}).sentence


def test_retries_below_the_sdk():
    """Three exchanges of a transport in one attempt of the SDK's are named as retries, never as sending."""
    seen = Observed().tell(prepared=1, connecting=2, sending=3, sent=4)
    for start in (1_020, 2_030):
        seen.timeline.headers(at(start - 1_000), 429)
        seen.tell(sending=start, sent=start + 1)
    record = seen.tell(headers=2_040).answered(2_041).end(2_041)
    verdict = judge(record, Baseline().of(record))

    assert [cause.code for cause in verdict.causes] == ["retries"]
    assert "two 429s, 2.00 s of back-off" in verdict.sentence
