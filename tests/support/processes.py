"""Programs in processes of their own, and what they left in the local store."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from groqscope import RequestRecord
from groqscope.store import read_records
from support.exits import CHUNK
from support.scope import STREAM, Wire, groq_client, sse

TESTS = Path(__file__).parents[1]
WHOLE = [CHUNK, CHUNK, b"data: [DONE]\n\n"]
"""A stream of two chunks."""

PRELUDE = """
import os, signal, sys, threading, time
import groqscope
from support.processes import ask, client, left_open, opened
"""


def client() -> Any:
    """A client whose resources are made: their first use takes a lock (Python 3.11), and imports."""
    made = groq_client("sync", http={"transport": Wire(lambda _: sse(*WHOLE))})
    assert made.chat.completions.create
    return made


def opened(of: Any = None) -> Any:
    """Begin a stream: one of its two chunks is read."""
    stream = (of or client()).chat.completions.create(**STREAM)
    next(iter(stream))
    return stream


left_open: list[Any] = []
"""Streams that live as long as the process."""


def ask(count: int = 1, of: Any = None) -> None:
    """Make requests that complete."""
    for _ in range(count):
        list(opened(of))


def environment(home: Path, **variables: str) -> dict[str, str]:
    """What a program runs in: no settings but those given, the store below `home`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "GROQ", "LOGFIRE_"))}
    return kept | {"PYTHONPATH": str(TESTS), "GROQSCOPE_HOME": str(home), "PYTHONUNBUFFERED": "1", **variables}


def start(directory: Path, code: str, **variables: str) -> subprocess.Popen[str]:
    """Start a program; from a file, which `multiprocessing` needs to start others like it."""
    script = directory / "program.py"
    script.write_text(PRELUDE + textwrap.dedent(code), "utf-8")
    return subprocess.Popen(
        [sys.executable, str(script)],
        env=environment(directory, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(directory: Path, code: str, *, status: int = 0, **variables: str) -> str:
    """Run a program to its end; return what it wrote to standard error."""
    with start(directory, code, **variables) as process:
        _, errors = process.communicate(timeout=90)

    assert process.returncode == status, errors
    return errors


def stored(directory: Path) -> list[RequestRecord]:
    """The records that programs of this directory left."""
    return list(read_records([directory / "store"]))


def outcomes(directory: Path) -> list[str]:
    """How they ended, sorted; a span that was exported twice is there twice."""
    return sorted(str(record.outcome) for record in stored(directory))
