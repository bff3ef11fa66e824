"""What requests cost: by what they were, and about how much where nobody says."""

import contextlib
import importlib.metadata
from typing import Any

import groq
import pytest
from support.scope import Exported

import groqscope
from groqscope.simulator import Answer, Delays, ErrorEvent, Failure, Reset, Simulator, Usage
from groqscope.timeline import RequestRecord

GPT = "openai/gpt-oss-120b"
SOURCE = f"genai-prices {importlib.metadata.version('genai-prices')}"
ASK: dict[str, Any] = {"model": GPT, "messages": [{"role": "user", "content": "Hello? " * 100}]}
TOLD = Usage(prompt_tokens=1_000, completion_tokens=100)
LISTED = 1_000 * 0.15e-6 + 100 * 0.6e-6


def asked(exported: Exported, sim: Simulator, reply: Any, **given: Any) -> RequestRecord:
    """The record of a request, however it ended."""
    sim.play(reply)
    with exported.client("sync", sim.base_url, max_retries=2) as client, contextlib.suppress(groq.APIError):
        client.chat.completions.create(**{**ASK, **given})
    return exported.records[-1]


def test_the_source_and_its_version_stand_beside_a_cost(exported: Exported, sim: Simulator) -> None:
    """In the record and on the span; where there is no cost, neither."""
    record = asked(exported, sim, Answer("Yes.", usage=TOLD))
    assert record.cost == pytest.approx(LISTED)
    assert (record.cost_source, record.cost_estimate) == (SOURCE, None)
    unknown = asked(exported, sim, Answer("Yes.", usage=TOLD), model="nobodys-model")
    assert (unknown.cost, unknown.cost_source, unknown.cost_estimate) == (None, None, None)


@pytest.mark.parametrize(
    ("tier", "times"), [("on_demand", 1), ("flex", 1), ("batch", 0.5), ("performance", None), (None, 1)]
)
def test_the_tier_that_answered_counts(
    exported: Exported, sim: Simulator, tier: str | None, times: float | None
) -> None:
    """Flex as on demand, batch half, an agreed price unknown."""
    record = asked(exported, sim, Answer("Yes.", usage=TOLD, service_tier=tier))
    assert record.cost == (None if times is None else pytest.approx(times * LISTED))


def test_transcriptions_cost_by_the_second_and_speech_by_the_character(exported: Exported, sim: Simulator) -> None:
    """Of 2.5 seconds ten are billed; a length that the answer does not tell is a cost that is not known."""
    sim.play(None)
    with exported.client("sync", sim.base_url) as client:
        for form in ("verbose_json", "json"):
            client.audio.transcriptions.create(
                file=("a.wav", b"RIFF"), model="whisper-large-v3-turbo", response_format=form
            )
        client.audio.speech.create(
            input="Good morning.", model="canopylabs/orpheus-v1-english", voice="x", response_format="wav"
        ).read()
    told, untold, speech = exported.records
    assert told.cost == pytest.approx(10 * 0.04 / 3_600)
    assert (untold.cost, untold.cost_source) == (None, None)
    assert speech.cost == pytest.approx(13 * 22e-6)


def test_an_answer_that_was_left_has_an_estimate(exported: Exported, sim: Simulator) -> None:
    """Its prompt by its size, its output by the chunks that came; the cost itself is not known."""
    sim.play(Answer(["a"] * 20, delays=Delays(at={10: 5.0})))
    with exported.client("sync", sim.base_url) as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        for _, _chunk in zip(range(6), stream, strict=False):
            pass
        stream.close()
    (record,) = exported.records
    assert (record.outcome, record.cost, record.cost_source) == ("closed", None, SOURCE)
    assert record.request_size is not None
    assert record.content_chunks is not None
    expected = record.request_size // 4 * 0.15e-6 + record.content_chunks * 0.6e-6
    assert record.cost_estimate == pytest.approx(expected)


def test_an_attempt_that_broke_off_has_an_estimate_and_one_that_was_refused_has_none(
    exported: Exported, sim: Simulator
) -> None:
    """What was sent may have been processed; a 429 says that it was not."""
    broken = asked(exported, sim, [Reset(), Answer("Yes.", usage=TOLD)])
    assert broken.cost == pytest.approx(LISTED)
    assert broken.cost_estimate == pytest.approx(1_000 * 0.15e-6)
    refused = asked(exported, sim, [Failure(429, retry_after=0.001), Answer("Yes.", usage=TOLD)])
    assert (refused.cost, refused.cost_estimate) == (pytest.approx(LISTED), None)
    failed = asked(exported, sim, Failure(400))
    assert (failed.cost, failed.cost_estimate) == (None, None)


def test_a_stream_that_failed_has_an_estimate(exported: Exported, sim: Simulator) -> None:
    """It was processed until then."""
    sim.play(Answer(["a"] * 20, ending=ErrorEvent(9)))
    with exported.client("sync", sim.base_url) as client, pytest.raises(groq.APIError):
        list(client.chat.completions.create(**ASK, stream=True))
    (record,) = exported.records
    assert record.cost is None
    assert record.cost_estimate


def test_tools_that_groq_ran_make_a_cost_an_estimate(exported: Exported, sim: Simulator) -> None:
    """Their price depends on what no answer tells."""
    tool = {"index": 0, "type": "search", "arguments": "{}", "output": "found"}
    record = asked(exported, sim, Answer("Yes.", usage=TOLD, executed_tools=[tool]))
    assert record.cost is None
    assert record.cost_estimate == pytest.approx(LISTED + 0.005)


def test_the_record_of_a_request_that_runs_has_no_cost_yet(exported: Exported, sim: Simulator) -> None:
    """Nor an estimate: it is not over."""
    sim.play(Answer(["a"] * 20))
    with exported.client("sync", sim.base_url) as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        next(iter(stream))
        running = groqscope.record_of(stream)
        stream.close()
    assert running is not None
    assert (running.cost, running.cost_estimate) == (None, None)
