"""Where the time, the tokens and the money of every Groq request went.

import groqscope

groqscope.configure()    # OTEL_EXPORTER_OTLP_ENDPOINT if set, else local files
groqscope.instrument()   # every groq client
"""

from typing import TYPE_CHECKING

from groqscope import _lazy
from groqscope._version import __version__
from groqscope.instrument import instrument  # bound now, before the subpackage of that name can take its place

if TYPE_CHECKING:
    from groqscope.configuration import configure, flush, shutdown
    from groqscope.instrument import on_record, record_of, uninstrument
    from groqscope.models.groq import GroqModel as GroqModel  # not in __all__: `import *` must not need the extra
    from groqscope.telemetry import run, run_metrics
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
    "run_metrics",
    "shutdown",
    "uninstrument",
]

__getattr__, __dir__ = _lazy.attach(
    __name__,
    {
        "models.groq": ["GroqModel"],
        "timeline": ["RequestRecord"],
        "configuration": ["configure", "flush", "shutdown"],
        "instrument": ["on_record", "record_of", "uninstrument"],
        "telemetry": ["run", "run_metrics"],
    },
)
