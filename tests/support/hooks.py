"""The names of all hooks: they are known once the modules that define them are there, which are imported late."""

from groqscope.instrument import faults, parameters, seam

assert seam.install
assert parameters.NAMES
ALL_HOOKS = sorted(faults.HOOKS)
HOOKS = [name for name in ALL_HOOKS if name not in ("parameters", "asks_groq")]
"""Those of a client of Groq's; `parameters` is one of `instrument()` for the whole process, `asks_groq` of openai's."""
