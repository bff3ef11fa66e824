"""The `groqscope` command: a module per command, imported when it is needed."""

from groqscope.cli.app import main

__all__ = ["main"]
