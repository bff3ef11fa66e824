"""The names of all hooks: they are known once the modules that define them are there, which are imported late."""

from groqscope.instrument import faults, seam

assert seam.CLIENTS
HOOKS = sorted(faults.HOOKS)
