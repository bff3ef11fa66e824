"""The package's types, from its user's side."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

API = Path(__file__).parent / "api.py"
WRONG = {
    3: "groqscope.instrument(42)",
    4: "groqscope.configure(endpoint=4318)",
    5: 'groqscope.instrument(content="all")',
    6: "groqscope.on_record(lambda: None)",
}


def check(directory: Path, program: str) -> list[dict[str, Any]]:
    """Check a program outside the repository, in strict mode."""
    (directory / "program.py").write_text(program, "utf-8")
    (directory / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict", "include": ["program.py"]}))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(directory)]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=300, check=False)

    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == 1
    return report["generalDiagnostics"]


def test_a_program_of_a_user(tmp_path: Path) -> None:
    """The public names have the types that their users rely on, and strict mode finds nothing unknown in them."""
    assert [d["message"] for d in check(tmp_path, API.read_text("utf-8"))] == []


def test_mistakes_are_found(tmp_path: Path) -> None:
    """What cannot work is an error before the program runs, in each of these lines."""
    program = "import groqscope\n\n\n" + "\n".join(WRONG.values()) + "\n"
    lines = {d["range"]["start"]["line"] for d in check(tmp_path, program) if d["severity"] == "error"}

    assert lines == set(WRONG)
