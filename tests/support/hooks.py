"""The names of all hooks: they are known once the modules that define them are there, which are imported late."""

from groqscope.instrument import faults, parameters, seam

assert seam.CLIENTS
assert parameters.NAMES
ALL_HOOKS = sorted(faults.HOOKS)
HOOKS = [name for name in ALL_HOOKS if name != "parameters"]
"""Those of a client; `parameters` is one of `instrument()` for the whole process."""
