"""Where groqscope keeps its files: `$GROQSCOPE_HOME`, else the user's state directory."""

import logging
import os
import sys
from pathlib import Path
from typing import Final

from groqscope._diagnostics import log_once

_logger = logging.getLogger("groqscope.store")

HOME_VARIABLE: Final = "GROQSCOPE_HOME"
_PRIVATE: Final = 0o700


def home() -> Path:
    """Give the directory of everything groqscope stores; it need not exist.

    `$GROQSCOPE_HOME`, else `groqscope` in `$XDG_STATE_HOME` or `~/.local/state` (Linux and other Unix),
    `~/Library/Application Support` (macOS), `%LOCALAPPDATA%` (Windows).

    Raises:
        OSError: none of the variables is set and the user has no home directory.
    """
    given = os.environ.get(HOME_VARIABLE)
    if given:
        return Path(given).expanduser()
    return _state_directory() / "groqscope"


def store_directory() -> Path:
    """Give the directory of the local store: `store` in `home()`."""
    return home() / "store"


def spool_directory() -> Path:
    """Give the directory of what waits for a collector: `spool` in `home()`."""
    return home() / "spool"


def make_private(directory: Path) -> None:
    """Create a directory that only its owner can enter, and its parents.

    One that exists is narrowed to 0700 when it is ours and wider.

    Raises:
        OSError: it cannot be created, or is no directory.
    """
    directory.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
    if sys.platform != "win32":
        status = directory.stat()
        if status.st_mode & 0o077 and status.st_uid == os.getuid():
            directory.chmod(_PRIVATE)


def say_not_written(directory: Path, error: OSError) -> None:
    """Say once a process that nothing can be written there, whichever signal notices first."""
    log_once(
        _logger,
        logging.WARNING,
        "groqscope cannot write to %s: %s. Set GROQSCOPE_HOME to another directory;"
        " until something can be written, telemetry is lost, and nothing else is affected.",
        directory,
        error.strerror or error,
    )


def _state_directory() -> Path:
    try:
        if sys.platform == "win32":
            local = os.environ.get("LOCALAPPDATA")
            return Path(local) if local else Path.home() / "AppData" / "Local"
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Application Support"
        # The XDG specification: a relative path is to be ignored.
        xdg = Path(os.environ.get("XDG_STATE_HOME", ""))
        return xdg if xdg.is_absolute() else Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise OSError(f"the user has no home directory; set {HOME_VARIABLE} to a directory to write to") from error
