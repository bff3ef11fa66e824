"""The bundled services: write their files, and check every connection between them as a client would."""

from groqscope.stack.checks import Addresses, Link, check
from groqscope.stack.files import StackFilesError, write_stack

__all__ = ["Addresses", "Link", "StackFilesError", "check", "write_stack"]
