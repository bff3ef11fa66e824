"""The verdict on real requests against the simulator: what was injected is named, and nothing else.

These run on the wall clock: what is injected is far above what a machine adds by itself, and an ordinary request that a
busy machine held up all the same (a fifth longer than scripted, or paused) proves nothing and is left out.
"""

import time

import groq
import httpx
import pytest

from groqscope import on_record
from groqscope.audit import MemorySource, Query, Records
from groqscope.instrument import flush, instrument, uninstrument
from groqscope.simulator import Answer, Connection, Delays, Failure, Simulator, Usage

pytestmark = [pytest.mark.slow, pytest.mark.wall_clock]

MODEL = "llama-3.3-70b-versatile"
WORDS = " ".join(["word"] * 40)
SCRIPTED_NS = 170_000_000
HELD_UP_NS = 30_000_000
ORDINARY = Answer(WORDS, delays=Delays(before_headers=0.01, before_first=0.03, per_chunk=0.003))


@pytest.fixture(scope="module")
def plain():
    """A simulator."""
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def records():
    """Records of the requests of a test."""
    found = []
    instrument()
    remove = on_record(found.append)
    yield found
    remove()
    uninstrument()


def client_of(simulator, **options):
    return groq.Groq(base_url=simulator.base_url, api_key="test", **options)


def ask(client, *, each=0.0):
    stream = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hello"}], stream=True)
    for number, _ in enumerate(stream):
        if number % 10 == 0:
            time.sleep(each)


def verdicts(records):
    flush()
    audit = Records(MemorySource(records), Query()).overview(listed=None)
    by_start = sorted(audit.entries, key=lambda entry: entry.record.start_unix_ns)
    return [(entry.record, [cause.code for cause in entry.verdict.causes]) for entry in by_start]


def undisturbed(judged):
    """Return the causes found in the ordinary requests that ran as scripted."""
    return [
        codes
        for record, codes in judged
        if record.duration_ns < 1.2 * SCRIPTED_NS
        and max(record.icl_max_ns or 0, record.phases.consume or 0, record.phases.network or 0) < HELD_UP_NS
    ]


def measured(plain, records, answer, **options):
    """Six ordinary requests, then one with something injected: the causes of each."""
    plain.play([*[ORDINARY] * 7, answer])
    with client_of(plain, **options.pop("client", {})) as client:
        ask(client)  # opens the connection, and warms everything up
        records.clear()
        for _ in range(6):
            ask(client)
        ask(client, **options)
    return verdicts(records)


@pytest.mark.parametrize(
    ("code", "answer", "options"),
    [
        ("queue", Answer(WORDS, delays=Delays(before_headers=0.5, before_first=0.03, per_chunk=0.003)), {}),
        ("prefill", Answer(WORDS, delays=Delays(before_headers=0.01, before_first=0.5, per_chunk=0.003)), {}),
        (
            "network",
            Answer(
                WORDS,
                delays=Delays(before_headers=0.5, before_first=0.03, per_chunk=0.003),
                usage=Usage(queue_time=0.01, prompt_time=0.03),
            ),
            {},
        ),
        (
            "stall",
            Answer(WORDS, delays=Delays(before_headers=0.01, before_first=0.03, per_chunk=0.003, at={20: 0.5})),
            {},
        ),
        ("caller", ORDINARY, {"each": 0.15}),
        (
            "reasoning",
            Answer(
                WORDS, reasoning=["so "] * 160, delays=Delays(before_headers=0.01, before_first=0.03, per_chunk=0.003)
            ),
            {},
        ),
        (
            "long_answer",
            Answer(" ".join(["word"] * 300), delays=Delays(before_headers=0.01, before_first=0.03, per_chunk=0.003)),
            {},
        ),
        ("slow_generation", Answer(WORDS, delays=Delays(before_headers=0.01, before_first=0.03, per_chunk=0.02)), {}),
    ],
)
def test_what_was_injected_is_named(plain, records, code, answer, options):
    """One request in seven differs in one way: its cause is named in it, and none in the others."""
    *ordinary, (_, odd) = measured(plain, records, answer, **options)

    assert odd[0] == code
    assert not any(undisturbed(ordinary))


def test_retries_are_named(plain, records):
    """Two 429s and their back-off."""
    plain.play([ORDINARY, Failure(429, retry_after=0.4), Failure(429, retry_after=0.4), ORDINARY])
    with client_of(plain, max_retries=2) as client:
        ask(client)
        records.clear()
        ask(client)

    assert [codes[0] for _, codes in verdicts(records)] == ["retries"]


def test_a_cold_connection_is_named(records):
    """A TLS handshake that takes as long as the answer; the next request does not pay for it."""
    with (
        Simulator([ORDINARY], tls=True, connections=[Connection(tls_delay=0.4)]) as simulator,
        httpx.Client(verify=simulator.client_tls or False) as http_client,
        client_of(simulator, http_client=http_client) as client,
    ):
        ask(client)
        ask(client)

    (_, cold), warm = verdicts(records)
    assert cold[0] == "cold_connection"
    assert not any(undisturbed([warm]))


def test_nothing_injected_nothing_named(plain, records):
    """Twelve ordinary requests on a warm connection: no cause in any."""
    plain.play(ORDINARY)
    with client_of(plain) as client:
        ask(client)
        records.clear()
        for _ in range(12):
            ask(client)

    judged = undisturbed(verdicts(records))

    assert judged, "nothing ran as scripted"
    assert not any(judged)
