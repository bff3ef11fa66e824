"""Messages on standard error."""

import sys

from groqscope._visible import visible_lines


def say(text: object) -> None:
    """Print a message on standard error, with control characters escaped."""
    print(f"groqscope: {visible_lines(str(text))}", file=sys.stderr)
