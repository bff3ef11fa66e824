"""Other instrumentations of the same calls, each switched on for a test and off again.

These tests have an environment of their own (`make compat`): what they need shares entry points with groqscope.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from support.fixtures import exported, sim, simulator
from support.scope import Exported

import groqscope

__all__ = ["beside", "exported", "sim", "simulator"]

ORDERS = ("ours first", "theirs first")


class Beside:
    """Switches instrumentors on beside ours, before or after it."""

    def __init__(self, exported: Exported, order: str) -> None:
        self.exported = exported
        self.order = order
        self._on: list[Any] = []

    def on(self, *instrumentors: Any) -> None:
        """Instrument the process, by all of them and by us."""
        if self.order == "ours first":
            groqscope.instrument(**self.exported.providers)
        for one in instrumentors:
            one.instrument(tracer_provider=self.exported.tracer_provider, meter_provider=self.exported.meter_provider)
            self._on.append(one)
        if self.order == "theirs first":
            groqscope.instrument(**self.exported.providers)

    def off(self) -> None:
        """Take theirs back, the last one first."""
        while self._on:
            self._on.pop().uninstrument()

    @property
    def inferences(self) -> list[Any]:
        """The spans that count as an inference, by the names of OpenTelemetry."""
        return [s for s in self.exported.spans if (s.attributes or {}).get("gen_ai.operation.name") == "chat"]

    def tokens(self) -> int:
        """All tokens that metrics tell of, whoever recorded them."""
        return int(sum(p.sum for p in self.exported.metrics().get("gen_ai.client.token.usage", ())))

    def durations(self) -> int:
        """How many operations metrics tell of."""
        return sum(p.count for p in self.exported.metrics().get("gen_ai.client.operation.duration", ()))

    def cost(self) -> float:
        """All money that ours or theirs tell of."""
        names = ("groqscope.cost", "operation.cost", "gen_ai.usage.cost")
        points = [p for name in names for p in self.exported.metrics().get(name, ())]
        return sum(p.sum if hasattr(p, "sum") else p.value for p in points)


@pytest.fixture(params=ORDERS)
def beside(request: pytest.FixtureRequest, exported: Exported, monkeypatch: pytest.MonkeyPatch) -> Iterator[Beside]:
    """Ours and theirs, in both orders."""
    # Those that write prompts are told not to, so that nobody's content is looked at here.
    monkeypatch.setenv("TRACELOOP_TRACE_CONTENT", "false")
    made = Beside(exported, request.param)
    yield made
    made.off()
    groqscope.uninstrument()
