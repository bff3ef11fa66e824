"""The bundled services, seen from outside: is every link between them whole?"""

from groqscope.stack._check import Addresses, check
from groqscope.stack._files import StackFilesError, write_stack
from groqscope.stack._link import Link

__all__ = ["Addresses", "Link", "StackFilesError", "check", "write_stack"]
