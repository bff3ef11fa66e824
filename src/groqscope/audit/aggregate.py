"""Records in, summaries out: one pass, and memory that does not grow with the records themselves."""

from collections import Counter
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final

from groqscope.audit.distribution import Values
from groqscope.audit.fields import FAILED, LEFT, PHASES
from groqscope.audit.model import Distribution, ModelSummary, PhaseTotal, ToolSummary, Why
from groqscope.audit.usual import Rows, Usual
from groqscope.audit.verdict import DOING
from groqscope.audit.why import Causes, explain, group_sentence
from groqscope.timeline import RequestRecord

_COUNTS: Final = (
    "requests",
    "streamed",
    "errors",
    "abandoned",
    "retries",
    "retried",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "usage_unknown",
    "cost_unknown",
    "tool_calls",
    "clamped",
)
_MEASURES: Final = ("ttfc", "ttft", "ttfot", "duration", "tpot", "throughput")
_LENGTHS: Final = attrgetter(*PHASES)
_NANOSECONDS: Final = frozenset(_MEASURES) - {"throughput"}


class Group:
    """What is counted of one model."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.error_types: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.cost: float | None = None
        self.measures = {name: Values() for name in _MEASURES}
        self.phases: dict[str, Values] = {}
        self.phased_ns = 0

    def add(self, record: RequestRecord) -> None:
        """Count one record."""
        self._count(record)
        self._count_tokens(record)
        measures = self.measures
        measures["duration"].add(record.duration_ns)
        for name, value in (("ttfc", record.ttfc_ns), ("ttft", record.ttft_ns), ("ttfot", record.ttfot_ns)):
            if value is not None:
                measures[name].add(value)
        tpot = record.tpot
        if tpot is not None:
            measures["tpot"].add(tpot * 1e9)
            if tpot:
                measures["throughput"].add(1 / tpot)
        self._add_phases(record)

    def _count(self, record: RequestRecord) -> None:
        counts, outcome = self.counts, record.outcome
        counts["requests"] += 1
        counts["streamed"] += record.stream
        counts["clamped"] += record.phases_clamped
        counts["tool_calls"] += len(record.tool_calls) + record.tool_calls_dropped
        retries = record.retries
        if retries:
            counts["retries"] += retries
            counts["retried"] += 1
        if outcome is not None:
            self.outcomes[outcome] += 1
        if outcome in FAILED:
            counts["errors"] += 1
            self.error_types[record.error_type or record.stream_error or str(outcome)] += 1
        elif outcome in LEFT:
            counts["abandoned"] += 1

    def _count_tokens(self, record: RequestRecord) -> None:
        counts, usage = self.counts, record.usage
        if usage.input_tokens is None and usage.output_tokens is None:
            counts["usage_unknown"] += 1
        else:
            counts["input_tokens"] += usage.input_tokens or 0
            counts["output_tokens"] += usage.output_tokens or 0
            counts["cached_tokens"] += usage.cached_tokens or 0
            counts["reasoning_tokens"] += usage.reasoning_tokens or 0
        if record.cost is None:
            counts["cost_unknown"] += 1
        else:
            self.cost = (self.cost or 0.0) + record.cost

    def _add_phases(self, record: RequestRecord) -> None:
        known = False
        for name, length in zip(PHASES, _LENGTHS(record.phases), strict=True):
            if length is not None:
                known = True
                values = self.phases.get(name)
                if values is None:
                    values = self.phases[name] = Values()
                values.add(length)
        if known:
            self.phased_ns += record.duration_ns

    def merge(self, other: "Group") -> None:
        """Add another group."""
        self.counts.update(other.counts)
        self.error_types.update(other.error_types)
        self.outcomes.update(other.outcomes)
        if other.cost is not None:
            self.cost = (self.cost or 0.0) + other.cost
        for name, values in other.measures.items():
            self.measures[name].merge(values)
        for name, values in other.phases.items():
            self.phases.setdefault(name, Values()).merge(values)
        self.phased_ns += other.phased_ns

    def summary(self, model: str | None, rows: Sequence[Rows], found: Causes) -> ModelSummary:
        """Freeze into what reports show; `rows` are those of the group, for its verdict."""
        phases = tuple(self._phase(name) for name in PHASES if name in self.phases)
        biggest = max(phases, key=lambda phase: phase.total_ns, default=None)
        counts: dict[str, Any] = {name: self.counts[name] for name in _COUNTS}
        measures: dict[str, Any] = {name: self._distribution(name) for name in _MEASURES}
        return ModelSummary(
            model=model,
            error_types=tuple(self.error_types.most_common()),
            outcomes=tuple(self.outcomes.most_common()),
            phases=phases,
            cost=self.cost,
            verdict=group_sentence(rows, found, None if biggest is None else (DOING[biggest.name], biggest.share)),
            **counts,
            **measures,
        )

    def _distribution(self, name: str) -> Distribution:
        return self.measures[name].distribution("ns" if name in _NANOSECONDS else "tokens/s")

    def _phase(self, name: str) -> PhaseTotal:
        values = self.phases[name]
        total = round(values.total)
        return PhaseTotal(
            name=name,
            total_ns=total,
            share=total / self.phased_ns if self.phased_ns else 0.0,
            requests=values.n,
            p50_ns=values.quantile(0.5),
        )


class Tool:
    """What is counted of one tool."""

    def __init__(self) -> None:
        self.calls = self.requests = self.invalid = self.unchecked = 0
        self.assembly, self.size = Values(), Values()

    def merge(self, other: "Tool") -> None:
        """Add the same tool's calls from elsewhere."""
        self.calls += other.calls
        self.requests += other.requests
        self.invalid += other.invalid
        self.unchecked += other.unchecked
        self.assembly.merge(other.assembly)
        self.size.merge(other.size)

    def summary(self, name: str | None) -> ToolSummary:
        """Freeze into what reports show."""
        return ToolSummary(
            name=name,
            calls=self.calls,
            requests=self.requests,
            assembly=self.assembly.distribution("ns"),
            arguments_size=self.size.distribution("bytes"),
            invalid=self.invalid,
            unchecked=self.unchecked,
        )


class Aggregate:
    """Everything that is counted over a set of records: first all of them are added, then it is asked."""

    def __init__(self) -> None:
        self.groups: dict[str | None, Group] = {}
        self.tools: dict[str | None, Tool] = {}
        self.usual = Usual()
        self._causes = Causes()

    def add(self, record: RequestRecord) -> None:
        """Count one record."""
        group = self.groups.get(record.model)
        if group is None:
            group = self.groups[record.model] = Group()
        group.add(record)
        self.usual.add(record)
        if record.tool_calls:
            self._add_tools(record)

    def merge(self, other: "Aggregate") -> None:
        """Add what was counted elsewhere."""
        for model, group in other.groups.items():
            self.groups.setdefault(model, Group()).merge(group)
        for name, tool in other.tools.items():
            self.tools.setdefault(name, Tool()).merge(tool)
        self.usual.merge(other.usual)

    def _add_tools(self, record: RequestRecord) -> None:
        for name in {call.name for call in record.tool_calls}:
            self.tools.setdefault(name, Tool()).requests += 1
        for call in record.tool_calls:
            tool = self.tools[call.name]
            tool.calls += 1
            tool.invalid += call.arguments_valid is False
            tool.unchecked += call.arguments_valid is None
            tool.size.add(call.arguments_size)
            if call.assembly_ns is not None:
                tool.assembly.add(call.assembly_ns)

    def settle(self) -> None:
        """Put values in order, which is then done where they were read."""
        for group in self.groups.values():
            for values in (*group.measures.values(), *group.phases.values()):
                if values.exact:
                    values.sorted()

    def models(self) -> tuple[ModelSummary, ...]:
        """Give a summary by model, the one that took most time first."""
        ordered = sorted(self.groups.items(), key=lambda item: -item[1].measures["duration"].total)
        return tuple(group.summary(model, self._rows(model), self._causes) for model, group in ordered)

    def model(self, model: str | None) -> ModelSummary | None:
        """Give the summary of one model."""
        group = self.groups.get(model)
        return None if group is None else group.summary(model, self._rows(model), self._causes)

    def total(self) -> ModelSummary:
        """Give a summary over everything."""
        whole = Group()
        for group in self.groups.values():
            whole.merge(group)
        return whole.summary(None, list(self.usual.rows.values()), self._causes)

    def why(self) -> Why:
        """Explain the slow requests."""
        return explain(list(self.usual.rows.values()), self._causes)

    def tool_summaries(self) -> tuple[ToolSummary, ...]:
        """Give a summary by tool, the one most called first."""
        ordered = sorted(self.tools.items(), key=lambda item: (-item[1].calls, item[0] or ""))
        return tuple(tool.summary(name) for name, tool in ordered)

    def _rows(self, model: str | None) -> list[Rows]:
        return [rows for (name, _), rows in self.usual.rows.items() if name == model]
