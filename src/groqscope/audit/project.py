"""Budgets of a project: `[tool.groqscope.budgets]` in the nearest pyproject.toml."""

import tomllib
from pathlib import Path
from typing import Any, cast

from groqscope.audit.budgets import Budget, Goodput, parse_table
from groqscope.audit.errors import SourceError


def project_budgets(path: Path | None = None) -> tuple[list[Budget], Goodput | None]:
    """Read the budgets of a file, or of the nearest pyproject.toml from here upwards.

    Raises:
        SourceError: there is no such file, or it cannot be read, or it has no such table.
        AuditError: a budget cannot be understood.
    """
    file = path or _nearest(Path.cwd())
    try:
        with file.open("rb") as stream:
            content = tomllib.load(stream)
    except OSError as error:
        raise SourceError(f"{file} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SourceError(f"{file} is not TOML: {error}") from error
    table: Any = content
    for key in ("tool", "groqscope", "budgets"):
        table = cast("dict[str, Any]", table).get(key) if isinstance(table, dict) else None
    if not isinstance(table, dict):
        raise SourceError(f"{file} has no [tool.groqscope.budgets]; add it, for example errors = 'errors < 1%'")
    return parse_table(cast("dict[str, Any]", table), f"[tool.groqscope.budgets] in {file.name}")


def _nearest(directory: Path) -> Path:
    for folder in (directory, *directory.parents):
        if (folder / "pyproject.toml").is_file():
            return folder / "pyproject.toml"
    raise SourceError(f"there is no pyproject.toml in {directory} or above it; name one with --config")
