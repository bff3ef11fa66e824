"""The entry point for `opentelemetry-instrument`."""

import logging
from collections.abc import Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

from groqscope.instrument import instrument, uninstrument


class GroqInstrumentor(BaseInstrumentor):
    """The entry point `groq` of `opentelemetry_instrumentor`, for `opentelemetry-instrument python app.py`.

    Where nobody has set providers, it configures groqscope's own, so that no distribution is needed. A setting that
    cannot be used is an error in the log: raised, it would keep the agent from its other instrumentations.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """Name what is instrumented."""
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

    def _uninstrument(self, **_kwargs: Any) -> None:
        uninstrument()
