"""A store is compacted by itself, beside the program and never instead of its work."""

import os
import subprocess
import sys

import pytest
from support.files import write_store
from support.spans import span_of
from support.traffic import request, traffic

from groqscope import history
from groqscope.history import background
from groqscope.store import LocalSpanExporter, ReadReport


@pytest.fixture
def started(monkeypatch):
    """The commands that would have been run."""
    commands = []

    class Process:
        def __init__(self, command, **options) -> None:
            commands.append((command, options))

        def poll(self):
            return 0

    monkeypatch.setattr(background.subprocess, "Popen", Process)
    monkeypatch.setattr(background, "_running", [])
    return commands


def _closed_store(folder):
    exporter = LocalSpanExporter(folder, segment_bytes=1)
    for number in range(3):
        exporter.export([span_of(request(number))])
    exporter.shutdown()
    return folder


def test_when_closed_files_reach_a_size(tmp_path, started):
    """Below it nothing happens; from it on one process is started, apart from this one's terminal."""
    store = _closed_store(tmp_path)

    assert not history.compact_in_background(store)
    assert history.compact_in_background(store, least_bytes=100)

    ((command, options),) = started
    assert command == [sys.executable, "-m", "groqscope.history", str(store)]
    assert options["start_new_session"]
    assert options["env"]["OTEL_SDK_DISABLED"] == "true"


@pytest.mark.parametrize("executable", ["/usr/bin/uwsgi", "/opt/app/frozen-app", "", None])
def test_a_program_that_would_start_itself(executable, tmp_path, started, monkeypatch):
    """Only a Python is started."""
    monkeypatch.setattr(sys, "executable", executable)

    assert not history.compact_in_background(_closed_store(tmp_path), least_bytes=1)
    assert not started


def test_without_duckdb(tmp_path, started, monkeypatch):
    """Nothing is started."""
    monkeypatch.setattr(background, "installed", lambda: False)

    assert not history.compact_in_background(_closed_store(tmp_path), least_bytes=1)
    assert not started


@pytest.mark.injects_failure
def test_what_follows_a_file_cannot_stop_the_next(tmp_path):
    """The exporter calls when a file is closed, and whatever comes of it, spans are written."""
    calls = []

    def fail() -> None:
        calls.append(1)
        raise RuntimeError("no process")

    exporter = LocalSpanExporter(tmp_path, segment_bytes=1, on_closed=fail)
    for number in range(3):
        exporter.export([span_of(request(number))])

    assert (len(calls), exporter.lost_spans, len(list(tmp_path.glob("*.jsonl")))) == (2, 0, 3)


@pytest.mark.slow
def test_the_process(tmp_path):
    """As it is started, it compacts what is closed."""
    path = write_store(tmp_path, traffic(20))
    os.utime(path, (1_600_000_000, 1_600_000_000))

    subprocess.run([sys.executable, "-m", "groqscope.history", str(tmp_path)], check=True, timeout=60)

    assert not path.exists()
    assert len(list(history.Dataset([str(tmp_path)], ReadReport()).records())) == 20
