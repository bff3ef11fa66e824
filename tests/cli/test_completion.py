"""Completion as the shells do it: those that this machine has."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
SHELLS = ("bash", "fish", "zsh")


def environment(home: Path) -> dict[str, str]:
    """What a shell of a new user sees, with the command on its path."""
    return {"HOME": str(home), "PATH": f"{BIN}:{os.environ['PATH']}", "LANG": "C.UTF-8", "TERM": "dumb"}


def install(shell: str, home: Path) -> None:
    """Install completion the way `groqscope --install-completion` says, from within the shell."""
    # `true` after it: a shell that runs one command becomes that command, and then there is no shell to be seen.
    command = [shell, "-c", "groqscope --install-completion; true"]
    done = subprocess.run(command, env=environment(home), capture_output=True, text=True, timeout=60, check=True)
    assert f"{shell} completion installed" in done.stdout, done.stderr


def bash(line: str, home: Path) -> str:
    """What bash offers for the last word of a line."""
    script = f"""
        source ~/.bashrc
        COMP_WORDS=({line}) COMP_CWORD={len(line.split()) - 1}
        _groqscope_completion groqscope
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return run(["bash", "--noprofile", "--norc", "-c", script], home)


def fish(line: str, home: Path) -> str:
    """What fish offers."""
    return run(["fish", "-c", f"complete -C '{line}'"], home)


def zsh(line: str, home: Path) -> str:
    """What zsh shows when the tab key is pressed; it completes only at a terminal."""
    shell, terminal = pty.fork()
    if shell == 0:
        os.chdir(home)
        os.execvpe("zsh", ["zsh", "-i"], {**environment(home), "PS1": "READY "})
    shown = b""
    try:
        shown += read_until(terminal, b"READY ")
        os.write(terminal, line.encode() + b"\t\t")
        shown = read_until(terminal, b"READY ")
    finally:
        os.close(terminal)
        os.waitpid(shell, 0)
    return shown.decode()


def read_until(terminal: int, text: bytes, seconds: float = 60) -> bytes:
    """Read from a terminal until a text appears."""
    shown, end = b"", time.monotonic() + seconds
    while text not in shown:
        ready, _, _ = select.select([terminal], [], [], max(0.0, end - time.monotonic()))
        assert ready, shown
        shown += os.read(terminal, 65536)
    return shown


def run(command: list[str], home: Path) -> str:
    """Run a command in the home directory."""
    done = subprocess.run(
        command, cwd=home, env=environment(home), capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


OFFERED: dict[str, Callable[[str, Path], str]] = {"bash": bash, "fish": fish, "zsh": zsh}


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_options_are_offered(shell: str, tmp_path: Path) -> None:
    """After `groqscope --install-completion` the shell offers what begins with the word, and nothing else."""
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} on this machine")
    install(shell, tmp_path)
    offered = OFFERED[shell]("groqscope audit --b", tmp_path)

    assert all(option in offered for option in ("--budget", "--budgets", "--by"))
    assert "--since" not in offered
    assert shell == "bash" or "With --slowest: by this field" in offered


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_commands_and_files_are_offered(shell: str, tmp_path: Path) -> None:
    """A command is offered by its beginning; where a file may stand, the shell's own completion takes over."""
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} on this machine")
    install(shell, tmp_path)
    (tmp_path / "run.jsonl").touch()

    assert "audit" in OFFERED[shell]("groqscope au", tmp_path)
    assert shell == "bash" or "run.jsonl" in OFFERED[shell]("groqscope audit run", tmp_path)
