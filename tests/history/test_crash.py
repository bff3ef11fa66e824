"""Compaction is killed at any moment: nothing is lost, nothing doubled."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace

import pytest
from support.files import write_store
from support.traffic import traffic

from groqscope import audit, history

TRIALS = 100
_COMPACT = """
import os, sys
import duckdb
from pathlib import Path
from groqscope import history
from groqscope.history import compaction
compaction.CHUNK = 15
print("ready", flush=True)
for line in sys.stdin:
    # Each trial in a child of its own, which the parent kills: imports are paid for once.
    child = os.fork()
    if child == 0:
        try:
            history.compact(Path(line.strip()), batch_bytes=1, now_ns=4 * 10**18)
        finally:
            os._exit(0)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("over", flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_killed_at_any_moment(tmp_path):
    """A hundred times, after between nothing and about all of the time it takes; each time every request once."""
    written = [replace(r, service=f"s{number % 3}") for number, r in enumerate(traffic(60))]
    chance = random.Random(7)
    killed = 0
    with subprocess.Popen(
        [sys.executable, "-c", _COMPACT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        for trial in range(TRIALS):
            store = tmp_path / str(trial)
            for part in range(3):
                write_store(store, written[part * 20 : part * 20 + 20])
            program.stdin.write(f"{store}\n")
            program.stdin.flush()
            child = int(program.stdout.readline())
            time.sleep(chance.uniform(0, 0.5))
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
                killed += 1
            assert program.stdout.readline() == "over\n"
            _check(store, written)
            shutil.rmtree(store)
        program.stdin.close()
    assert killed


def _check(store, written):
    assert _starts(store) == [r.start_unix_ns for r in written]  # what a reader sees meanwhile
    history.compact(store, now_ns=4 * 10**18)
    assert not list(store.glob("*.jsonl"))
    stored = [r.start_unix_ns for r in history.Dataset([str(store)], audit.ReadReport()).records()]
    assert stored == [r.start_unix_ns for r in written]
    assert not [path for path in (store / ".compaction").iterdir() if path.name != "lock"]


def _starts(store):
    return [record.start_unix_ns for record in audit.load(store)]
