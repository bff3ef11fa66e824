"""Counts and warnings of reading."""

from dataclasses import dataclass, field
from typing import Final

from groqscope.store.once import SeenIds

MAX_WARNINGS: Final = 100
"""Number of warnings that are kept; later ones are only counted."""
TORN: Final = "torn: its writer was cut off here"
"""Start of the reason for a line that is still being written, or whose writer was killed; that is not damage."""


@dataclass(frozen=True, slots=True)
class ReadWarning:
    """Something that was skipped."""

    source: str
    """The file, or `-` for standard input."""
    line: int | None
    """Counted from 1; `None` if it concerns the whole file."""
    reason: str
    damage: bool = True
    """Whether it is damage; a line that is still being written and the effects of attribute limits are not."""

    def __str__(self) -> str:
        """Return it as compilers write warnings: file, line, reason."""
        return f"{self.source}{f':{self.line}' if self.line else ''}: {self.reason}"


@dataclass(slots=True)
class ReadReport:
    """Counts and warnings of one read, updated while it runs, for a progress bar for example."""

    files: int = 0
    lines: int = 0
    records: int = 0
    repeats: int = 0
    """Copies of requests that were read before; not counted in `records`."""
    seen: SeenIds | None = None
    """The ids of the requests that were read."""
    bytes_total: int = 0
    """Size of the files on disk; standard input counts as 0."""
    bytes_read: int = 0
    """How many of these bytes have been read."""
    warnings: list[ReadWarning] = field(default_factory=list[ReadWarning])
    warnings_dropped: int = 0
    """Number of warnings that were not kept."""
    damaged: bool = False
    """Whether any warning, kept or not, reports damage."""

    def warn(self, source: str, line: int | None, reason: str, *, damage: bool = True) -> None:
        """Record that something was skipped."""
        damage = damage and not reason.startswith(TORN)
        self.damaged = self.damaged or damage
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(ReadWarning(source, line, reason, damage))
        else:
            self.warnings_dropped += 1
