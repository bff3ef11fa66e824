"""No test sees what another one set for the whole process: a test of the test suite's own isolation."""

import contextvars
import logging
import os
import sys
from collections.abc import Callable

import logfire
import pytest
from opentelemetry import _logs, baggage, context, metrics, propagate, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from support.callers import whole
from support.isolation import as_in_a_new_process, left_as_found
from support.scope import Wire, completion, groq_client

import groqscope
from groqscope import record_of


def _trace_id() -> str | None:
    """Return the id of a request made by a client that is given no provider."""
    client = groq_client("sync", http={"transport": Wire(completion)})
    record = record_of(whole("sync", groqscope.instrument(client)))
    assert record is not None
    return record.trace_id


def _set_the_sdks() -> None:
    trace.set_tracer_provider(TracerProvider())
    metrics.set_meter_provider(MeterProvider())
    _logs.set_logger_provider(LoggerProvider())


def _set_logfires() -> None:
    logfire.configure(send_to_logfire=False, console=False)


@pytest.mark.parametrize("set_providers", [_set_the_sdks, _set_logfires])
def test_providers_go_with_the_test_that_set_them(
    set_providers: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    """The next test finds none, as in a new process, may set its own, and gets nothing from those before."""
    textmap = propagate.get_global_textmap()
    found: list[bool] = []
    for _ in range(2):
        with as_in_a_new_process():
            found.append(_trace_id() is not None)
            set_providers()
            found.append(_trace_id() is not None)
    with as_in_a_new_process():
        found.append(_trace_id() is not None)

    assert found == [False, True, False, True, False]
    assert propagate.get_global_textmap() is textmap
    assert caplog.messages == []


def _set_a_variable() -> None:
    os.environ["GROQSCOPE_LEFT"] = "1"


def _set_a_level() -> None:
    logging.getLogger("groqscope").setLevel(logging.ERROR)


def _attach() -> None:
    context.attach(baggage.set_baggage("left", "behind"))


def _extend_the_path() -> None:
    sys.path.append("left")


@pytest.mark.parametrize(
    ("leave", "named"),
    [
        (_set_a_variable, "the environment"),
        (_set_a_level, "the logger groqscope"),
        (_attach, "the current OpenTelemetry context"),
        (_extend_the_path, "sys.path"),
    ],
)
def test_what_a_test_leaves_behind_fails_it(
    leave: Callable[[], None], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure is reported in the test that caused it, and names what is left, not in another that it disturbs."""
    monkeypatch.setenv("GROQSCOPE_LEFT", "0")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(logging.getLogger("groqscope"), "level", logging.NOTSET)

    def run() -> None:
        with left_as_found():
            leave()

    with pytest.raises(AssertionError, match=f"a test changed, and did not restore: {named}$"):
        contextvars.copy_context().run(run)
