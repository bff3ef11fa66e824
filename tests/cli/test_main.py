"""The command line as a whole."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from groqscope import __version__
from groqscope.cli.app import COMMANDS, application, run

GROQSCOPE = [sys.executable, "-c", "from groqscope.cli import main; main()"]


def names(app):
    return [c.name for c in app.registered_commands] + [g.name for g in app.registered_groups]


def test_without_arguments_there_is_help(capsys):
    """`groqscope` alone shows what it can do, and is no mistake."""
    assert run([]) == 0
    shown = capsys.readouterr().out
    assert "Usage: groqscope" in shown
    assert all(name in shown for name in names(application()))


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version(option, capsys):
    """The version is one line, with those of what it stands on."""
    assert run([option]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"groqscope {__version__} (Python {platform.python_version()}, groq ")
    assert shown.count("\n") == 1


@pytest.mark.parametrize("command", [*sorted(COMMANDS), "stack init", "stack check"])
def test_every_command_has_an_example(command, capsys):
    """Help ends in an example that begins with the command, and fits a terminal of 80 columns."""
    assert run([*command.split(), "--help"]) == 0
    shown = capsys.readouterr().out

    assert f"groqscope {command}" in shown.partition("Example")[2]
    assert [line for line in shown.splitlines() if len(line) > 80] == []


def test_a_group_alone_shows_its_help(capsys):
    """`groqscope stack` is no mistake either."""
    assert run(["stack"]) == 0
    assert "init" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["audt"], "No such command 'audt'"),
        (["audit", "--nonsense"], "No such option: --nonsense"),
        (["audit", "--last", "x"], "Invalid value for '--last'"),
        (["audit", "--compare", "only-one"], "requires 2 arguments"),
    ],
)
def test_a_wrong_command_line(arguments, message, capsys):
    """A mistake is told on standard error, with exit status 2."""
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_ctrl_c(monkeypatch, capsys):
    """Ctrl-C ends a command without a traceback, with the status shells expect."""
    import groqscope.cli.audit as command

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "sort_out", interrupted)

    assert run(["audit"]) == 130
    assert capsys.readouterr().err == ""


def test_a_reader_that_leaves(tmp_path):
    """`groqscope audit --fields | head -1` is no error."""
    command = f"{sys.executable} -c 'from groqscope.cli import main; main()' audit --fields"
    done = subprocess.run(
        ["sh", "-c", f"({command}; echo status $? >&2) | head -n 1"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )

    assert done.stdout.startswith("duration")
    assert done.stderr == "status 0\n"


@pytest.mark.parametrize("command", [["audit", "--fields"], ["--help"]])
def test_a_full_disk_below_standard_output(command):
    """What cannot be written is said in one sentence, and is a mistake: status 1 would be a budget that is over."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*GROQSCOPE, *command], stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )

    assert done.stderr == "groqscope: cannot write to standard output: No space left on device\n"
    assert done.returncode == 2


@pytest.mark.parametrize("command", [["audit", "--fields"], ["stack", "init", "größer"]])
def test_a_terminal_that_cannot_show_a_character(command, tmp_path):
    """A path or a word beyond the terminal's encoding is written in ASCII instead, and nothing stops."""
    done = subprocess.run(
        [*GROQSCOPE, *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1", "GROQSCOPE_HOME": str(tmp_path / "größe")},
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "\\" in done.stdout


def test_help_imports_nothing_heavy():
    """Help needs neither rich, httpx's client nor logfire of our own accord: commands import when they run."""
    script = (
        "import sys, groqscope; before = set(sys.modules); from groqscope.cli.app import application; application();"
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

    loaded = set(done.stdout.split())
    assert not loaded & {"logfire", "pydantic_ai", "starlette", "uvicorn", "msgspec", "genai_prices"}
