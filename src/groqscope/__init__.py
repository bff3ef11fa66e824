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
    from groqscope.models.groq import GroqModel as GroqModel  # not in __all__: `import *` must not need the extra

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
    """Import what needs logfire or pydantic-ai only when it is used."""
    if name in _CONFIGURATION:
        from groqscope import configuration

        return getattr(configuration, name)
    if name == "GroqModel":
        from groqscope.models.groq import GroqModel

        return GroqModel
    raise AttributeError(f"module 'groqscope' has no attribute {name!r}")
