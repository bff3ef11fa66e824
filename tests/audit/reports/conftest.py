"""Snapshots in files beside the tests, and the browser."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.browser import chromium

__all__ = ["chromium"]

SNAPSHOTS = Path(__file__).parent / "snapshots"


@pytest.fixture
def snapshot() -> Callable[[str, str], None]:
    """Compare text with a file; `SNAPSHOTS=write` writes the file instead."""

    def compare(name: str, text: str) -> None:
        path = SNAPSHOTS / name
        if os.environ.get("SNAPSHOTS") == "write":
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")

        assert path.read_text(encoding="utf-8") == text

    return compare
