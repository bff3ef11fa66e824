"""The receiver: what it accepts is stored before it answers; what it rejects gets OTLP's own error."""

import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient
from support.report_samples import SAMPLES, huge, streamed, tool_calls
from support.spans import span_of

from groqscope.delivery.transcode import to_protobuf
from groqscope.store import read_records
from groqscope.testing import ManualClock
from groqscope.ui.receiver import AT_ONCE, Allowance, Receiver, Refused

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}
GZIP = {"content-encoding": "gzip"}
Send = Callable[..., Any]


def client(receiver: Receiver) -> TestClient:
    routes = [
        Route("/v1/traces", receiver.traces, methods=["POST"]),
        Route("/v1/metrics", receiver.metrics, methods=["POST"]),
    ]
    return TestClient(Starlette(routes=routes))


def protobuf(*records: Any) -> bytes:
    return encode_spans([span_of(record) for record in records]).SerializeToString()


def stored(directory: Path) -> list[Any]:
    return list(read_records([directory]))


@pytest.mark.parametrize("name", SAMPLES)
def test_protobuf_is_stored_as_it_was(name: str, tmp_path: Path) -> None:
    """When the answer arrives, each record is in the store, unchanged."""
    record = SAMPLES[name]()
    answer = client(Receiver(tmp_path)).post("/v1/traces", content=protobuf(record), headers=PROTOBUF)

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "application/x-protobuf"
    assert stored(tmp_path) == [record]


def test_gzip(tmp_path: Path) -> None:
    """A compressed body is unpacked."""
    body = gzip.compress(protobuf(streamed()))

    assert client(Receiver(tmp_path)).post("/v1/traces", content=body, headers=PROTOBUF | GZIP).status_code == 200
    assert stored(tmp_path) == [streamed()]


def test_json_of_several_lines(tmp_path: Path) -> None:
    """JSON is stored as one line, however it was formatted."""
    line = first_line(tmp_path / "a", tool_calls())
    body = json.dumps(json.loads(line), indent=4)
    answer = client(Receiver(tmp_path / "b")).post("/v1/traces", content=body, headers=JSON)

    assert (answer.status_code, answer.json()) == (200, {})
    assert stored(tmp_path / "b") == [tool_calls()]


def first_line(directory: Path, *records: Any) -> bytes:
    client(Receiver(directory)).post("/v1/traces", content=protobuf(*records), headers=PROTOBUF)
    return next(directory.glob("traces-*")).read_bytes().splitlines()[0]


def test_a_line_is_the_request_again(tmp_path: Path) -> None:
    """A stored line gives the same bytes of protobuf again: nothing of a span is lost."""
    body = protobuf(huge(), streamed())

    assert to_protobuf(first_line(tmp_path, huge(), streamed()), "traces") == body


def test_metrics(tmp_path: Path) -> None:
    """Metrics are stored in files of their own, ids of exemplars as OTLP JSON writes them."""
    body = {
        "resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "m", "sum": {"dataPoints": [{"asInt": "3"}]}}]}]}]
    }
    sent = client(Receiver(tmp_path))

    assert sent.post("/v1/metrics", json=body).status_code == 200
    assert sent.post(
        "/v1/metrics", content=to_protobuf(json.dumps(body).encode(), "metrics"), headers=PROTOBUF
    ).is_success

    lines = next(tmp_path.glob("metrics-*")).read_bytes().splitlines()

    assert json.loads(lines[0]) == body
    assert json.loads(lines[1])["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["name"] == "m"
    assert stored(tmp_path) == []


@pytest.mark.parametrize("body", [b"", b"{}"])
def test_an_empty_request(body: bytes, tmp_path: Path) -> None:
    """It is accepted, and nothing is written."""
    headers = JSON if body else PROTOBUF

    assert client(Receiver(tmp_path)).post("/v1/traces", content=body, headers=headers).status_code == 200
    assert list(tmp_path.iterdir()) == []


BOMB = zlib.compressobj(wbits=31)
BOMB = BOMB.compress(bytes(1 << 20)) + BOMB.flush()
REFUSED = {
    "not JSON": (b"{nonsense", JSON, 400),
    "another signal": (b'{"resourceMetrics": []}', JSON, 400),
    "a list": (b"[1]", JSON, 400),
    "too deep": (b'{"resourceSpans":' + b"[" * 100_000 + b"]" * 100_000 + b"}", JSON, 400),
    "not protobuf": (b"\xff\xff\xff", PROTOBUF, 400),
    "not gzip": (b"nonsense", PROTOBUF | GZIP, 400),
    "half of gzip": (gzip.compress(protobuf(streamed()))[:-9], PROTOBUF | GZIP, 400),
    "too large": (bytes(70_000), PROTOBUF, 413),
    "too large when unpacked": (BOMB, PROTOBUF | GZIP, 413),
    "text": (b"{}", {"content-type": "text/plain"}, 415),
    "no type": (b"{}", {}, 415),
    "another encoding": (b"{}", JSON | {"content-encoding": "br"}, 415),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: Path) -> None:
    """What cannot be read is answered with the reason, and nothing of it is stored."""
    body, headers, status = REFUSED[name]
    answer = client(Receiver(tmp_path, max_body=65_536 * 4 if status == 400 else 65_536)).post(
        "/v1/traces", content=body, headers=headers
    )

    assert answer.status_code == status
    assert len(answer.content) > 5
    assert list(tmp_path.iterdir()) == []


def test_a_reason_is_a_status_of_protobuf(tmp_path: Path) -> None:
    """Clients that send protobuf get the reason in protobuf: the message of a `google.rpc.Status`."""
    answer = client(Receiver(tmp_path)).post("/v1/traces", content=b"\xff" * 9, headers=PROTOBUF)
    text = answer.content[2:] if answer.content[1] < 0x80 else answer.content[3:]

    assert answer.content[:1] == b"\x12"
    assert text.decode().startswith("not an OTLP export request in protobuf")


def test_rate(tmp_path: Path) -> None:
    """Above the rate limit, clients are told to send again later."""
    sent = client(Receiver(tmp_path, rate=100, clock=ManualClock()))
    body = protobuf(streamed())

    assert sent.post("/v1/traces", content=body, headers=PROTOBUF).status_code == 200

    later = sent.post("/v1/traces", content=body, headers=PROTOBUF)

    assert (later.status_code, later.headers["retry-after"]) == (503, "1")
    assert len(stored(tmp_path)) == 1


def test_allowance_comes_back() -> None:
    """Each second restores the allowance by the rate, up to twice the rate."""
    now = [0.0]
    allowance = Allowance(10, lambda: now[0])

    assert [allowance.take(20), allowance.take(1)] == [True, False]
    now[0] = 0.5
    assert [allowance.take(5), allowance.take(1)] == [True, False]
    now[0] = 1000
    assert [allowance.take(21), allowance.take(1)] == [True, False]


def test_read_only() -> None:
    """A server that only reads accepts nothing."""
    assert client(Receiver(None)).post("/v1/traces", content=b"", headers=PROTOBUF).status_code == 403


def test_a_store_that_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The sender is told to keep what could not be written."""
    (tmp_path / "file").write_text("in the way")
    answer = client(Receiver(tmp_path / "file")).post("/v1/traces", content=protobuf(streamed()), headers=PROTOBUF)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    caplog.clear()


async def test_more_requests_at_once_than_the_limit_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that waits too long is told to send again later."""
    receiver = Receiver(tmp_path, body_timeout=0.01)
    for _ in range(AT_ONCE):
        await receiver._wait_for_a_place()
    with pytest.raises(Refused) as refused:
        await receiver._wait_for_a_place()

    assert (refused.value.status, refused.value.retry_after) == (503, 1)

    receiver._places.release()
    await receiver._wait_for_a_place()
