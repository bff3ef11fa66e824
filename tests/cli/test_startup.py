"""What a command waits for before it begins: nothing that it does not use."""

import json
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
import json, os, sys
from groqscope.cli import main
for command, variables in json.loads(sys.argv.pop()):
    sys.argv[1:] = command
    os.environ.update(variables)
    try:
        main()
    except SystemExit:
        pass
    print(json.dumps([command, sorted(sys.modules)]), file=sys.stderr)
"""
"""Commands in one process: what one of them imports is there after it, and after all that follow."""


def imported(program: str, *commands: list[str], at: Path | None = None, **variables: str) -> dict[str, set[str]]:
    """Run a program, and return the modules in memory after each command, by name and by top-level name."""
    return in_memory(program, json.dumps([(command, variables) for command in commands]), at)


def in_memory(program: str, argument: str = "", at: Path | None = None) -> dict[str, set[str]]:
    """Return what a program writes of its modules to standard error, line by line."""
    done = subprocess.run(
        [sys.executable, "-c", program, argument], cwd=at, capture_output=True, text=True, timeout=60, check=True
    )
    written: list[tuple[list[str], list[str]]] = [json.loads(x) for x in done.stderr.splitlines() if x.startswith("[[")]
    return {
        " ".join(command): {*modules, *(name.partition(".")[0] for name in modules)} for command, modules in written
    }


def test_help_and_version() -> None:
    """Help and version import the command line alone."""
    found = imported(PROGRAM, ["--version"], ["--help"], ["audit", "--help"], ["tail", "-h"], ["stack", "init"])

    assert len(found) == 5
    for command, modules in found.items():
        assert modules & HELP == set(), command


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    """The shell waits at every press of the tab key, so completion imports the command line alone."""
    line = "groqscope audit --b"
    words: dict[str, Any] = {"COMP_WORDS": line, "COMP_CWORD": "2", "_TYPER_COMPLETE_ARGS": line}
    action: dict[str, Any] = {"_TYPER_COMPLETE_FISH_ACTION": "get-args", "_GROQSCOPE_COMPLETE": f"complete_{shell}"}
    (modules,) = imported(PROGRAM, [], **words, **action).values()

    # typer writes the help of zsh's and fish's answers with rich
    assert modules & HELP <= {"rich"}


def test_reading(tmp_path: Path) -> None:
    """Reading and reporting need neither the SDK nor OpenTelemetry."""
    store = str(write_store(tmp_path / "store", traffic(30)).parent)
    interrupted = "import threading\ndef wait(*_): raise KeyboardInterrupt\nthreading.Event.wait = wait\n" + PROGRAM
    commands = [["audit"], ["audit", "--json"], ["audit", "--html", "page.html"], ["tail"]]
    found = imported(interrupted, *([*command, store] for command in commands), at=tmp_path)

    assert len(found) == len(commands)
    for command, modules in found.items():
        assert "groqscope.store" in modules
        assert modules & HEAVY == set(), command


def test_import_groqscope() -> None:
    """`import groqscope` itself imports next to nothing, and so does the plugin, which pytest loads in every run."""
    program = "import json, sys, groqscope, {0}; print(json.dumps([['{0}'], sorted(sys.modules)]), file=sys.stderr)"
    plugin = "groqscope.pytest_plugin"

    assert in_memory(program.format("groqscope.instrument"))["groqscope.instrument"] & HELP == set()
    assert in_memory(program.format(plugin))[plugin] & (HEAVY | {"groqscope.audit"}) == set()


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
