"""Programs of their own, for what can be set once per process: forked from one that has everything imported.

    with Programs() as programs:
        done = programs.run("print(1)", NAME="value")

A program ends as any other does: exit handlers run, signals kill, exceptions print. Where there is no fork each one is
started afresh.
"""

import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final, Self

IMPORTED: Final = (
    "groqscope.cli.app",
    "groqscope.cli.doctor_checks",
    "groqscope.configuration.declarative",
    "groqscope.configuration.logfire_setup",
    "groqscope.configuration.pipelines",
    "groqscope.delivery.exporters",
    "groqscope.instrument.seam",
    "groqscope.telemetry",
    "httpcore",
    "opentelemetry.configuration.file",
)
"""Imported once, for all programs; most of them need these, and some import them only when they do."""


@dataclass(frozen=True)
class Done:
    """How a program ended."""

    status: int
    """Its exit status; negative is the signal that killed it."""
    stdout: str
    stderr: str


class Programs:
    """Runs programs one after the other."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-W", "error", __file__]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, code: str, environment: Mapping[str, str]) -> Done:
        """Run a program with exactly this environment."""
        with tempfile.TemporaryDirectory() as directory:
            out, err = Path(directory) / "out", Path(directory) / "err"
            if not hasattr(os, "fork"):
                return _afresh(code, environment)
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            order = {"code": code, "environment": dict(environment), "out": str(out), "err": str(err)}
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
            return Done(int(answer), out.read_text(), err.read_text())

    def command(self, *arguments: str, **variables: str) -> Done:
        """Run a `groqscope` command, in the environment as it is now and some variables more."""
        code = f"import sys; from groqscope.cli import main; sys.argv[1:] = {list(arguments)!r}; main()"
        return self.run(code, {**os.environ, **variables})


def _afresh(code: str, environment: Mapping[str, str]) -> Done:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def _main() -> str | None:
    """Fork a child for each order; return its code in the child, and nothing at the end."""
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            for number, name in ((1, "out"), (2, "err")):
                os.dup2(os.open(order[name], os.O_WRONLY | os.O_CREAT), number)
            os.environ.clear()
            os.environ.update(order["environment"])
            return order["code"]
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()
    return None


if __name__ == "__main__":
    for module in IMPORTED:
        # `make compat` installs less, and versions of which another has deprecated what they use.
        with suppress(ImportError, DeprecationWarning):
            import_module(module)

    # What is imported stays: no program's garbage collection, above all that at its end, walks through it.
    gc.collect()
    gc.freeze()
    program = _main()
    if program is not None:
        exec(compile(program, "<program>", "exec"), {"__name__": "__main__"})
