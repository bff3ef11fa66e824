"""Output: messages, what the terminal can show, and files that are not overwritten by accident."""

import errno
import os
import shutil
import socket
import sys
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from groqscope._visible import visible_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from groqscope.audit import AuditError
    from groqscope.audit.formatting import UnitName
    from groqscope.audit.reports import Look

PIPED_WIDTH = 120
"""Width if the output is not a terminal and COLUMNS is not set."""


def say(text: object) -> None:
    """Print a message on standard error, with control characters escaped."""
    print(f"groqscope: {visible_lines(str(text))}", file=sys.stderr)


def say_first(warnings: "Iterable[object]") -> None:
    """Print the first three warnings."""
    for warning in islice(warnings, 3):
        say(warning)


def counted(*counts: tuple[int, str]) -> list[str]:
    """Return those counts that are not 0, with their words."""
    return [f"{number:,} {words}" for number, words in counts if number]


_OF_THE_PORT = frozenset({errno.EADDRINUSE, errno.EACCES, errno.EPERM})


def listening_failed(error: OSError, host: str, port: int, hint: str) -> "AuditError":
    """Return the error that a server cannot listen, with what to do; `hint` is what to do about the port."""
    from groqscope.audit import AuditError

    if isinstance(error, socket.gaierror) or error.errno not in _OF_THE_PORT:
        hint = "--host takes an address of this machine: 127.0.0.1 for itself, 0.0.0.0 for others too"
    # asyncio adds "(while attempting to bind on …)", which this says already
    reason = (error.strerror or str(error)).partition(" (")[0].lower()
    return AuditError(f"cannot listen on {host} port {port} ({reason}): {hint}")


def look(unit: "UnitName | None" = None) -> "Look":
    """Return what standard output can show."""
    from groqscope.audit.reports import look_of

    terminal = sys.stdout.isatty()
    columns = (
        shutil.get_terminal_size((PIPED_WIDTH, 24)).columns if terminal or os.environ.get("COLUMNS") else PIPED_WIDTH
    )
    return look_of(tty=terminal, encoding=sys.stdout.encoding, columns=columns, environ=os.environ, unit=unit)


def checked_unit(unit: str | None) -> "UnitName | None":
    """Return the unit, if it is one for durations.

    Raises:
        AuditError: it is not.
    """
    from groqscope.audit import AuditError

    if unit is None or unit == "us" or unit == "ms" or unit == "s":  # noqa: PLR1714 - narrows the type
        return unit
    raise AuditError(f"--unit {unit!r}: use us, ms or s")


def write_new(path: Path, text: str, *, force: bool) -> None:
    """Write a file; overwrite an existing one only with `force`.

    Raises:
        AuditError: it exists, or cannot be written.
    """
    from groqscope.audit import AuditError

    before = path.exists()
    try:
        with path.open("w" if force else "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise AuditError(f"{path} exists: choose another name, or overwrite it with --force") from None
    except OSError as error:
        if not before:  # an incomplete file would block the next attempt
            with suppress(OSError):
                path.unlink()
        raise AuditError(f"{path} cannot be written: {error.strerror or error}") from error
