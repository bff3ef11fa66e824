"""A faster way to what an SDK does: build chunks and completions from bytes, copy a request's parameters.

The results equal the SDK's for the same input; tests compare them. Nothing here observes.
"""

from groqscope.fastpath.chunk_decoder import ChunkDecoder, PayloadDecoder
from groqscope.fastpath.chunk_template import ChunkTemplate, learn_template
from groqscope.fastpath.decode import Models
from groqscope.fastpath.parameters import copy_parameters
from groqscope.fastpath.sse import SSEDecoder

__all__ = [
    "ChunkDecoder",
    "ChunkTemplate",
    "Models",
    "PayloadDecoder",
    "SSEDecoder",
    "copy_parameters",
    "learn_template",
]
