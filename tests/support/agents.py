"""Agents of pydantic-ai on our model, with what they exported, under somebody's instrumentation or under none."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import logfire
from groq import AsyncGroq
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic_ai import Agent
from pydantic_ai.models.instrumented import InstrumentationSettings

from groqscope import semconv
from groqscope.models.groq import GroqModel
from groqscope.simulator import Served, Simulator
from support.scope import Exported

By = Literal["nobody", "pydantic-ai", "logfire"]
"""Who instruments the agents."""

LLAMA = "llama-3.3-70b-versatile"
GPT = "openai/gpt-oss-120b"


class _ByLogfire(Exported):
    """The providers are logfire's own, as `logfire.configure()` makes them."""

    def __init__(self) -> None:
        """Configure a logfire that is nobody else's."""
        self.options = {}
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.logfire = logfire.configure(
            local=True,
            send_to_logfire=False,
            console=False,
            service_name="tests",
            additional_span_processors=[SimpleSpanProcessor(self.exporter)],
            metrics=logfire.MetricsOptions(additional_readers=[self.reader]),
        )
        self.tracer_provider: Any = self.logfire.config.get_tracer_provider()
        self.meter_provider: Any = self.logfire.config.get_meter_provider()

    @property
    def spans(self) -> list[ReadableSpan]:
        """Everything exported so far, without the spans by which logfire announces others."""
        return [s for s in super().spans if (s.attributes or {}).get("logfire.span_type") != "pending_span"]


class Stage:
    """A simulator, models that talk to it, and what they and their agents export."""

    def __init__(self, exported: Exported, sim: Simulator) -> None:
        self.exported = exported
        self.sim = sim
        self._before = len(sim.settle())
        self._clients: list[AsyncGroq] = []

    def client(self, **options: Any) -> AsyncGroq:
        """Make an instrumented client that does not retry, unless told to."""
        client = self.exported.client("async", self.sim.base_url, **{"max_retries": 0, **options})
        self._clients.append(client)
        return client

    async def close(self) -> None:
        """Close the clients."""
        for client in self._clients:
            await client.close()

    @property
    def served(self) -> list[Served]:
        """What the simulator has answered here."""
        return self.sim.settle()[self._before :]

    def model(self, name: str = LLAMA, **options: Any) -> GroqModel:
        """Make a model."""
        return GroqModel(name, groq_client=self.client(**options))

    def agent(self, model: Any = None, **options: Any) -> Agent[None, Any]:
        """Make an agent with two tools."""
        agent: Agent[None, Any] = Agent(model or self.model(), **options)
        agent.tool_plain(get_weather)
        agent.tool_plain(get_time)
        return agent

    @property
    def chats(self) -> list[ReadableSpan]:
        """The spans that count as an inference, whoever made them."""
        return [s for s in self.exported.spans if (s.attributes or {}).get(semconv.OPERATION_NAME) == "chat"]

    def named(self, start: str) -> list[ReadableSpan]:
        """The spans whose name begins so, in the order in which they began."""
        return sorted((s for s in self.exported.spans if s.name.startswith(start)), key=lambda s: s.start_time or 0)

    def total(self, metric: str, **attributes: str) -> float | None:
        """Sum up a metric; `None` when there is no point."""
        points = [
            p
            for p in self.exported.metrics().get(metric, ())
            if all(p.attributes[key.replace("__", ".")] == value for key, value in attributes.items())
        ]
        return sum(_amount(p) for p in points) if points else None

    def count(self, metric: str) -> int:
        """Count what a histogram holds."""
        return sum(p.count for p in self.exported.metrics().get(metric, ()))


def _amount(point: Any) -> float:
    return point.sum if hasattr(point, "sum") else point.value


async def get_weather(city: str) -> str:
    """Tell the weather."""
    return f"rain in {city}"


def get_time(zone: str) -> str:
    """Tell the time."""
    return f"noon in {zone}"


@asynccontextmanager
async def stage(by: By, sim: Simulator) -> AsyncIterator[Stage]:
    """Set up; afterwards agents are instrumented by nobody again."""
    exported = _ByLogfire() if by == "logfire" else Exported()
    providers: dict[str, Any] = {
        "tracer_provider": exported.tracer_provider,
        "meter_provider": exported.meter_provider,
    }
    if isinstance(exported, _ByLogfire):
        exported.logfire.instrument_pydantic_ai()
    elif by == "pydantic-ai":
        Agent.instrument_all(InstrumentationSettings(**providers))
    made = Stage(exported, sim)
    try:
        yield made
    finally:
        await made.close()
        Agent.instrument_all(False)
        exported.shutdown()
