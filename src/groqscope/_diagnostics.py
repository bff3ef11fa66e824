"""What groqscope logs about itself: each message once, and a failure of its own without what its exception says.

The message of an exception may hold what the caller or the server sent.
"""

import logging
import traceback

failures: dict[str, int] = {}
"""Failures of groqscope's own in this process, by what failed."""
_logged: set[tuple[str, str]] = set()


def log_once(logger: logging.Logger, level: int, message: str, *args: object) -> None:
    """Log a message the first time only; with other arguments it is another message."""
    key = logger.name, message % args if args else message
    if key not in _logged:
        _logged.add(key)
        logger.log(level, message, *args)


def log_failure_once(logger: logging.Logger, message: str, error: Exception, *, name: str | None = None) -> None:
    """Count a failure of groqscope's own; log the first one of its name, with the error's type.

    Args:
        logger: Where it is logged.
        message: What could not be done.
        error: The failure. Its traceback is logged for debugging, its message never.
        name: What it is counted under, if not the message.
    """
    name = name or message
    count = failures[name] = failures.get(name, 0) + 1
    if count == 1:
        kind = type(error).__name__
        logger.warning("%s (%s). Further failures of this kind are counted, not logged.", message, kind)
        logger.debug("%s at:\n%s", name, "".join(traceback.format_tb(error.__traceback__)))
