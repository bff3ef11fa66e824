"""What reading found: how much, and what was wrong with it."""

from dataclasses import dataclass, field
from typing import Final

from groqscope.store.once import SeenIds

MAX_WARNINGS: Final = 100
"""Warnings kept word for word; later ones are counted."""


@dataclass(frozen=True, slots=True)
class ReadWarning:
    """Something that was passed over."""

    source: str
    """The file, or `-` for standard input."""
    line: int | None
    """Counted from 1; `None` when it concerns the whole file."""
    reason: str

    def __str__(self) -> str:
        """Write it as compilers do: file, line, reason."""
        return f"{self.source}{f':{self.line}' if self.line else ''}: {self.reason}"


@dataclass(slots=True)
class ReadReport:
    """Counts of one reading; filled while it goes on, so that a progress bar can look at it."""

    files: int = 0
    lines: int = 0
    records: int = 0
    repeats: int = 0
    """Copies of a request that was read before; not among the records."""
    seen: SeenIds | None = None
    """The requests that were read, by their ids."""
    bytes_total: int = 0
    """Size of the files on disk; standard input counts nothing."""
    bytes_read: int = 0
    """How much of that has been read."""
    warnings: list[ReadWarning] = field(default_factory=list[ReadWarning])
    warnings_dropped: int = 0
    """Warnings beyond the room kept for them."""

    def warn(self, source: str, line: int | None, reason: str) -> None:
        """Note that something was passed over."""
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(ReadWarning(source, line, reason))
        else:
            self.warnings_dropped += 1
