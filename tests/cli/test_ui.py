"""`groqscope ui`: its sentences, and how it ends."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from groqscope.cli.app import run


@pytest.fixture
def program(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "groqscope", "ui", "--port", "0"]
    environment = {**os.environ, "GROQSCOPE_HOME": str(tmp_path / "home")}
    with subprocess.Popen(command, env=environment, text=True, stdout=-1, stderr=-1) as started:
        yield started
        started.kill()


@pytest.mark.slow
def test_serves_until_interrupted(program: "subprocess.Popen[str]", tmp_path: Path) -> None:
    """It says where the page is and what it follows, serves it, and Ctrl-C ends it without a word."""
    assert program.stdout is not None
    lines = [program.stdout.readline() for _ in range(3)]
    address = lines[0].removeprefix("The page: ").strip()

    assert lines[1] == f"It follows {tmp_path / 'home' / 'store'}; Ctrl-C ends it.\n"
    assert lines[2].strip().endswith(f"OTEL_EXPORTER_OTLP_ENDPOINT={address.rstrip('/')}")
    assert httpx.get(address).status_code == 200

    program.send_signal(signal.SIGINT)

    assert program.communicate(timeout=30) == ("", "")
    assert program.returncode == 0


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """If the port is taken, one sentence says so and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert run(["ui", str(tmp_path), "--port", str(port)]) == 2

    said = capsys.readouterr().err

    assert said.startswith(f"groqscope: cannot listen on 127.0.0.1 port {port} (address already in use): ")
    assert "--port 0 takes a free one" in said


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """A file that does not exist is named in one sentence."""
    assert run(["ui", "nowhere.jsonl"]) == 2
    assert "there is no file or directory 'nowhere.jsonl'" in capsys.readouterr().err


def test_without_the_extra(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """If a package is missing, one sentence has the command that installs it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    assert run(["ui"]) == 2
    assert "pip install 'groqscope[ui]'" in capsys.readouterr().err
