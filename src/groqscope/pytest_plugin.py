"""A pytest plugin: the Groq requests of a test, and budgets of time and money that they have to keep.

    def test_summary(groqscope_records):
        summarise("…")
        assert len(groqscope_records) == 1

    @pytest.mark.groq_budget("ttfc.max < 800ms", "cost.sum < 0.01usd", "errors < 1")
    def test_agent(): ...

    @pytest.mark.groq_budget("run.duration.max < 8s", "run.cost < 0.02usd", "run.requests < 6")
    def test_answer(): ...

Requests are observed in the process, without any exporter; runs by the spans of the global tracer provider, for which
the plugin sets OpenTelemetry's own when the program has set none. A budget that is inconclusive (no request or run was
made, or too few for the percentile) fails too, and says so.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from groqscope.audit import Audit, BudgetResult, Budgets
    from groqscope.runs import Run
    from groqscope.timeline import RequestRecord

MARK: Final = "groq_budget"


class CapturedRecords(list["RequestRecord"]):
    """The records of the requests that have ended so far, in the order in which they ended."""

    def overview(self) -> "Audit":
        """Return an overview of the requests, as `groqscope audit` prints it.

        Raises:
            AuditError: no request has ended.
        """
        from groqscope.audit import MemorySource, Query, Records

        return Records(MemorySource(self), Query()).overview(listed=None)

    def budgets(self, *budgets: str, goodput: tuple[str, ...] = ()) -> "tuple[BudgetResult, ...]":
        """Check the requests against budgets such as `ttfc.p95 < 400ms`.

        Raises:
            AuditError: a budget is invalid.
        """
        measured = _parsed(budgets, goodput)
        _add(measured, self)
        return measured.results()


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark."""
    config.addinivalue_line(
        "markers",
        f"{MARK}(*budgets, goodput=()): fail when the test's Groq requests do not keep them, "
        "such as 'ttfc.max < 800ms', 'cost.sum < 0.01usd', 'errors < 1'",
    )


@pytest.fixture
def groqscope_records() -> Iterator[CapturedRecords]:
    """Capture the records of all Groq requests that end during the test."""
    with captured() as records:
        yield records


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Record the requests of a marked test, and fail it when a budget is exceeded or inconclusive."""
    marks = list(item.iter_markers(MARK))
    if not marks:
        return (yield)
    measured = [_of_mark(mark) for mark in marks]
    of_runs = any(budgets.measure_runs for budgets in measured)
    with captured_runs() if of_runs else nullcontext(list["Run"]()) as runs, captured() as records:
        result = yield
    for budgets in measured:
        _add(budgets, records)
        for run in runs:
            budgets.add_run(run)
    kept = [one for budgets in measured for one in budgets.results()]
    broken = [one for one in kept if one.verdict in {"over", "inconclusive"}]
    if broken:
        pytest.fail("\n".join(_line(one, len(records), len(runs)) for one in broken), pytrace=False)
    return result


@contextmanager
def captured() -> Generator[CapturedRecords]:
    """Collect records while the block runs; instrument every Groq client unless that is done already."""
    import groq

    from groqscope.instrument import flush, instrument, is_instrumented, on_record, uninstrument

    records = CapturedRecords()
    ours = not (is_instrumented(groq.Groq) and is_instrumented(groq.AsyncGroq))
    if ours:
        instrument()
    remove = on_record(records.append)
    try:
        yield records
        flush()
    finally:
        remove()
        if ours:
            uninstrument()


def _add(budgets: "Budgets", records: CapturedRecords) -> None:
    """Measure each request once."""
    from groqscope.store import ReadReport, once

    for record in once(records, ReadReport()):
        budgets.add(record)


@contextmanager
def captured_runs() -> Generator[list["Run"]]:
    """Collect the runs that end while the block runs; the list is complete once the block has ended."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    from groqscope.telemetry import observer_of

    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))
    runs: list[Run] = []
    provider: Any = trace.get_tracer_provider()
    if not hasattr(provider, "add_span_processor"):  # not the SDK's: no run is seen, so that the budget is inconclusive
        yield runs
        return
    observer = observer_of(provider, lambda run, _: runs.append(run))
    try:
        yield runs
        observer.force_flush()
    finally:
        observer.on_run = None


def _of_mark(mark: pytest.Mark) -> "Budgets":
    from groqscope.audit import AuditError

    goodput = mark.kwargs.get("goodput", ())
    if set(mark.kwargs) - {"goodput"}:
        pytest.fail(f"{MARK} takes budgets and goodput=, not {', '.join(mark.kwargs)}", pytrace=False)
    if not mark.args and not goodput:
        pytest.fail(f"{MARK} without a budget: write for example {MARK}('ttfc.max < 800ms')", pytrace=False)
    try:
        return _parsed(mark.args, (goodput,) if isinstance(goodput, str) else tuple(goodput))
    except AuditError as error:
        message = f"{MARK}: {error}"
    pytest.fail(message, pytrace=False)  # outside of `except`, so that pytest does not also show the cause


def _parsed(budgets: tuple[str, ...], goodput: tuple[str, ...]) -> "Budgets":
    from groqscope.audit import Budgets, parse_budgets

    return parse_budgets(budgets, goodput, source=MARK, goodput_source="goodput") or Budgets()


def _line(result: "BudgetResult", requests: int, runs: int) -> str:
    """Return a message that starts with what is wrong: pytest's summary shows only the start of its first line."""
    from groqscope.audit.formatting import count, measure

    measured = "nothing" if result.measured is None else measure(result.measured, result.unit)
    of = count(runs, "run") if result.of_runs else count(requests, "request")
    note = f" ({result.note})" if result.note else ""
    return f"{MARK} {result.verdict}: {result.expression}, measured {measured} in {of}{note}"
