"""A faster way to what the SDK does: build chunks and completions from bytes, copy a request's parameters.

The results equal the SDK's for the same input; tests compare them. Nothing here observes.
"""

from groqscope.fastpath.chunk_decoder import ChunkDecoder
from groqscope.fastpath.chunk_template import ChunkTemplate, learn_template
from groqscope.fastpath.decode import decode_chunk, decode_completion, warm_up
from groqscope.fastpath.parameters import copy_parameters
from groqscope.fastpath.sse import SSEDecoder

__all__ = [
    "ChunkDecoder",
    "ChunkTemplate",
    "SSEDecoder",
    "copy_parameters",
    "decode_chunk",
    "decode_completion",
    "learn_template",
    "warm_up",
]
