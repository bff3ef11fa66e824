"""Request, trace and run in an application's log records, whoever makes them."""

import asyncio
import logging
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import logfire
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support.scope import ASK, Exported

import groqscope
from groqscope import logs
from groqscope.simulator import Answer, Failure, Simulator

PAGE = (Path(__file__).parents[2] / "docs" / "cache.md").read_text("utf-8")
logger = logging.getLogger("an application")


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    before = logging.getLogRecordFactory()
    logs.install()
    logs._last.set(("", ""))
    yield
    logs.uninstall()
    assert logging.getLogRecordFactory() is before
    logs._last.set(("", ""))


def said(record: logging.LogRecord) -> tuple[str, ...]:
    """The three attributes."""
    return tuple(getattr(record, name) for name in logs.NAMES)


def test_a_line_after_a_request_leads_to_it(exported: Exported, caplog: pytest.LogCaptureFixture) -> None:
    """The request that ended last in this thread, a failed one included, and the run around."""
    logger.warning("before")
    with (
        Simulator([Answer("a"), Failure(400)]) as sim,
        exported.client("sync", sim.base_url, max_retries=0) as client,
        groqscope.run("answer", tracer_provider=exported.tracer_provider),
    ):
        client.chat.completions.create(**ASK)
        logger.warning("after the first")
        with pytest.raises(Exception, match="400"):
            client.chat.completions.create(**ASK)
        logger.warning("after the second")
    logger.warning("outside")
    first, second = exported.records
    before, one, two, outside = caplog.records

    assert said(before) == ("", "", "")
    assert said(one) == (first.request_id, first.trace_id, "answer")
    assert said(two) == (second.request_id, second.trace_id, "answer")
    assert said(outside) == (second.request_id, second.trace_id, "")
    assert first.request_id != second.request_id
    text = logging.Formatter("%(groq_request_id)s %(groq_run)s %(message)s").format(one)
    assert text == f"{first.request_id} answer after the first"


def test_each_task_and_thread_has_its_own(exported: Exported, caplog: pytest.LogCaptureFixture) -> None:
    """Requests at the same time do not get into each other's lines."""

    async def ask(client: Any, number: int) -> None:
        answer = await client.chat.completions.create(**ASK)
        record = groqscope.record_of(answer)
        assert record is not None
        logger.warning("%s %s", number, record.request_id)

    async def all_of_them(base_url: str) -> None:
        async with exported.client("async", base_url) as client:
            await asyncio.gather(*(ask(client, number) for number in range(8)))

    with Simulator(Answer("a")) as sim:
        asyncio.run(all_of_them(sim.base_url))
    thread = threading.Thread(target=lambda: logger.warning("elsewhere"))
    thread.start()
    thread.join()
    *asked, elsewhere = caplog.records

    assert len({said(record)[0] for record in asked}) == 8
    assert all(record.getMessage().endswith(said(record)[0]) for record in asked)
    assert said(elsewhere) == ("", "", "")


def test_what_a_record_has_already_stays(caplog: pytest.LogCaptureFixture) -> None:
    """Another factory's attributes, whether it was there before or came later."""
    logs.uninstall()
    plain = logging.getLogRecordFactory()

    def theirs(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = plain(*args, **kwargs)
        record.trace_id = "theirs"
        return record

    logging.setLogRecordFactory(theirs)
    try:
        logs.install()
        logs.install()
        logger.warning("x")
        assert said(caplog.records[-1]) == ("", "theirs", "")
        logs.uninstall()
        assert logging.getLogRecordFactory() is theirs
    finally:
        logging.setLogRecordFactory(plain)


def test_a_processor_for_structlog_and_fields_for_any_other(exported: Exported) -> None:
    """Only what is known, and nothing that the event has already."""
    assert logs.fields() == {}
    with Simulator(Answer("a")) as sim, exported.client("sync", sim.base_url) as client:
        client.chat.completions.create(**ASK)
    (record,) = exported.records
    assert logs.fields() == {"groq_request_id": record.request_id, "trace_id": record.trace_id}
    event = logs.add_fields(None, "info", {"event": "x", "trace_id": "theirs"})
    assert event == {"event": "x", "trace_id": "theirs", "groq_request_id": record.request_id}


def test_logfire_has_them(exported: Exported) -> None:
    """By its handler for `logging`, as attributes of a record, and by the line that the page on the cache shows."""
    (line,) = re.findall(r"^    (logfire\..*)$", PAGE, re.MULTILINE)
    out = InMemorySpanExporter()
    processors = [SimpleSpanProcessor(out)]
    own = logfire.configure(
        local=True,
        send_to_logfire=False,
        console=False,
        metrics=False,
        inspect_arguments=False,
        additional_span_processors=processors,
    )
    handler = logfire.LogfireLoggingHandler(logfire_instance=own)
    with Simulator(Answer("a")) as sim, exported.client("sync", sim.base_url) as client:
        client.chat.completions.create(**ASK)
    handler.emit(logger.makeRecord(logger.name, logging.WARNING, __file__, 1, "by its handler", (), None))
    exec(line, {"groqscope": groqscope, "logfire": own})
    own.shutdown(flush=False)
    (record,) = exported.records
    by_handler, by_line = (dict(span.attributes or {}) for span in out.get_finished_spans())

    assert by_handler["logfire.msg"] == "by its handler"
    assert by_line["logfire.msg"] == "answered"
    for attributes in (by_handler, by_line):
        assert attributes["groq_request_id"] == record.request_id
        assert attributes["trace_id"] == record.trace_id


def test_a_log_call_does_not_fail_because_of_us(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure of ours costs the attributes, and nothing else."""
    monkeypatch.setattr(logs, "current_run", lambda: 1 / 0)
    logger.warning("still there")
    assert caplog.records[-1].getMessage() == "still there"
    assert logs.add_fields(None, "info", {"event": "x"}) == {"event": "x"}
