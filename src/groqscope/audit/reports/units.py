"""The one unit of a report's durations, chosen by its largest value."""

from groqscope.audit.formatting import Unit, UnitName
from groqscope.audit.model import Audit, BudgetResult, Comparison
from groqscope.timeline import RequestRecord


def request_unit(record: RequestRecord, forced: UnitName | None = None) -> Unit:
    """Choose for one request."""
    usage = record.usage
    reported = [t * 1e9 for t in (usage.queue_time, usage.prompt_time, usage.completion_time) if t is not None]
    return Unit.of(forced) if forced else Unit.fitting([record.duration_ns, *reported])


def overview_unit(audit: Audit, forced: UnitName | None = None) -> Unit:
    """Choose for an overview and everything on it."""
    if forced:
        return Unit.of(forced)
    values = [d.max for summary in (audit.total, *audit.models) for d in (summary.duration, summary.ttfc, summary.ttft)]
    return Unit.fitting([*values, *(entry.record.duration_ns for entry in audit.entries), *_limits(audit.budgets)])


def comparison_unit(comparison: Comparison, forced: UnitName | None = None) -> Unit:
    """Choose for a comparison."""
    if forced:
        return Unit.of(forced)
    changes = [change for row in comparison.rows for change in (row.median, row.p95)]
    return Unit.fitting([value for change in changes for value in (change.a, change.b)])


def _limits(budgets: tuple[BudgetResult, ...]) -> list[float]:
    return [
        value
        for result in budgets
        if result.unit == "ns"
        for value in (result.measured, result.limit)
        if value is not None
    ]
