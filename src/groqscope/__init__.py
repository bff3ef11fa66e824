"""Where the time, the tokens and the money of every Groq request went.

import groqscope

groqscope.configure()    # OTEL_EXPORTER_OTLP_ENDPOINT if set, else local files
groqscope.instrument()   # every groq client
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

from groqscope._version import __version__
from groqscope.instrument import instrument  # bound now, before the subpackage of that name can take its place

if TYPE_CHECKING:
    from groqscope.configuration import configure, flush, shutdown
    from groqscope.instrument import on_record, record_of, uninstrument
    from groqscope.models.groq import GroqModel as GroqModel  # not in __all__: `import *` must not need the extra
    from groqscope.telemetry import run
    from groqscope.timeline import RequestRecord

__all__ = [
    "RequestRecord",
    "__version__",
    "configure",
    "flush",
    "instrument",
    "on_record",
    "record_of",
    "run",
    "shutdown",
    "uninstrument",
]

_LATER: Final = {
    "GroqModel": "models.groq",
    "RequestRecord": "timeline",
    "configure": "configuration",
    "flush": "configuration",
    "on_record": "instrument",
    "record_of": "instrument",
    "run": "telemetry",
    "shutdown": "configuration",
    "uninstrument": "instrument",
}


def __getattr__(name: str) -> Any:
    """Import what needs the SDK, logfire or pydantic-ai only when it is used."""
    if name in _LATER:
        return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Name what can be imported, loaded or not: notebooks complete from it."""
    return sorted({*globals(), *_LATER})
