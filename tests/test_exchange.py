"""An HTTP exchange ends in its time and its size, whatever the other side does: alone, and in all that uses it."""

import gzip
import time

import httpx
import pytest
from support.hostile import DRIPS, OK, answering, hostile

from groqscope import audit
from groqscope._exchange import AnswerTooLongError, exchange
from groqscope.audit.tempo import TempoSource
from groqscope.delivery.sender import OtlpSender, Unavailable
from groqscope.stack import Addresses, check
from groqscope.store import ReadReport

SECONDS = 0.4
SOON = 10
"""Far below any of the timeouts, far above the time on a busy machine."""

drips = pytest.mark.parametrize("drip", DRIPS.values(), ids=DRIPS)


def _get(url: str, *, seconds: float = 60, max_bytes: int = 1 << 20) -> httpx.Response:
    with httpx.Client(timeout=60, trust_env=False) as client:
        return exchange(client, client.build_request("GET", url), seconds=seconds, max_bytes=max_bytes)


@drips
def test_an_answer_that_drips(drip):
    """An answer of a byte now and then is given up when the time of the whole exchange is over."""
    began = time.monotonic()
    with hostile(drip) as url, pytest.raises(AnswerTooLongError, match=r"longer than 0\.4 s"):
        _get(url, seconds=SECONDS)

    assert time.monotonic() - began < SOON


def test_an_answer_that_is_huge():
    """It is given up at the bound, packed or not."""
    body = gzip.compress(bytes(64 << 20))
    packed = OK + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    for answer in (packed, OK + b"\r\n" + bytes(3 << 20)):
        with hostile(answering(answer)) as url, pytest.raises(AnswerTooLongError, match="more than 1 MiB"):
            _get(url)


def test_a_redirect_is_not_followed():
    """Where an answer points to is nobody's business."""
    with hostile(answering(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n")) as url:
        assert _get(url).status_code == 302


def test_a_connection_that_is_used_again():
    """The time of the second exchange is its own, and the first one's is over."""
    answer = OK + b"content-length: 2\r\n\r\nok"

    def behave(connection, over):
        connection.sendall(answer)
        connection.recv(65_536)
        over.wait(0.2)
        connection.sendall(answer)

    with hostile(behave) as url, httpx.Client(trust_env=False) as client:
        for seconds in (5, 30):
            request = client.build_request("GET", url)
            assert exchange(client, request, seconds=seconds, max_bytes=100).text == "ok"


@drips
def test_the_sender(drip):
    """An endpoint that answers byte by byte counts as away after OTEL_EXPORTER_OTLP_TIMEOUT."""
    began = time.monotonic()
    with hostile(drip) as url, OtlpSender(url, "traces", timeout=SECONDS) as sender:
        delivery = sender.send(b"")

    assert isinstance(delivery, Unavailable)
    assert time.monotonic() - began < SOON


@drips
def test_tempo(drip):
    """A Tempo that answers byte by byte is given up in time; one sentence says so."""
    with hostile(drip) as url, pytest.raises(audit.SourceError, match="took longer than"):
        list(TempoSource(url, timeout=SECONDS).read(ReadReport(), since=None, until=None, timelines=False))


@drips
def test_stack_check(drip, monkeypatch):
    """Services that answer byte by byte are given up in time; the links to them are broken or unknown."""
    monkeypatch.setattr("groqscope.stack.checks._ANSWER_S", SECONDS)
    with hostile(drip) as url:
        links = list(check(Addresses(url, url, url, url), patience_s=0))

    assert {link.state for link in links} <= {"broken", "unknown"}


def test_words_of_a_neighbour_reach_no_terminal(capsys, monkeypatch, tmp_path):
    """Escape sequences in an error's body, a reason or an ID are written so that they are only seen."""
    from groqscope.cli.app import run

    monkeypatch.setenv("GROQSCOPE_HOME", str(tmp_path))
    evil = b"\x1b]52;c;ZXZpbA==\x07 \xe2\x80\xae \xc2\x9b31m"
    for status in (b"500 \x1b[31mevil", b"400 Bad"):
        answer = b"HTTP/1.1 " + status + b"\r\ncontent-length: %d\r\n\r\n" % len(evil) + evil
        with hostile(answering(answer)) as url:
            run(["audit", "--tempo", url])
            addresses = ["--collector", url, "--tempo", url, "--prometheus", url, "--grafana", url]
            run(["stack", "check", *addresses, "--timeout", "0"])
    said = "".join(capsys.readouterr())

    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(said)
    assert "\\x1b]52" in said
