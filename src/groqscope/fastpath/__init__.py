"""The SDK's objects, built sooner: from the bytes of Groq's chat API, and a request's parameters on their way out.

What comes out equals what the SDK builds from the same input; tests hold the two side by side. Nothing here observes.
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
