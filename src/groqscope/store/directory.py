"""The directories of groqscope's files: in `$GROQSCOPE_HOME`, else in the user's state directory."""

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
    """Return the directory of everything that groqscope stores; it need not exist.

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
    """Return the directory of the local store: `store` in `home()`."""
    return home() / "store"


def spool_directory() -> Path:
    """Return the directory of the spool, where telemetry waits for its endpoint: `spool` in `home()`."""
    return home() / "spool"


def make_private(directory: Path) -> None:
    """Create a directory that only its owner can enter, and its parents.

    An existing one that belongs to the user is restricted to mode 0700.

    Raises:
        OSError: it cannot be created, or is not a directory.
    """
    directory.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
    if sys.platform != "win32":
        status = directory.stat()
        if status.st_mode & 0o077 and status.st_uid == os.getuid():
            directory.chmod(_PRIVATE)


def say_not_written(directory: Path, error: OSError) -> None:
    """Log once per process, for all signals together, that the directory cannot be written."""
    log_once(
        _logger,
        "groqscope cannot write to %s: %s. Set GROQSCOPE_HOME to another directory;"
        " until that is possible, telemetry is lost, and nothing else is affected.",
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
        # The XDG specification says that a relative path must be ignored.
        xdg = Path(os.environ.get("XDG_STATE_HOME", ""))
        return xdg if xdg.is_absolute() else Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise OSError(f"the user has no home directory; set {HOME_VARIABLE} to a writable directory") from error
