"""The `groqscope` command: one module per subcommand, imported on demand."""

from groqscope.cli.app import main

__all__ = ["main"]
