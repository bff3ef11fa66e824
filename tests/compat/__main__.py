"""`python tests/compat`: the smoke suite with the oldest and the newest versions that pyproject.toml allows.

Each set has an environment of its own below .cache, made once; `--fresh` makes it anew. Needs uv (pip install uv).
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "compat"
SETS = {"oldest": "lowest-direct", "newest": "highest"}
SUITE = (
    "tests/wire",
    "tests/test_codec.py",
    "tests/instrument/test_recordings.py",
    "tests/instrument/test_endings.py",
    "tests/models/test_groq.py",
)
TOOLS = ("pytest", "pytest-randomly", "hypothesis", "trustme", "hatchling", "editables")
SHOWN = ("groq", "httpx", "opentelemetry-sdk", "logfire", "pydantic-ai-slim", "pydantic", "genai-prices", "msgspec")


def prepare(name: str, uv: str, *, fresh: bool) -> Path:
    """Make the environment of a set; give its Python."""
    place = CACHE / name
    python = place / "bin" / "python"
    if fresh:
        shutil.rmtree(place, ignore_errors=True)
    if not (place / "ready").exists():
        place.mkdir(parents=True, exist_ok=True)
        pins = place / "requirements.txt"
        resolve = (
            "--resolution",
            SETS[name],
            "--prerelease",
            "allow" if name == "oldest" else "if-necessary-or-explicit",
        )
        call(
            uv, "pip", "compile", "pyproject.toml", "--all-extras", *resolve, "--quiet", "--no-header", "-o", str(pins)
        )
        call(uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(place))
        call(uv, "pip", "install", "--quiet", "--python", str(python), "-r", str(pins), *TOOLS)
        call(uv, "pip", "install", "--quiet", "--python", str(python), "--no-deps", "--no-build-isolation", "-e", ".")
        (place / "ready").touch()
    return python


def call(*command: str) -> None:
    """Run a command here; its failure is ours."""
    subprocess.run(command, cwd=ROOT, check=True)


def main() -> int:
    """Run the sets that are asked for."""
    parser = argparse.ArgumentParser(prog="compat", description=__doc__)
    parser.add_argument("sets", nargs="*", metavar="SET", help="oldest, newest; both by default")
    parser.add_argument("--fresh", action="store_true", help="make the environments anew")
    given = parser.parse_args()
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        parser.error("uv is not there; run: pip install uv")
    failed = 0
    for name in given.sets or SETS:
        if name not in SETS:
            parser.error(f"no such set: {name}; there are {', '.join(SETS)}")
        python = prepare(name, uv, fresh=given.fresh)
        listed = subprocess.run(
            [uv, "pip", "freeze", "--python", str(python)], capture_output=True, text=True, check=True
        )
        versions = [line for line in listed.stdout.splitlines() if line.partition("==")[0] in SHOWN]
        print(f"{name}: {', '.join(versions)}", flush=True)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "GROQ", "LOGFIRE_"))}
        failed |= subprocess.run(
            [str(python), "-m", "pytest", "-q", *SUITE], cwd=ROOT, env=environment, check=False
        ).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
