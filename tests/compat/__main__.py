"""`python tests/compat`: a part of the tests with other versions than those of requirements-dev.txt.

The oldest and the newest that pyproject.toml allows, and the newest beside other instrumentations of the same calls and
below the frameworks that ask Groq.
Versions are resolved anew each time, so that the newest are the newest of today. Each set has an environment of its own
below .cache, made again when a version, pyproject.toml or the Python is another; the sets run side by side.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "compat"
KNOWN = ROOT / "requirements-dev.txt"
"""The versions that all tests run with."""
SUITE = (
    "tests/fastpath",
    "tests/test_codec.py",
    "tests/instrument/test_recordings.py",
    "tests/instrument/test_endings.py",
    "tests/instrument/test_openai.py",
    "tests/instrument/test_openai_streams.py",
    "tests/instrument/test_responses.py",
    "tests/models/test_groq.py",
    "tests/telemetry",
    "tests/delivery/test_outage.py",
    "tests/history/test_compaction.py",
    "tests/history/test_damage.py",
    "tests/audit/test_columnar.py",
)
TOOLS = (
    "editables",
    "hatchling",
    "hypothesis",
    "pytest",
    "pytest-randomly",
    "pytest-rerunfailures",
    "trustme",
)
SHOWN = re.compile(
    r"groq|openai|httpx|opentelemetry-(api|instrumentation-(groq|httpx)|util-genai)|logfire|pydantic(-ai-slim)?|duckdb|open(inference-instrumentation-groq|lit)|genai-prices|msgspec"
)


@dataclass(frozen=True)
class Set:
    """Versions, and what runs with them."""

    resolution: str
    suite: Sequence[str] = SUITE
    more: Sequence[str] = ()
    """Files of requirements beside our own."""
    extras: Sequence[str] = ("--all-extras",)


SETS = {
    "oldest": Set("lowest-direct", more=("tests/compat/clients.txt",)),
    "newest": Set("highest", more=("tests/compat/clients.txt",)),
    "beside": Set("highest", ("tests/beside",), ("tests/beside/requirements.txt",)),
    **{
        f"frameworks-{sdk}": Set(
            "highest",
            # What the frameworks warn of, or leave unclosed, is not ours to mend.
            ("tests/frameworks", "-W", "default"),
            (f"tests/frameworks/requirements-{sdk}.txt",),
            ("--extra", "simulator"),
        )
        for sdk in ("openai2", "openai3")
    },
}


class NotRunError(Exception):
    """A set could not be run; why."""


def run(name: str, uv: str, *, fresh: bool) -> tuple[bool, str]:
    """Run a set; whether it passed, and what to say of it."""
    place = CACHE / name
    place.mkdir(parents=True, exist_ok=True)
    pins = place / "requirements.txt"
    try:
        said = resolve(SETS[name], uv, pins)
        python = prepare(place, uv, pins, fresh=fresh)
    except NotRunError as error:
        return False, f"{name}: not run: {error}"
    versions = read(pins)
    lines = [f"{name}: " + ", ".join(f"{p} {v}" for p, v in versions.items() if SHOWN.fullmatch(p)), *said]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "GROQ", "LOGFIRE_", "PYTEST_"))}
    # One order, as in `make test`: what fails here is a version's fault.
    options = ("-q", "--no-header", "--randomly-seed=1", "-m", "not slow")
    command = (str(python), "-m", "pytest", *options, *SETS[name].suite)
    done = subprocess.run(
        command, cwd=ROOT, env=kept, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    (place / "log").write_text(done.stdout, "utf-8")
    dots = re.compile(r"[.sRFEx]+ *\[ *\d+%\]")
    lines += [line for line in done.stdout.splitlines() if line and not dots.fullmatch(line)]
    if done.returncode and SETS[name].resolution == "highest":
        known = read(KNOWN)
        moved = [f"{p} {known[p]} -> {v}" for p, v in versions.items() if p in known and known[p] != v]
        lines.append(f"{name} FAILED. Moved since {KNOWN.name}: {', '.join(moved) or 'nothing'}")
    elif done.returncode:
        lines.append(f"{name} FAILED: a lower bound of pyproject.toml does not hold")
    return not done.returncode, "\n".join(lines)


def resolve(chosen: Set, uv: str, pins: Path) -> list[str]:
    """Write the versions of today into `pins`; return what there is to say about it.

    Raises:
        NotRunError: there are no versions that fit together, or the registry is away and no earlier ones are known.
    """
    fresh = pins.with_suffix(".new")
    command = (uv, "pip", "compile", "pyproject.toml", *chosen.more, *chosen.extras, "--quiet")
    wanted = ("--resolution", chosen.resolution, "--no-header", "--no-annotate", "--python", sys.executable)
    done = subprocess.run((*command, *wanted, "-o", str(fresh)), cwd=ROOT, check=False, text=True, capture_output=True)
    if not done.returncode:
        fresh.replace(pins)
        return []
    reason = done.stderr.strip()
    if "No solution found" in reason:
        raise NotRunError(f"its versions do not fit together\n{reason}")
    if not pins.exists():
        raise NotRunError(f"the registry cannot be reached\n{reason}")
    return [f"The registry cannot be reached ({reason.splitlines()[0]}): these are the versions of the last time."]


def prepare(place: Path, uv: str, pins: Path, *, fresh: bool) -> Path:
    """Make the environment, unless it is there and holds just that; return its Python.

    Raises:
        NotRunError: something cannot be installed.
    """
    python, stamp = place / "environment" / "bin" / "python", place / "stamp"
    holds = "\n".join((sys.version, *TOOLS, pins.read_text("utf-8"), (ROOT / "pyproject.toml").read_text("utf-8")))
    if not fresh and python.exists() and stamp.exists() and stamp.read_text("utf-8") == holds:
        return python
    stamp.unlink(missing_ok=True)
    install = (uv, "pip", "install", "--quiet", "--python", str(python))
    for command in (
        (uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(place / "environment")),
        (*install, "-r", str(pins), *TOOLS),
        (*install, "--no-deps", "--no-build-isolation", "-e", "."),
    ):
        done = subprocess.run(command, cwd=ROOT, check=False, text=True, capture_output=True)
        if done.returncode:
            raise NotRunError(done.stderr.strip())
    stamp.write_text(holds, "utf-8")
    return python


def read(pins: Path) -> dict[str, str]:
    """Return the versions that a file of requirements pins."""
    return dict(re.findall(r"^([a-z0-9.-]+)(?:\[[^]]*\])?==([^ ;\\\n]+)", pins.read_text("utf-8"), re.MULTILINE))


def main() -> int:
    """Run the sets that are asked for, side by side."""
    parser = argparse.ArgumentParser(prog="compat", description=__doc__)
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"{', '.join(SETS)}; all by default")
    parser.add_argument("--fresh", action="store_true", help="make the environments anew")
    given = parser.parse_args()
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        parser.error("uv is not there; run: pip install uv")
    for name in given.sets:
        if name not in SETS:
            parser.error(f"no such set: {name}; there are {', '.join(SETS)}")
    print(
        f"{', '.join(given.sets or SETS)}: side by side, each in an environment below {CACHE.relative_to(ROOT)}",
        flush=True,
    )
    passed = True
    with ThreadPoolExecutor() as pool:
        for ok, said in pool.map(lambda name: run(name, uv, fresh=given.fresh), given.sets or SETS):
            print(said, flush=True)
            passed &= ok
    return not passed


if __name__ == "__main__":
    sys.exit(main())
