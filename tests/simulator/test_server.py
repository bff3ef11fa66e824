"""The server itself: limits, addresses, what is missing."""

import importlib.util
import socket
import subprocess
import sys
import time
from typing import Any

import groq
import httpx
import pytest
from groq import Groq
from support.waiting import wait_for

from groqscope.simulator import Answer, Connection, Hang, MissingExtraError, Simulator
from groqscope.simulator.server import make_local_tls

CHAT = "/openai/v1/chat/completions"
KEY = {"authorization": "Bearer test"}


def test_it_listens_on_loopback_only_while_it_is_started() -> None:
    """A free port of 127.0.0.1; started twice is started once; stopped, nobody listens."""
    sim = Simulator()
    sim.start()
    url = sim.start().base_url
    host, port = url.removeprefix("http://").split(":")

    assert host == "127.0.0.1"
    assert httpx.get(f"{url}/openai/v1/models", headers=KEY).status_code == 200
    sim.stop()
    sim.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=1)


def test_it_listens_on_ipv6_when_told() -> None:
    """`host="::1"`: an address in brackets."""
    with Simulator(Answer("a"), host="::1") as sim, Groq(base_url=sim.base_url, api_key="test") as client:
        assert sim.base_url.startswith("http://[::1]:")
        assert client.chat.completions.create(model="m", messages=[]).choices[0].message.content == "a"


def test_a_port_that_is_taken_is_an_error() -> None:
    """The second simulator on one port does not start."""
    with Simulator() as sim:
        port = int(sim.base_url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            Simulator(port=port).start()


@pytest.mark.parametrize("key", [{}, {"authorization": "Bearer"}])
def test_a_request_without_a_key_is_refused(sim: Simulator, key: dict[str, str]) -> None:
    """No key: 401 in Groq's words."""
    answer = httpx.post(sim.base_url + CHAT, json={}, headers=key)

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


def test_a_body_over_the_limit_is_refused() -> None:
    """413, and the connection is not used again; the ground truth says so."""
    with Simulator(Answer("a"), max_body=100) as sim:
        answer = httpx.post(sim.base_url + CHAT, content=b"x" * 101, headers=KEY)
        small = httpx.post(sim.base_url + CHAT, content=b"x" * 100, headers=KEY)

    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
    assert answer.headers["connection"] == "close"
    assert small.status_code == 200


def test_a_body_that_does_not_come_is_refused() -> None:
    """Headers, and then nothing: 408 after the time a body may take."""
    with Simulator(Answer("a"), body_timeout=0.05) as sim:
        host, port = sim.base_url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=5) as raw:
            raw.sendall(
                f"POST {CHAT} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer t\r\ncontent-length: 9\r\n\r\n".encode()
            )
            answer = raw.recv(65536)

    assert answer.startswith(b"HTTP/1.1 408 ")


def test_bytes_that_are_not_http_do_no_harm(sim: Simulator) -> None:
    """Nonsense on one connection: 400 there, answers elsewhere."""
    host, port = sim.base_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as raw:
        raw.sendall(b"nonsense\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 400 ")

    assert httpx.get(f"{sim.base_url}/openai/v1/models", headers=KEY).status_code == 200


@pytest.mark.parametrize("body", [b"", b"[]", b"{oops", b"\xff\xfe"])
def test_a_body_that_is_no_request_is_answered_all_the_same(sim: Simulator, body: bytes) -> None:
    """The simulator judges no request: a script does."""
    sim.play(Answer("a"))

    assert httpx.post(sim.base_url + CHAT, content=body, headers=KEY).status_code == 200


def test_a_script_that_raises_is_a_500_and_said() -> None:
    """A mistake in the script: Groq's 500 for the client, the exception for whoever asks the simulator."""

    def wrong(_: object) -> Any:
        raise ZeroDivisionError("oops")

    with Simulator(wrong) as sim, Groq(base_url=sim.base_url, api_key="test", max_retries=0) as client:
        with pytest.raises(groq.InternalServerError, match="ZeroDivisionError: oops"):
            client.chat.completions.create(model="m", messages=[])
        assert sim.settle()[0].left == "complete"


def test_settle_does_not_wait_for_ever(sim: Simulator) -> None:
    """A request that is still being served when the time is up: TimeoutError."""
    sim.play(Answer("a b", ending=Hang(1)))
    with Groq(base_url=sim.base_url, api_key="test") as client:
        stream = client.chat.completions.create(model="m", messages=[], stream=True)
        next(iter(stream))
        with pytest.raises(TimeoutError, match="still serving"):
            sim.settle(timeout=0.01)
        stream.close()

    assert sim.settle()[-1].left == "client left"


def test_the_missing_extra_names_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without starlette: an ImportError with the command that installs it."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "starlette" else find(name))

    with pytest.raises(MissingExtraError, match=r"pip install 'groqscope\[simulator\]'"):
        Simulator()


def test_importing_it_imports_no_server() -> None:
    """The vocabulary of scripts costs neither starlette nor uvicorn."""
    code = "import sys, groqscope.simulator; print({'starlette', 'uvicorn'} & set(sys.modules))"

    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_a_client_that_does_not_trust_the_certificate() -> None:
    """The handshake fails for it; others are served."""
    with Simulator(Answer("a"), tls=True) as sim:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"{sim.base_url}/openai/v1/models", headers=KEY)
        answer = httpx.get(f"{sim.base_url}/openai/v1/models", headers=KEY, verify=sim.client_tls or False)
        served = sim.settle()

    assert answer.status_code == 200
    assert len(served) == 1


def test_a_certificate_of_ones_own() -> None:
    """`tls` takes a server's SSL context."""
    made = make_local_tls()
    with Simulator(Answer("a"), tls=made.server) as sim:
        answer = httpx.get(f"{sim.base_url}/openai/v1/models", headers=KEY, verify=made.client)

    assert answer.status_code == 200


def test_a_certificate_needs_trustme(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without trustme: an ImportError that names it."""
    monkeypatch.setitem(sys.modules, "trustme", None)

    with pytest.raises(ImportError, match="pip install trustme"):
        Simulator(tls=True)


def test_connections_can_be_taken_otherwise_later(sim: Simulator) -> None:
    """`take` replaces how connections are taken, from the next one on; the last of a sequence repeats."""
    sim.take([Connection(), Connection(reset=True)])
    try:
        outcomes = []
        for _ in range(3):
            try:
                outcomes.append(httpx.get(f"{sim.base_url}/openai/v1/models", headers=KEY).status_code)
            except httpx.TransportError:  # on connecting or on reading, as it happens
                outcomes.append("reset")
    finally:
        sim.take([])

    assert outcomes == [200, "reset", "reset"]


def test_a_client_that_leaves_in_the_middle_of_its_request(sim: Simulator) -> None:
    """Half a body, and gone: noted, without an answer."""
    host, port = sim.base_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as raw:
        raw.sendall(f"POST {CHAT} HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf".encode())
        wait_for(lambda: sim.served)
    (served,) = sim.settle()

    assert (served.left, served.status, served.received) == ("client left", None, None)


def test_a_large_body_meets_a_server_that_does_not_read() -> None:
    """`accept_delay` and a body larger than the kernel's buffers: sending takes as long as the delay."""
    body = b"x" * 20_000_000
    with Simulator(Answer("a"), connections=[Connection(accept_delay=0.05)]) as sim:
        httpx.post(sim.base_url + CHAT, content=body, headers=KEY)
        (served,) = sim.settle()

    assert len(served.received.body) == len(body)
    assert served.body_received_ns > served.headers_received_ns


@pytest.mark.wall_clock
def test_stopping_is_quick() -> None:
    """Start and stop: some milliseconds, since each test may have its own."""

    def once() -> float:
        begin = time.monotonic()
        with Simulator():
            pass
        return time.monotonic() - begin

    assert min(once() for _ in range(3)) < 0.5


def test_a_server_that_runs_for_long_keeps_nothing() -> None:
    """`run` hands each request on when it is done and forgets it: a server may run for days."""
    code = """
import os, signal, threading, time
import httpx
from groqscope.simulator import Simulator

simulator, done = Simulator(), []

def ask(url):
    for _ in range(3):
        httpx.post(f"{url}/openai/v1/chat/completions", json={}, headers={"authorization": "Bearer x"}, trust_env=False)
    while len(done) < 3:
        time.sleep(0.01)
    print(len(done), len(simulator.served), flush=True)
    os.kill(os.getpid(), signal.SIGINT)

try:
    simulator.run(lambda url: threading.Thread(target=ask, args=(url,)).start(), done.append)
except KeyboardInterrupt:
    pass
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    assert done.stdout == "3 0\n", done.stderr
