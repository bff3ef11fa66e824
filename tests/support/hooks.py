"""The names of all hooks: they are known once the modules that define them are there, which are imported late."""

from groqscope.instrument import _faults, _seam

assert _seam.CLIENTS
HOOKS = sorted(_faults.HOOKS)
