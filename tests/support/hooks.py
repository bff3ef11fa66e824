"""The names of all hooks: they are known once the modules that define them are there, which are imported late."""

from groqscope.instrument import faults, parameters, seam

LOADED = seam, parameters
"""They define hooks."""
ASKS_GROQ = "asks_groq"
ALL_HOOKS = sorted(faults.HOOKS)
HOOKS = [name for name in ALL_HOOKS if name not in ("parameters", ASKS_GROQ)]
"""Those of a client of Groq's; `parameters` is one of `instrument()` for the whole process, `ASKS_GROQ` of openai's."""
