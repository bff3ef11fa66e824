"""What the command line says on standard error."""

import sys

from groqscope._visible import visible_lines


def say(text: object) -> None:
    """Say something on standard error; no terminal obeys what it holds from outside."""
    print(f"groqscope: {visible_lines(str(text))}", file=sys.stderr)
