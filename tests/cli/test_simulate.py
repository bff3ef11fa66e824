"""`groqscope simulate`, run as users run it."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from groq import Groq
from support.programs import Programs

COMMAND = [sys.executable, "-c", "from groqscope.cli import main; main()", "simulate"]


def rest_of(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """What it still says until it ends. Not `communicate`, which passes over what `readline` has buffered."""
    impatient = threading.Timer(30, process.kill)
    impatient.start()
    with process.stdout, process.stderr:
        told, errors = process.stdout.read(), process.stderr.read()
    process.wait(timeout=20)
    impatient.cancel()
    return told, errors


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A server on a free port, and its address; interrupted at the end."""
    command = [*COMMAND, "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        first = process.stdout.readline()
        yield re.search(r"http://\S+:\d+", first)[0], process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            rest_of(process)


def test_it_answers_until_it_is_interrupted() -> None:
    """Any request gets words; each is told in a line; Ctrl+C is a proper end."""
    with serving() as (url, process):
        with Groq(base_url=url, api_key="any") as client:
            text = client.chat.completions.create(model="whatever", messages=[]).choices[0].message.content
        process.send_signal(signal.SIGINT)
        told, errors = rest_of(process)

    assert "simulator" in text
    assert f"export GROQ_BASE_URL={url}" in told
    assert re.search(r"200 +[\d.]+ ms  POST /openai/v1/chat/completions  whatever", told)
    assert (process.returncode, errors) == (0, "")


def test_it_serves_on_when_its_reader_has_left() -> None:
    """`groqscope simulate | head -1` ends neither in a traceback nor in a word about its port."""
    with serving() as (url, process):
        process.stdout.close()
        with Groq(base_url=url, api_key="any") as client:
            for _ in range(2):
                client.chat.completions.create(model="whatever", messages=[])
        process.send_signal(signal.SIGINT)
        with process.stderr:
            errors = process.stderr.read()
        process.wait(timeout=20)

    assert (process.returncode, errors) == (0, "")


def test_it_replays_the_bundled_recordings_at_a_pace() -> None:
    """`--replay bundled --pace 1`: a recorded stream, and the models that can be asked."""
    with serving("--replay", "bundled", "--pace", "1", "--quiet") as (url, process):
        with Groq(base_url=url, api_key="any") as client:
            stream = client.chat.completions.create(model="compound-beta", messages=[], stream=True)
            count = len(list(stream))
        process.send_signal(signal.SIGINT)
        told, _ = rest_of(process)

    assert count == 226
    assert "    compound-beta\n" in told
    assert "POST" not in told


def test_a_bad_recording_is_said_and_the_rest_served(tmp_path: Path) -> None:
    """One good file, one broken: a sentence on standard error, and the good one answers."""
    from groqscope import simulator

    (tmp_path / "good.json").write_bytes((simulator.BUNDLED / "pai_extra_headers_0.json").read_bytes())
    (tmp_path / "bad.json").write_text("{")
    with serving("--replay", str(tmp_path)) as (url, process):
        headers = {"authorization": "Bearer any"}
        body = {"model": "llama-3.3-70b-versatile", "messages": []}
        answer = httpx.post(f"{url}/openai/v1/chat/completions", json=body, headers=headers)
        process.send_signal(signal.SIGINT)
        _, errors = rest_of(process)

    assert answer.status_code == 200
    assert errors.startswith(f"groqscope: not served: {tmp_path / 'bad.json'}: not a recording")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--replay", "no/such/folder"], "no/such/folder: no such directory"),
        (["--pace", "fast"], "--pace 'fast': use `reported`, or milliseconds before each event"),
        (["--pace", "-1"], "--pace '-1'"),
        (["--speed", "0"], "--speed"),
        (["--port", "70000"], "--port"),
        (["--host", "203.0.113.1"], "cannot listen on 203.0.113.1 port"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: list[str], sentence: str, programs: Programs) -> None:
    """What was wrong, and what to do; exit status 2."""
    done = programs.command("simulate", *arguments)

    assert done.status == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_said(programs: Programs) -> None:
    """Two servers on one port: the second says how to get another."""
    with serving() as (url, _):
        port = url.rpartition(":")[2]
        done = programs.command("simulate", "--port", port)

    assert done.status == 2
    assert f"cannot listen on 127.0.0.1 port {port}" in done.stderr
    assert "--port 0" in done.stderr


def test_an_open_host_is_warned_about() -> None:
    """Anything but loopback: others can reach it, and that is said."""
    with serving("--host", "0.0.0.0") as (_, process):
        os.kill(process.pid, signal.SIGINT)
        _, errors = rest_of(process)

    assert errors == "groqscope: 0.0.0.0 is not a loopback address: other machines can reach this server\n"
    assert process.returncode == 0
