"""Request, trace and run in the log records of an application, so that a line of its log leads to the audit.

    import logging

    import groqscope.logs

    groqscope.logs.install()
    logging.basicConfig(format="%(levelname)s %(groq_request_id)s %(trace_id)s %(groq_run)s %(message)s")

Every record of `logging` then has three more attributes, empty where there is nothing to say: `groq_request_id` and
`trace_id` of the Groq request that ended last in this thread or task (inside a span, the trace is the span's), and
`groq_run`, the name of the `groqscope.run(...)` around. Libraries with records of their own take `fields()`, or
`add_fields`, which is a processor of structlog.
"""

import logging
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Final

from opentelemetry import trace

from groqscope.instrument import on_record
from groqscope.telemetry import current_run
from groqscope.timeline import RequestRecord

NAMES: Final = ("groq_request_id", "trace_id", "groq_run")
"""What a log record gets."""

_last: ContextVar[tuple[str, str]] = ContextVar("groqscope-last-request", default=("", ""))
"""Request and trace of the request that ended last in this context."""
_remove: Callable[[], None] | None = None
_factory: Callable[..., logging.LogRecord] | None = None
"""The one that was there before ours."""


def install() -> None:
    """Add request, trace and run to every log record that is made from now on; calling it again changes nothing."""
    global _factory  # noqa: PLW0603 - logging has one factory for the process
    if _factory is not None:
        return
    _factory = before = logging.getLogRecordFactory()

    def with_fields(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = before(*args, **kwargs)
        with suppress(Exception):  # a log call must not fail because of us
            vars(record).update({name: value for name, value in _values().items() if name not in vars(record)})
        return record

    logging.setLogRecordFactory(with_fields)
    _watch()


def uninstall() -> None:
    """Undo `install`; if another record factory was set since, it stays, and ours below it adds nothing more."""
    global _factory, _remove  # noqa: PLW0603 - as in `install`
    if _factory is not None and getattr(logging.getLogRecordFactory(), "__module__", None) == __name__:
        logging.setLogRecordFactory(_factory)
    if _remove is not None:
        _remove()
    _factory = _remove = None


def fields() -> dict[str, str]:
    """Return request, trace and run of this thread or task, for loggers other than `logging`."""
    _watch()
    return {name: value for name, value in _values().items() if value}


def add_fields(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add them to an event, as a processor of structlog; keys that the event has already stay as they are."""
    with suppress(Exception):
        for name, value in fields().items():
            event.setdefault(name, value)
    return event


def _watch() -> None:
    """Note each request that ends from now on; a callback that fails is logged and counted like any other."""
    global _remove  # noqa: PLW0603 - as in `install`
    if _remove is None:
        _remove = on_record(_note)


def _note(record: RequestRecord) -> None:
    if record.outcome != "abandoned":  # the garbage collector ends those, in whatever place it runs
        _last.set((record.request_id or "", record.trace_id or ""))


def _values() -> dict[str, str]:
    request, traced = _last.get()
    here = trace.get_current_span().get_span_context()
    if here.is_valid:
        traced = format(here.trace_id, "032x")
    run = current_run()
    return dict(zip(NAMES, (request, traced, "" if run is None else run.name), strict=True))
