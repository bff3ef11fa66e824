"""The entry point for `opentelemetry-instrument`."""

import atexit
import logging
import sys
from collections.abc import Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

from groqscope.instrument import instrument, on_record, uninstrument
from groqscope.timeline import RequestRecord

OTHER_CLIENTS = ("litellm",)
"""Packages that can call Groq without one of the observed SDKs."""


class _Unseen:
    """Logs, at the end of a program with no observed request, that its other clients are not observed."""

    def __init__(self) -> None:
        self._forget = on_record(self._seen)
        atexit.register(self.say)

    def _seen(self, _record: RequestRecord) -> None:
        self.forget()

    def forget(self) -> None:
        """Cancel the message."""
        self._forget()
        atexit.unregister(self.say)

    def say(self) -> None:
        """Log the message, if such clients are imported and no request was observed."""
        others = [name for name in OTHER_CLIENTS if name in sys.modules]
        if others:
            logging.getLogger("groqscope").warning(
                "groqscope: no request by groq or openai was observed. Requests to Groq by %s are not observed.",
                " and ".join(others),
            )


class GroqInstrumentor(BaseInstrumentor):
    """The entry point `groq` of `opentelemetry_instrumentor`, for `opentelemetry-instrument python app.py`.

    If no providers are set, it calls `groqscope.configure()`, so that no distribution is needed. A setting that cannot
    be used is logged as an error: an exception would keep the agent from loading the other instrumentations.
    """

    _unseen: _Unseen | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the packages that are instrumented."""
        return ("groq >= 0.35",)

    def _instrument(self, **kwargs: Any) -> None:
        tracer_provider, meter_provider = kwargs.get("tracer_provider"), kwargs.get("meter_provider")
        if tracer_provider is None and meter_provider is None:
            from groqscope.configuration import ConfigurationError, configure

            try:
                configure()
            except ConfigurationError as error:
                logging.getLogger("groqscope").error("groqscope: %s. Groq is not observed.", error)  # noqa: TRY400
                return
        instrument(tracer_provider=tracer_provider, meter_provider=meter_provider)
        self._unseen = _Unseen()

    def _uninstrument(self, **_kwargs: Any) -> None:
        if self._unseen is not None:
            self._unseen.forget()
        uninstrument()
