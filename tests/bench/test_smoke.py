"""The benchmark runs, and its figures are figures."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes are pinned, which this system cannot")
@pytest.mark.parametrize("path", ["async", "request", "agent-request", "cache-doctor", "concurrent"])
def test_smoke(tmp_path: Path, path: str) -> None:
    """One small round measures every variant of a path and writes ratios."""
    target = tmp_path / "bench.json"

    subprocess.run(
        [sys.executable, "-m", "bench", "--smoke", "--only", path, "--json", str(target)],
        cwd=ROOT,
        check=True,
        timeout=300,
    )

    results = {r["variant"]: r for r in json.loads(target.read_text())["results"]}
    assert results["bare"]["value"] > 0
    assert results["groqscope"]["value"] > 0
    assert isinstance(results["groqscope"]["ratio"], float)
    if path == "concurrent":
        assert results["groqscope"]["add_up"] == 1
