"""Counts the requests of one model, and the calls of one tool."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from itertools import compress
from typing import Any, Final

from groqscope.audit.baseline import Rows
from groqscope.audit.distribution import EXACT_LIMIT, Values
from groqscope.audit.groups import count_dollars, count_usage, dollars_of
from groqscope.audit.model import Distribution, ModelSummary, PhaseTotal, ToolSummary
from groqscope.audit.table import Table, known
from groqscope.audit.verdict import DOING
from groqscope.audit.why import Causes, group_sentence
from groqscope.timeline import FAILED, LEFT, PHASE_NAMES, ToolCall

_COUNTS: Final = tuple(field.name for field in fields(ModelSummary) if field.type is int)
_DOLLARS: Final = ("cost", "cost_estimate")
MEASURES: Final = tuple(field.name for field in fields(ModelSummary) if field.type is Distribution)
_NANOSECONDS: Final = frozenset(MEASURES) - {"throughput"}


class ModelTally:
    """The requests of one model."""

    def __init__(self, exact: int = EXACT_LIMIT) -> None:
        self._exact = exact
        self.counts: Counter[str] = Counter()
        self.error_types: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.pico_usd: Counter[str] = Counter()
        """By name, in whole millionths of a millionth, so that parts add up; one that is not there is unknown."""
        self.measures = {name: Values(exact) for name in MEASURES}
        self.phases: dict[str, Values] = {}
        self.phased_ns = 0

    def add(self, table: Table) -> None:
        """Count requests."""
        self._count(table)
        count_usage(self.counts, table)
        count_dollars(self.pico_usd, table, _DOLLARS)
        measures = self.measures
        measures["duration"].extend(table.column("duration_ns"))
        for name in ("ttfc", "ttft", "ttfot"):
            measures[name].extend(known(table.column(f"{name}_ns")))
        tpots = known(table.column("tpot"))
        measures["tpot"].extend([tpot * 1e9 for tpot in tpots])
        measures["throughput"].extend([1 / tpot for tpot in tpots if tpot])
        self._add_phases(table)

    def _count(self, table: Table) -> None:
        counts, retries = self.counts, table.column("retries")
        counts["requests"] += len(table)
        counts["streamed"] += sum(table.column("stream"))
        counts["clamped"] += sum(table.column("phases_clamped"))
        counts["tool_calls"] += sum(map(len, table.column("tool_calls"))) + sum(table.column("tool_calls_dropped"))
        counts["retries"] += sum(retries)
        counts["retried"] += sum(map(bool, retries))
        outcomes = Counter(table.column("outcome"))
        del outcomes[None]
        self.outcomes.update(outcomes)
        counts["abandoned"] += sum(outcomes[outcome] for outcome in LEFT)
        counts["errors"] += sum(outcomes[outcome] for outcome in FAILED)
        if not FAILED.isdisjoint(outcomes):
            reasons = zip(*map(table.column, ("outcome", "error_type", "stream_error")), strict=True)
            self.error_types.update(a or b or str(outcome) for outcome, a, b in reasons if outcome in FAILED)

    def _add_phases(self, table: Table) -> None:
        durations = table.column("duration_ns")
        phased = [False] * len(durations)
        for name in PHASE_NAMES:
            lengths = table.column(f"phases.{name}")
            happened = known(lengths)
            if happened:
                self.phases.setdefault(name, Values(self._exact)).extend(happened)
                phased = [one or length is not None for one, length in zip(phased, lengths, strict=True)]
        self.phased_ns += sum(compress(durations, phased))

    def merge(self, other: "ModelTally") -> None:
        """Add the counts of another part of the data."""
        self.counts.update(other.counts)
        self.error_types.update(other.error_types)
        self.outcomes.update(other.outcomes)
        self.pico_usd.update(other.pico_usd)
        for name, values in other.measures.items():
            self.measures[name].merge(values)
        for name, values in other.phases.items():
            self.phases.setdefault(name, Values(self._exact)).merge(values)
        self.phased_ns += other.phased_ns

    def summary(self, model: str | None, rows: Sequence[Rows], causes: Causes) -> ModelSummary:
        """Return the summary for reports; the verdict is made from the measurements in `rows`."""
        phases = tuple(self._phase(name) for name in PHASE_NAMES if name in self.phases)
        biggest = max(phases, key=lambda phase: phase.total_ns, default=None)
        counts: dict[str, Any] = {name: self.counts[name] for name in _COUNTS}
        measures: dict[str, Any] = {name: self._distribution(name) for name in MEASURES}
        return ModelSummary(
            model=model,
            error_types=_most_common(self.error_types),
            outcomes=_most_common(self.outcomes),
            phases=phases,
            cost=dollars_of(self.pico_usd, "cost"),
            cost_estimate=dollars_of(self.pico_usd, "cost_estimate"),
            verdict=group_sentence(rows, causes, None if biggest is None else (DOING[biggest.name], biggest.share)),
            **counts,
            **measures,
        )

    def settle(self) -> None:
        """Sort the values now, so that child processes do it in parallel."""
        for values in (*self.measures.values(), *self.phases.values()):
            if values.exact:
                values.sorted()

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


def _most_common(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    """Return what was counted most often first; of equals, in the order of their names, whoever counted them."""
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


class ToolTally:
    """The calls of one tool."""

    def __init__(self, exact: int = EXACT_LIMIT) -> None:
        self.calls = self.requests = self.invalid = self.unchecked = 0
        self.assembly, self.size = Values(exact), Values(exact)

    def add(self, call: ToolCall) -> None:
        """Count one call."""
        self.calls += 1
        self.invalid += call.arguments_valid is False
        self.unchecked += call.arguments_valid is None
        self.size.add(call.arguments_size)
        if call.assembly_ns is not None:
            self.assembly.add(call.assembly_ns)

    def merge(self, other: "ToolTally") -> None:
        """Add the counts of another part of the data."""
        self.calls += other.calls
        self.requests += other.requests
        self.invalid += other.invalid
        self.unchecked += other.unchecked
        self.assembly.merge(other.assembly)
        self.size.merge(other.size)

    def summary(self, name: str | None) -> ToolSummary:
        """Return the summary for reports."""
        return ToolSummary(
            name=name,
            calls=self.calls,
            requests=self.requests,
            assembly=self.assembly.distribution("ns"),
            arguments_size=self.size.distribution("bytes"),
            invalid=self.invalid,
            unchecked=self.unchecked,
        )
