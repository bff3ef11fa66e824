"""How much is done in a request's own thread: counted in calls of our functions, which no machine makes slower."""

import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from support.scope import ASK, Exported

import groqscope
from groqscope.simulator import Answer, Simulator

PACKAGE = str(Path(groqscope.__file__).parent)


def calls_of_ours(exported: Exported, sim: Simulator, body: dict[str, Any]) -> Counter[str]:
    """Calls by function while one request is made that is not streamed, on a connection that is open."""
    sim.play(Answer("Hello!"))
    found: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        # The garbage collector calls us too, whenever it runs.
        if event == "call" and code.co_filename.startswith(PACKAGE) and code.co_name != "_on_collection":
            found[code.co_qualname] += 1

    with exported.client("sync", sim.base_url) as client:
        for _ in range(2):
            client.chat.completions.create(**body)
        sys.setprofile(note)
        try:
            client.chat.completions.create(**body)
        finally:
            sys.setprofile(None)
    return found


@pytest.mark.parametrize(("phase_spans", "most"), [(False, 320), (True, 345)])
def test_a_request_costs_so_many_calls(exported: Exported, sim: Simulator, phase_spans: bool, most: int) -> None:
    """What is built later must not make each request dearer unseen."""
    exported.options["phase_spans"] = phase_spans

    found = calls_of_ours(exported, sim, {**ASK, "model": "openai/gpt-oss-120b"})

    assert found.total() <= most, found.most_common(10)


def test_trace_events_that_tell_nothing_are_passed_over(exported: Exported, sim: Simulator) -> None:
    """Of the ten of a request on an open connection, four are boundaries of phases."""
    found = calls_of_ours(exported, sim, ASK)

    assert (found["Recorder._trace"], found["Recorder._traced"]) == (10, 4)
