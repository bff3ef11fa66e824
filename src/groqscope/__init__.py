"""Where the time, the tokens and the money of every Groq request went.

    import groqscope

    groqscope.configure()    # OTEL_EXPORTER_OTLP_ENDPOINT if set, else local files
    groqscope.instrument()   # every groq client
"""

from typing import TYPE_CHECKING, Any

from groqscope._version import __version__
from groqscope.instrument import instrument, on_record, record_of, uninstrument
from groqscope.timeline import RequestRecord

if TYPE_CHECKING:
    from groqscope.configuration import configure, flush, shutdown

__all__ = [
    "RequestRecord",
    "__version__",
    "configure",
    "flush",
    "instrument",
    "on_record",
    "record_of",
    "shutdown",
    "uninstrument",
]

_CONFIGURATION = frozenset({"configure", "flush", "shutdown"})


def __getattr__(name: str) -> Any:
    """Import what needs logfire only when it is used."""
    if name in _CONFIGURATION:
        from groqscope import configuration  # noqa: PLC0415

        return getattr(configuration, name)
    raise AttributeError(f"module 'groqscope' has no attribute {name!r}")
