"""What tests of a program that uses groqscope need: telemetry in memory, made-up records, a clock that is moved.

    from groqscope.testing import InMemoryTelemetry, Story

    with InMemoryTelemetry() as telemetry:
        client = telemetry.instrument(Groq(base_url=sim.base_url, api_key="test"))
        ...
        assert telemetry.records[0].outcome == "completed"

    slow = Story(model="llama-3.3-70b-versatile").issue().headers(900).text(40).used().end()

The answers themselves come from a scripted server, `groqscope.simulator`. Nothing here needs pytest.
"""

from typing import TYPE_CHECKING

from groqscope import _lazy

if TYPE_CHECKING:
    from groqscope.testing.clock import ManualClock
    from groqscope.testing.story import Story
    from groqscope.testing.telemetry import InMemoryTelemetry, record_from

__all__ = ["InMemoryTelemetry", "ManualClock", "Story", "record_from"]

__getattr__, __dir__ = _lazy.attach(
    __name__, {"telemetry": ["InMemoryTelemetry", "record_from"], "clock": ["ManualClock"], "story": ["Story"]}
)
