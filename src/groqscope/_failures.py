"""Failures of groqscope's own in threads of its own: said once each, and without what an exception says.

The message of an exception may hold what the caller or the server sent.
"""

import logging
import traceback

_said: set[str] = set()


def say_once(logger: logging.Logger, what: str, error: Exception) -> None:
    """Log what cannot be done and the error's type, the first time; where it failed, for debugging."""
    if what in _said:
        return
    _said.add(what)
    logger.warning("%s (%s). It is said once.", what, type(error).__name__)
    logger.debug("%s at:\n%s", what, "".join(traceback.format_tb(error.__traceback__)))
