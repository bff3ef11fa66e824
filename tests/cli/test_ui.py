"""`groqscope ui`: its sentences, and how it ends."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from typing import Self

import httpx
import pytest

from groqscope._serving import names_of_this_machine
from groqscope.cli.app import run
from groqscope.cli.ui import announce
from groqscope.ui import Server


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


@pytest.mark.parametrize(("host", "why"), [("203.0.113.1", "cannot assign requested address"), ("nowhere.invalid", "")])
def test_a_host_that_is_not_this_machine(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, host: str, why: str
) -> None:
    """A host on which nothing can listen gets a hint about the host, not about the port."""
    assert run(["ui", str(tmp_path), "--port", "0", "--host", host]) == 2

    said = capsys.readouterr().err

    assert said.startswith(f"groqscope: cannot listen on {host} port 0 (")
    assert why in said
    assert said.endswith("): --host takes an address of this machine: 127.0.0.1 for itself, 0.0.0.0 for others too\n")


def test_addresses_for_other_machines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With every address bound, what a colleague can open is printed, and what a program there needs."""
    monkeypatch.setattr("groqscope.ui.server.names_of_this_machine", lambda: ["desk", "192.0.2.7"])
    server = Server(tmp_path, host="0.0.0.0", port=4400, token="secret")
    announce(server, "secret", read_only=False, open_=False)
    out = capsys.readouterr().out.splitlines()

    assert out[:3] == [
        "The page: http://127.0.0.1:4400/?token=secret",
        "From other machines: http://desk:4400/?token=secret",
        "From other machines: http://192.0.2.7:4400/?token=secret",
    ]
    assert out[4].endswith("OTEL_EXPORTER_OTLP_ENDPOINT=http://192.0.2.7:4400")


def test_what_this_machine_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name, and its addresses as far as it knows them, each once and none of loopback."""

    class Route:
        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None: ...

        def connect(self, address: object) -> None: ...

        def getsockname(self) -> tuple[str, int]:
            return "192.0.2.7", 50_000

    known = [(2, 1, 6, "", (address, 0)) for address in ("127.0.1.1", "192.0.2.7", "192.0.2.8")]
    monkeypatch.setattr("socket.gethostname", lambda: "desk")
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: known)
    monkeypatch.setattr("socket.socket", lambda *_: Route())

    assert names_of_this_machine() == ["desk", "192.0.2.7", "192.0.2.8"]


def test_opens_a_browser(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`--open` opens the page, in whatever browser the machine has."""
    opened = Queue[str]()
    monkeypatch.setattr("webbrowser.open", opened.put)
    announce(Server(tmp_path, port=4400), None, read_only=True, open_=True)

    assert opened.get(timeout=30) == "http://127.0.0.1:4400/"


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """A file that does not exist is named in one sentence."""
    assert run(["ui", "nowhere.jsonl"]) == 2
    assert "there is no file or directory 'nowhere.jsonl'" in capsys.readouterr().err


def test_without_the_extra(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """If a package is missing, one sentence has the command that installs it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    assert run(["ui"]) == 2
    assert "pip install 'groqscope[ui]'" in capsys.readouterr().err
