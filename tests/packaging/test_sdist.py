"""The source distribution."""

import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


def test_it_is_the_repository(built: Any) -> None:
    """Every file of the repository is in it, so that each target of the Makefile works there as in a clone."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("no clone")
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert set(listed.stdout.split()) - names == set()
    assert {name for name in names if name.startswith((".venv", "site/", "build/", ".git/"))} == set()
