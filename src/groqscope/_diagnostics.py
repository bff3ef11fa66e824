"""Logs groqscope's own messages and failures, each once, and without the text of exceptions.

That text may contain what the caller or the server sent.
"""

import logging
import traceback

failures: dict[str, int] = {}
"""Counts of groqscope's own failures in this process, by what failed."""
_logged: set[tuple[str, str]] = set()


def log_once(
    logger: logging.Logger, message: str, *args: object, level: int = logging.WARNING, name: str | None = None
) -> None:
    """Log a message the first time only; one with other arguments is another one, unless it has the same `name`."""
    key = logger.name, name or (message % args if args else message)
    if key not in _logged:
        _logged.add(key)
        logger.log(level, message, *args)


def log_failure_once(logger: logging.Logger, message: str, error: Exception, *, name: str | None = None) -> None:
    """Count a failure of groqscope itself; log the first one under each name, with the error's type.

    Args:
        logger: The logger to use.
        message: What failed.
        error: The exception. Its traceback is logged at level debug, its message never.
        name: The name to count it under, by default the message.
    """
    name = name or message
    count = failures[name] = failures.get(name, 0) + 1
    if count == 1:
        kind = type(error).__name__
        logger.warning("%s (%s). Further failures of this kind are counted, not logged.", message, kind)
        logger.debug("%s at:\n%s", name, "".join(traceback.format_tb(error.__traceback__)))
