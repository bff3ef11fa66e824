"""The bundled services, seen from outside: is every link between them whole?"""

from groqscope.stack.checks import Addresses, check
from groqscope.stack.files import StackFilesError, write_stack
from groqscope.stack.link import Link

__all__ = ["Addresses", "Link", "StackFilesError", "check", "write_stack"]
