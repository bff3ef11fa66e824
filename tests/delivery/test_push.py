"""Pushing stored files to an endpoint: each line once, also when it was interrupted."""

import gzip
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from support.collector import Answer, Collector, collector
from support.full_records import full_record
from support.odd_files import FILES, LINES
from support.spans import span_of

from groqscope.configuration import ConfigurationError, otlp_sender
from groqscope.delivery import Push, PushReport
from groqscope.delivery.transcode import to_protobuf
from groqscope.store import LocalMetricExporter, LocalSpanExporter


@pytest.fixture(name="endpoint")
def _endpoint() -> Iterator[Collector]:
    with collector() as running:
        yield running


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> Path:
    exporter = LocalSpanExporter(tmp_path / "store")
    for name in "abc":
        exporter.export([_span(name)])
    exporter.shutdown()
    return tmp_path / "store"


def _span(name: str) -> ReadableSpan:
    return span_of(replace(full_record(), model=name, span_id=name.encode().hex().zfill(16)))


def _push(endpoint: Collector, *paths: Path, **given: Any) -> PushReport:
    arguments: dict[str, Any] = {"wait": lambda _: None, "batch_bytes": 1}
    push = Push(endpoint.url, lambda signal: otlp_sender(signal, endpoint=endpoint.url), **arguments | given)
    return push.run(paths)


def _spans(lines: list[bytes]) -> list[Any]:
    requests = [ExportTraceServiceRequest.FromString(to_protobuf(line, "traces")) for line in lines]
    return [span for r in requests for entry in r.resource_spans for scope in entry.scope_spans for span in scope.spans]


def _records(spans: Iterable[Any]) -> list[bytes]:
    return sorted(s.SerializeToString(deterministic=True) for s in spans if s.name.startswith("chat"))


def _names(endpoint: Collector) -> list[str]:
    return [name.removeprefix("chat ") for name in endpoint.span_names()]


def test_every_line_is_sent_once(endpoint: Collector, store: Path) -> None:
    """What was sent is not sent again, also when the file was renamed, compressed or went on growing."""
    report = _push(endpoint, store)
    assert (report.sent_lines, report.sent, report.before, report.stopped) == (3, 3, 0, None)
    assert _names(endpoint) == ["a", "b", "c"]

    (path,) = store.iterdir()
    packed = store / "packed.jsonl.gz"
    extra = LocalSpanExporter(store.parent / "extra")
    extra.export([_span("d")])
    (addition,) = (store.parent / "extra").iterdir()
    packed.write_bytes(gzip.compress(path.read_bytes() + addition.read_bytes()))
    path.unlink()
    report = _push(endpoint, store)

    assert (report.sent_lines, report.before) == (1, 3)
    assert _names(endpoint) == ["a", "b", "c", "d"]


def test_other_endpoint_gets_everything(store: Path) -> None:
    """What one endpoint has says nothing about another."""
    with collector() as one, collector() as two:
        _push(one, store)
        _push(two, store)

        assert _names(one) == _names(two) == ["a", "b", "c"]


def test_interrupted_push_goes_on(endpoint: Collector, store: Path) -> None:
    """When the endpoint goes away in the middle, the next push begins where this one gave up."""
    endpoint.answers.append(Answer())
    endpoint.default = Answer(503)
    report = _push(endpoint, store)
    assert report.sent_lines == 1
    assert report.stopped is not None
    assert "HTTP 503" in report.stopped

    endpoint.default = Answer()
    report = _push(endpoint, store)
    assert (report.sent_lines, report.before, report.stopped) == (2, 1, None)
    assert _names(endpoint) == ["a", "b", "c"]


def test_short_outage_is_waited_for(endpoint: Collector, store: Path) -> None:
    """`Retry-After` is obeyed, and a pause that grows where there is none."""
    waits: list[float] = []
    endpoint.answers.extend([Answer(503), Answer(503), Answer(429, {"retry-after": "7"})])
    push = Push(endpoint.url, lambda s: otlp_sender(s, endpoint=endpoint.url), wait=waits.append, batch_bytes=1)

    assert push.run([store]).stopped is None
    assert waits == [0.5, 1.0, 7.0]


@pytest.mark.parametrize("asked", ["0", "-5", "0.000001", "Sun, 06 Nov 1994 08:49:37 GMT"])
def test_it_ends_though_the_endpoint_asks_for_no_pause(endpoint: Collector, store: Path, asked: str) -> None:
    """A `Retry-After` of nothing, or in the past, is a pause all the same: an endpoint may send it for ever."""
    waits: list[float] = []
    endpoint.default = Answer(503, {"retry-after": asked})
    push = Push(endpoint.url, lambda s: otlp_sender(s, endpoint=endpoint.url), wait=waits.append, give_up_after=5)

    assert "HTTP 503" in str(push.run([store]).stopped)
    assert waits == [0.5] * 10


def test_wrong_credentials_stop_it(endpoint: Collector, store: Path) -> None:
    """A refusal that is about the caller marks nothing as sent."""
    endpoint.answers.append(Answer(401))
    report = _push(endpoint, store)

    assert (report.sent_lines, report.refused_lines) == (0, 0)
    assert report.stopped == "the endpoint answered HTTP 401 Unauthorized"
    assert _push(endpoint, store).sent_lines == 3


def test_refused_line_does_not_stop_the_others(endpoint: Collector, store: Path) -> None:
    """A refusal that is about the data is counted, said, and not tried again."""
    endpoint.answers.append(Answer(400))
    report = _push(endpoint, store)

    assert (report.sent_lines, report.refused_lines, report.stopped) == (2, 1, None)
    assert "HTTP 400" in str(report.read.warnings[0])
    assert _push(endpoint, store).before == 3


def test_torn_and_foreign_lines(endpoint: Collector, store: Path) -> None:
    """What is not OTLP is passed over with a warning; a line still being written is sent when it is whole."""
    (path,) = store.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 100])
    (store / "notes.json").write_text('{"hello": 1}\nnonsense\n')
    report = _push(endpoint, store)
    assert report.sent_lines == 2
    assert sorted(w.reason.split(":")[0] for w in report.read.warnings) == [
        "not JSON, not sent",
        "not OTLP",
        "the last line is incomplete or still being written",
    ]

    path.write_bytes(whole)
    assert _push(endpoint, store).sent_lines == 1
    assert _names(endpoint) == ["a", "b", "c"]


def test_metrics_are_pushed_to_their_own_path(endpoint: Collector, store: Path) -> None:
    """Metrics of the store go along, to the path of metrics."""
    reader = InMemoryMetricReader()
    MeterProvider([reader]).get_meter("m").create_counter("c").add(1)
    data = reader.get_metrics_data()
    assert data is not None
    LocalMetricExporter(store).export(data)
    _push(endpoint, store)

    assert sorted(r.path for r in endpoint.requests) == ["/v1/metrics"] + ["/v1/traces"] * 3


def test_lines_go_together(endpoint: Collector, store: Path) -> None:
    """Short lines share a request."""
    report = _push(endpoint, store, batch_bytes=10**7)

    assert (len(endpoint.requests), report.sent_lines, report.sent) == (1, 3, 3)
    assert _names(endpoint) == ["a", "b", "c"]
    assert _push(endpoint, store).before == 3


def test_one_bad_line_does_not_cost_those_that_go_with_it(endpoint: Collector, store: Path) -> None:
    """When lines are refused together, each is tried alone."""
    endpoint.answers.extend([Answer(400), Answer(), Answer(400)])
    report = _push(endpoint, store, batch_bytes=10**7)

    assert (report.sent_lines, report.refused_lines) == (2, 1)
    assert _names(endpoint) == ["a", "c"]


def test_again_sends_everything(endpoint: Collector, store: Path) -> None:
    """What was sent before is sent once more when that is asked for."""
    _push(endpoint, store)

    assert _push(endpoint, store, again=True).sent_lines == 3


def test_address_that_never_answered_is_not_waited_for(endpoint: Collector, store: Path) -> None:
    """It is told at once; one that has answered before is waited for."""
    endpoint.down()
    report = _push(endpoint, store, wait=lambda _: pytest.fail("it waited"))

    assert report.stopped is not None
    assert report.stopped.startswith("the endpoint cannot be reached (ConnectError")


def test_address_of_one_signal_is_understood(endpoint: Collector) -> None:
    """Who copies the address of one signal gets the paths of all."""
    assert otlp_sender("metrics", endpoint=f"{endpoint.url}/v1/traces/").endpoint == f"{endpoint.url}/v1/metrics"


def test_progress_is_told(endpoint: Collector, store: Path) -> None:
    """The caller sees the report grow."""
    seen: list[int] = []
    _push(endpoint, store, on_progress=lambda report: seen.append(report.sent))

    assert seen == [1, 2, 3]


def test_sender_needs_an_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an endpoint, or with gRPC, the error says what to give."""
    with pytest.raises(ConfigurationError, match="OTEL_EXPORTER_OTLP_ENDPOINT"):
        otlp_sender("traces")
    with pytest.raises(ConfigurationError, match="not grpc"):
        otlp_sender("traces", endpoint="http://h:4317", protocol="grpc")
    monkeypatch.setitem(os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:1/base")

    assert otlp_sender("metrics").endpoint == "http://h:1/base/v1/metrics"


def test_a_span_in_two_files_is_sent_once(endpoint: Collector, store: Path, tmp_path: Path) -> None:
    """A store and a copy of it: each span goes out once; a line of known and new spans loses the known ones."""
    copy = LocalSpanExporter(tmp_path / "copy")
    copy.export([_span("a"), _span("d")])
    copy.export([_span("b")])
    copy.shutdown()
    report = _push(endpoint, store, tmp_path / "copy")

    assert _names(endpoint) == ["a", "b", "c", "d"]
    assert (report.sent, report.repeats, report.sent_lines) == (4, 2, 4)
    assert _push(endpoint, store, tmp_path / "copy").before == 5


@pytest.mark.parametrize("name", FILES)
def test_files_as_others_write_them(name: str, endpoint: Collector, tmp_path: Path) -> None:
    """What the audit reads is sent, with everything that is in it."""
    path = tmp_path / "file.json"
    path.write_bytes(FILES[name])
    report = _push(endpoint, path)

    assert (report.refused_lines, report.read.warnings) == (0, [])
    assert _records(endpoint.spans()) == _records(_spans(LINES))


def test_metrics_under_protobufs_names(endpoint: Collector, tmp_path: Path) -> None:
    """Metrics and logs may have them too, and stand in arrays."""
    metrics = {"resource_metrics": [{"scope_metrics": [{"metrics": [{"name": "requests", "gauge": {}}]}]}]}
    path = tmp_path / "file.json"
    path.write_text(json.dumps([metrics, metrics]))
    report = _push(endpoint, path)

    assert (report.sent_lines, report.read.warnings) == (2, [])
    sent = [request.message.resource_metrics[0].scope_metrics[0].metrics[0].name for request in endpoint.requests]
    assert sent == ["requests", "requests"]


def test_a_damaged_part_costs_that_part(endpoint: Collector, tmp_path: Path) -> None:
    """What protobuf cannot hold is omitted with a warning; the span and its other parts are sent."""
    document = json.loads(LINES[0])
    span = document["resourceSpans"][0]["scopeSpans"][0]["spans"][-1]
    attributes, events = len(span["attributes"]), len(span["events"])
    span["attributes"][0]["value"] = {"intValue": "many"}
    span["attributes"][1]["value"] = {"boolValue": "[REDACTED]"}
    span["events"][0]["timeUnixNano"] = {}
    path = tmp_path / "file.json"
    path.write_text(json.dumps(document))
    report = _push(endpoint, path)

    *_, sent = endpoint.spans()
    assert report.refused_lines == 0
    assert [w.reason.rpartition(".spans[1].")[2] for w in report.read.warnings] == [
        "attributes[0] is unreadable; omitted",
        "attributes[1] is unreadable; omitted",
        "events[0] is unreadable; omitted",
    ]
    assert (len(sent.attributes), len(sent.events)) == (attributes - 2, events - 1)
