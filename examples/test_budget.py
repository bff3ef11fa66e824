"""Budgets of time and money in pytest: `pytest examples/test_budget.py`.

Against Groq where there is a key, else against the simulator. The plugin comes with groqscope.
"""

import os
from collections.abc import Iterator

import pytest
from groq import Groq

from groqscope.pytest_plugin import CapturedRecords
from groqscope.simulator import Answer, Delays, Simulator


@pytest.fixture
def client() -> Iterator[Groq]:
    """Return a client of Groq if there is an API key, else of the simulator."""
    if os.environ.get("GROQ_API_KEY"):
        with Groq() as client:
            yield client
        return
    answer = Answer("A short summary of it.", delays=Delays(before_headers=0.05, per_chunk=0.002))
    with Simulator(answer) as simulator, Groq(base_url=simulator.base_url, api_key="none") as client:
        yield client


def summarise(client: Groq, text: str) -> str:
    """The code under test."""
    stream = client.chat.completions.create(
        model="llama-3.1-8b-instant",
        messages=[{"role": "user", "content": f"Summarise in five words: {text}"}],
        stream=True,
    )
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream)


@pytest.mark.groq_budget("ttfc.max < 2s", "duration.max < 10s", "cost.sum < 0.01usd", "errors < 1")
def test_summary_keeps_its_budget(client: Groq) -> None:
    """The test fails when its requests are over."""
    assert summarise(client, "groqscope tells where the time of a request went.")


def test_summary_asks_once(client: Groq, groqscope_records: CapturedRecords) -> None:
    """The records are at hand too."""
    summarise(client, "groqscope tells where the time of a request went.")

    assert len(groqscope_records) == 1
    assert groqscope_records[0].outcome == "completed"
