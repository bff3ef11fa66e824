"""What a command waits for before it begins: nothing that it does not use."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.files import write_store
from support.traffic import traffic

HEAVY = frozenset(
    {"groq", "httpx", "logfire", "multiprocessing", "opentelemetry", "pydantic_ai", "requests", "starlette", "uvicorn"}
)
"""What takes 10 ms to 600 ms to import. (pydantic is not among them: typer itself needs it.)"""
HELP = HEAVY | {"groqscope.audit", "groqscope.store", "groqscope.telemetry", "groqscope.timeline", "rich"}
"""What help, the version and the shell's completion need even less."""
PROGRAM = """
import json, sys
from groqscope.cli import main
try:
    main()
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def imported(program: str, *arguments: str, at: Path | None = None, **settings: str) -> set[str]:
    """Run a program, and give the modules it leaves in memory, by name and by top-level name."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=at,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    modules: list[str] = json.loads(done.stderr.splitlines()[-1])
    return {*modules, *(name.partition(".")[0] for name in modules)}


@pytest.mark.parametrize("command", [["--version"], ["--help"], ["audit", "--help"], ["tail", "-h"], ["stack", "init"]])
def test_help_and_version(command: list[str]) -> None:
    """Help and version import the command line alone."""
    assert imported(PROGRAM, *command) & HELP == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    """The shell waits at every press of the tab key, so completion imports the command line alone."""
    line = "groqscope audit --b"
    words: dict[str, Any] = {"COMP_WORDS": line, "COMP_CWORD": "2", "_TYPER_COMPLETE_ARGS": line}
    action: dict[str, Any] = {"_TYPER_COMPLETE_FISH_ACTION": "get-args", "_GROQSCOPE_COMPLETE": f"complete_{shell}"}

    # typer writes the help of zsh's and fish's answers with rich
    assert imported(PROGRAM, **words, **action) & HELP <= {"rich"}


@pytest.mark.parametrize("command", [["audit"], ["audit", "--json"], ["audit", "--html", "page.html"], ["tail"]])
def test_reading(command: list[str], tmp_path: Path) -> None:
    """Reading and reporting need neither the SDK nor OpenTelemetry."""
    write_store(tmp_path / "store", traffic(30))
    interrupted = "import threading\ndef wait(*_): raise KeyboardInterrupt\nthreading.Event.wait = wait\n" + PROGRAM
    modules = imported(interrupted, *command, str(tmp_path / "store"), at=tmp_path)

    assert "groqscope.store" in modules
    assert modules & HEAVY == set()


def test_import_groqscope() -> None:
    """`import groqscope` itself imports next to nothing, and so does the plugin, which pytest loads in every run."""
    program = "import json, sys, groqscope, {}; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"

    assert imported(program.format("groqscope.instrument")) & HELP == set()
    assert imported(program.format("groqscope.pytest_plugin")) & (HEAVY | {"groqscope.audit"}) == set()


def test_what_is_not_imported_yet_is_there() -> None:
    """Every public name is listed before it is used, and is the same however it is come by."""
    program = """
import json, sys, groqscope
listed = set(dir(groqscope)) >= {*groqscope.__all__, "GroqModel"}
import groqscope.instrument.instrumentor
from groqscope import instrument, record_of
from groqscope.instrument import instrument as function
print(listed, instrument is groqscope.instrument is function, record_of is groqscope.record_of)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "True True True\n"
