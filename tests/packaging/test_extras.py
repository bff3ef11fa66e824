"""The wheel with its own dependencies, from the package index: without extras, and with each."""

import re
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROBES = {
    "": "import groqscope, groqscope.audit; groqscope.configure(); groqscope.instrument()",
    "ui": "from groqscope.ui import Server; Server(port=0).__enter__().__exit__(None, None, None)",
    "simulator": "from groqscope.simulator import Simulator; Simulator().__enter__().__exit__(None, None, None)",
    "aiohttp": "import groq; groq.DefaultAioHttpClient()",
    "grpc": "import groqscope; groqscope.configure(endpoint='http://127.0.0.1:1', protocol='grpc')",
    "pydantic-ai": "from groqscope.models.groq import GroqModel; GroqModel('m', api_key='none')",
}
"""What each extra is for, in the order in which they are added."""

pytestmark = pytest.mark.slow


def test_extras(built: Any, tmp_path: Path) -> None:
    """What an extra is for fails without it, with an error that names the extra, and works with it."""
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    pins = re.findall(r"^[A-Za-z0-9._-]+==[^\\\n]+", (ROOT / "requirements-dev.txt").read_text("utf-8"), re.MULTILINE)
    (tmp_path / "pins.txt").write_text("\n".join(pins), "utf-8")
    for extra, probe in PROBES.items():
        if extra and extra != "simulator":  # another name for `ui`
            before = _run(python, tmp_path, probe)
            assert before.returncode != 0, extra
            assert extra == "aiohttp" or f"groqscope[{extra}]" in before.stderr
        done = _install(python, tmp_path / "pins.txt", f"{built.wheel}[{extra}]" if extra else str(built.wheel))
        if "No matching distribution" in done.stderr and not extra:
            pytest.skip("no package index can be reached")
        assert done.returncode == 0, done.stderr
        after = _run(python, tmp_path, probe)
        assert after.returncode == 0, f"{extra}: {after.stderr}"


def _install(python: Path, pins: Path, wanted: str) -> "subprocess.CompletedProcess[str]":
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "--python", str(python)]
    command = [*pip, "install", "-c", str(pins), wanted]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def _run(python: Path, directory: Path, program: str) -> "subprocess.CompletedProcess[str]":
    command = [str(python), "-I", "-c", program]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60, check=False)
