"""Endpoints that refuse, hang, answer 503 or 429, answer in part, or come later: what waits, and what is sent when."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from statistics import median

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from support.collector import Answer, Collector, collector
from support.figures import Figure
from support.full_records import busy_record, full_record
from support.processes import WHOLE
from support.scope import STREAM, Wire, groq_client, sse
from support.spans import span_of
from support.waiting import wait_for

from groqscope.delivery.exporters import SpoolingMetricExporter, SpoolingSpanExporter
from groqscope.delivery.retrying import RetryingSender
from groqscope.delivery.sender import Delivered, Delivery, OtlpSender, Refused, Unavailable
from groqscope.delivery.spool import Spool, spool_for
from groqscope.instrument import instrument, record_of
from groqscope.store import read_records

PAUSE = 0.02

Make = Callable[..., SpoolingSpanExporter]


@pytest.fixture(name="endpoint")
def _endpoint() -> Iterator[Collector]:
    with collector() as running:
        yield running


@pytest.fixture(name="exporter")
def _exporter(endpoint: Collector, tmp_path: Path) -> Iterator[Make]:
    """Make exporters to the endpoint, all with the same spool, and close them."""
    made: list[SpoolingSpanExporter] = []

    def make(
        *, timeout: float = 5.0, max_bytes: int = 10**9, protocol: str = "http/protobuf", pause: float = PAUSE
    ) -> SpoolingSpanExporter:
        sender = OtlpSender(f"{endpoint.url}/v1/traces", "traces", protocol=protocol, timeout=timeout)  # pyright: ignore[reportArgumentType] - it is one
        spool = Spool(tmp_path / "spool", "traces", max_bytes=max_bytes)
        made.append(SpoolingSpanExporter(RetryingSender(sender, spool, first_pause=pause, longest_pause=2 * pause)))
        return made[-1]

    yield make
    for exporter in made:
        exporter.shutdown(0)


def _answer_of(endpoint: Collector) -> Delivery:
    with OtlpSender(f"{endpoint.url}/v1/traces", "traces") as sender:
        return sender.send(b"")


def _send(exporter: SpoolingSpanExporter, *names: str) -> None:
    for name in names:
        exporter.export([span_of(replace(full_record(), model=name, span_id=name.encode().hex().zfill(16)))])


def _settle(exporter: SpoolingSpanExporter) -> None:
    """Wait until nothing is left to send."""
    wait_for(exporter.force_flush)


def _names(endpoint: Collector) -> list[str]:
    return [name.removeprefix("chat ") for name in endpoint.span_names()]


def test_healthy_endpoint_leaves_nothing_on_disk(endpoint: Collector, exporter: Make, tmp_path: Path) -> None:
    """While the endpoint is well, batches go straight to it, in order, also when they come in a burst."""
    sending = exporter()
    _send(sending, "a", "b", "c")

    assert sending.force_flush()
    assert _names(endpoint) == ["a", "b", "c"]
    assert not (tmp_path / "spool").exists()
    assert sending.sender.counts.delivered == 3


def _refuse(endpoint: Collector) -> None:
    endpoint.down()


def _unavailable(endpoint: Collector) -> None:
    endpoint.default = Answer(503)


def _too_many(endpoint: Collector) -> None:
    endpoint.default = Answer(429, {"retry-after": "0.01"})


def _garbage(endpoint: Collector) -> None:
    endpoint.default = Answer(drop=True, taken=False)


def _hang(endpoint: Collector, hold: threading.Event) -> None:
    endpoint.default = Answer(hold=hold, drop=True, taken=False)


def _recover(endpoint: Collector) -> None:
    endpoint.default = Answer()
    if endpoint._server is None:
        endpoint.up()


@pytest.mark.parametrize("failure", [_refuse, _unavailable, _too_many, _garbage])
def test_what_comes_during_an_outage_is_sent_once_when_it_is_over(
    failure: Callable[[Collector], None], endpoint: Collector, exporter: Make, tmp_path: Path
) -> None:
    """Nothing is lost and nothing sent twice, whatever the endpoint does meanwhile; the disk is empty afterwards."""
    sending = exporter()
    failure(endpoint)
    _send(sending, *"abcdefgh")
    assert not sending.force_flush(2000)
    assert len(list(read_records([tmp_path / "spool"]))) == 8

    _recover(endpoint)
    endpoint.wait_until(lambda: len(_names(endpoint)) >= 8)
    assert sending.force_flush()
    assert sorted(_names(endpoint)) == list("abcdefgh")
    assert list((tmp_path / "spool").glob("*.jsonl")) == []


def test_spooled_span_arrives_as_it_would_have(endpoint: Collector, exporter: Make) -> None:
    """A span that went by way of the disk is byte for byte the one sent directly."""
    sending = exporter()
    spans = [span_of(full_record()), span_of(busy_record())]
    sending.export(spans)
    sending.force_flush()
    endpoint.default = Answer(503)
    sending.export(spans)
    endpoint.wait_for(2)
    endpoint.default = Answer()
    endpoint.wait_until(lambda: len(list(endpoint.spans())) == 4)

    first, second, third, fourth = endpoint.spans()
    assert (first, second) == (third, fourth)


def test_hanging_endpoint_holds_nobody_up(endpoint: Collector, exporter: Make, tmp_path: Path) -> None:
    """While the endpoint takes a batch and does not answer, exporting costs at most the patience of a burst."""
    hold = threading.Event()
    endpoint.default = Answer(hold=hold)
    sending = exporter(timeout=60)
    _send(sending, "a")
    endpoint.wait_for(1)
    began = time.monotonic()
    _send(sending, "b")

    assert time.monotonic() - began < 30  # half the time that the endpoint has; the patience is one second
    assert [r.model for r in read_records([tmp_path / "spool"])] == ["b"]
    endpoint.default = Answer()
    hold.set()
    endpoint.wait_until(lambda: _names(endpoint) == ["a", "b"])


def test_hanging_endpoint_is_given_up_after_its_time(endpoint: Collector, exporter: Make) -> None:
    """A request without an answer counts as an outage; the batch is sent again, which may be twice."""
    hold = threading.Event()
    endpoint.answers.append(Answer(hold=hold, taken=True))
    sending = exporter(timeout=0.5)
    _send(sending, "a")
    endpoint.wait_until(lambda: len(_names(endpoint)) >= 2)  # a busy machine may be late for the second one, too
    hold.set()

    assert sending.force_flush()
    assert sending.sender.counts.delivered == 1


def test_lost_answer_means_twice(endpoint: Collector, exporter: Make) -> None:
    """When the endpoint took a batch and the answer was lost, it comes again with the same ids: at least once."""
    endpoint.answers.append(Answer(drop=True, taken=True))
    sending = exporter()
    _send(sending, "a")
    endpoint.wait_until(lambda: _names(endpoint) == ["a", "a"])

    first, second = endpoint.spans()
    assert (first.trace_id, first.span_id) == (second.trace_id, second.span_id)


def test_retry_after_is_obeyed(endpoint: Collector, exporter: Make) -> None:
    """Before the time the endpoint asked for, nothing is sent to it."""
    endpoint.answers.append(Answer(429, {"retry-after": "0.3"}))
    sending = exporter()
    _send(sending, "a")
    endpoint.wait_for(1)
    _send(sending, "b")
    endpoint.wait_until(lambda: sorted(_names(endpoint)) == ["a", "b"])
    refused, next_one, *_ = endpoint.requests

    assert next_one.arrived - refused.arrived >= 0.3


@pytest.mark.parametrize("asked", ["0", "-5", "0.000001", "Sun, 06 Nov 1994 08:49:37 GMT"])
def test_an_endpoint_that_asks_for_no_pause_gets_one(endpoint: Collector, exporter: Make, asked: str) -> None:
    """A `Retry-After` of nothing, or in the past, is no reason to send again and again without a rest."""
    endpoint.answers.extend([Answer(503, {"retry-after": asked})] * 2)
    sending = exporter(pause=0.1)
    began = time.monotonic()
    _send(sending, "a")
    endpoint.wait_until(lambda: _names(endpoint) == ["a"])

    assert time.monotonic() - began >= 2 * 0.1


@pytest.mark.parametrize(
    ("value", "expected"),
    [("7", 7.0), ("-1", 0.0), ("soon", None), ("nan", None), ("inf", 3600.0), (None, None)],
)
def test_retry_after_in_seconds(value: str | None, expected: float | None, endpoint: Collector) -> None:
    """Seconds are bounded by an hour; what is no number is no answer."""
    endpoint.answers.append(Answer(503, {"retry-after": value} if value is not None else {}))
    delivery = _answer_of(endpoint)

    assert isinstance(delivery, Unavailable)
    assert delivery.retry_after == expected


def test_retry_after_as_a_date(endpoint: Collector) -> None:
    """A date is the time until it."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    endpoint.answers.append(Answer(429, {"retry-after": date}))
    delivery = _answer_of(endpoint)

    assert isinstance(delivery, Unavailable)
    assert delivery.retry_after == pytest.approx(90, abs=2)


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
def test_partial_success_is_counted_and_not_repeated(
    protocol: str, endpoint: Collector, exporter: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """What the endpoint rejected of a batch is lost, counted and said; nothing is sent again."""
    said = ExportTraceServiceResponse(
        partial_success=ExportTracePartialSuccess(rejected_spans=1, error_message="too old")
    )
    body = (
        said.SerializeToString()
        if protocol == "http/protobuf"
        else (b'{"partialSuccess":{"rejectedSpans":"1","errorMessage":"too old"}}')
    )
    endpoint.answers.append(Answer(body=body))
    sending = exporter(protocol=protocol)
    sending.export([span_of(full_record()), span_of(busy_record())])

    assert sending.force_flush()
    assert len(endpoint.requests) == 1
    counts = sending.sender.counts
    assert (counts.delivered, counts.rejected) == (1, 1)
    assert "too old" in caplog.text


def test_refusal_is_final(
    endpoint: Collector, exporter: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A status that the specification calls final is not tried again: counted, said once, nothing kept."""
    endpoint.default = Answer(401)
    sending = exporter()
    _send(sending, "a", "b")

    assert sending.force_flush()
    assert len(endpoint.requests) == 2
    assert sending.sender.counts.refused == 2
    assert caplog.text.count("HTTP 401") == 1
    assert list(read_records([tmp_path])) == []


def test_next_process_sends_what_the_last_one_left(endpoint: Collector, exporter: Make, tmp_path: Path) -> None:
    """What waits on disk when a process ends goes out when the next one begins, before it has anything of its own."""
    endpoint.down()
    last = exporter()
    _send(last, "a", "b")
    last.shutdown(2000)
    assert len(list(read_records([tmp_path / "spool"]))) == 2

    endpoint.up()
    exporter()
    endpoint.wait_until(lambda: _names(endpoint) == ["a", "b"])


def test_shutdown_leaves_a_hanging_batch_on_disk(endpoint: Collector, exporter: Make, tmp_path: Path) -> None:
    """A batch that hangs when the process ends is kept: the endpoint may have it, or not."""
    hold = threading.Event()
    endpoint.default = Answer(hold=hold)
    sending = exporter()
    _send(sending, "a")
    endpoint.wait_for(1)
    sending.shutdown(50)

    assert [r.model for r in read_records([tmp_path / "spool"])] == ["a"]
    hold.set()


def test_spool_is_bounded(endpoint: Collector, exporter: Make, tmp_path: Path) -> None:
    """When the room is full the oldest batches are dropped and counted, and the newest are kept."""
    endpoint.down()
    sending = exporter(max_bytes=400_000, pause=60.0)  # one that is tried meanwhile would count as newer
    _send(sending, *"abcdefghijkl")
    sending.force_flush(2000)
    kept = [str(r.model) for r in read_records([tmp_path / "spool"])]

    assert 300_000 < sum(p.stat().st_size for p in (tmp_path / "spool").glob("*.jsonl")) <= 400_000
    assert sending.sender.spool.dropped == 12 - len(kept) > 0
    assert sorted(kept) == list("abcdefghijkl")[-len(kept) :]


@pytest.mark.skipif(os.name != "posix", reason="the other process is made with POSIX's record locks")
def test_spool_that_another_process_sends_from_is_left_to_it(
    endpoint: Collector, exporter: Make, tmp_path: Path
) -> None:
    """While another process holds the spool's lock nothing is sent from it; when it ends or dies, it is our turn."""
    endpoint.default = Answer(503)
    sending = exporter()
    _send(sending, "a")
    sending.force_flush(2000)
    code = "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); input()"
    lock = tmp_path / "spool" / "traces.lock"
    endpoint.wait_until(lock.exists)
    with subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        endpoint.default = Answer()
        _send(sending, "b")
        with sending.sender.spool.only_one() as alone:
            assert not alone
        other.kill()
    endpoint.wait_until(lambda: sorted(_names(endpoint)) == ["a", "b"])


def test_two_senders_do_not_send_the_same(endpoint: Collector, exporter: Make) -> None:
    """Of those that share a spool one sends at a time, so that what waited is sent once."""
    endpoint.default = Answer(503)
    first, second = exporter(), exporter()
    _send(first, *"abcd")
    _send(second, *"efgh")
    endpoint.default = Answer()
    endpoint.wait_until(lambda: len(_names(endpoint)) >= 8)

    _settle(first)
    _settle(second)
    assert sorted(_names(endpoint)) == list("abcdefgh")


def test_disk_that_cannot_be_written_is_said_once(
    endpoint: Collector, exporter: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With neither endpoint nor disk spans are lost, counted and said; nothing is raised."""
    (tmp_path / "spool").touch()
    endpoint.down()
    sending = exporter()
    with caplog.at_level(logging.WARNING):
        _send(sending, "a", "b")
        sending.force_flush(500)

    assert sending.sender.spool.dropped == 2
    assert caplog.text.count("cannot keep telemetry") == 1


def test_sender_that_fails_in_an_unknown_way_costs_nothing(
    exporter: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody foresaw while sending is an endpoint that is away: the batch waits on disk, and it is said once."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("nobody foresaw this")

    sending = exporter()
    monkeypatch.setattr(sending.sender.otlp, "_connected", fail)
    with caplog.at_level(logging.WARNING):
        _send(sending, "a")
        sending.force_flush(300)

    assert len(sending.sender.spool.waiting()) == 1
    assert caplog.text.count("nobody foresaw this") == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_fork_while_a_batch_is_spooled(endpoint: Collector, exporter: Make) -> None:
    """A child forked while its parent writes to the spool can write to it, too: the parent's lock is not its own."""
    endpoint.down()
    sending = exporter()
    with sending.sender.spool._lock:
        child = os.fork()
        if child == 0:
            writing = threading.Thread(target=sending.sender.spool.append, args=(b"{}", 1), daemon=True)
            writing.start()
            writing.join(5)
            os._exit(1 if writing.is_alive() else 0)

    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize(
    ("endpoint", "shown"),
    [
        ("http://user:pass@host:4318/v1/traces", "http://***@host:4318/v1/traces"),
        ("http://user:p@ss@host/v1/traces", "http://***@host/v1/traces"),
        ("http://host/at@home?a=b@c", "http://host/at@home?a=b@c"),
    ],
)
def test_password_is_not_shown(endpoint: str, shown: str) -> None:
    """An address is named without its user and password, one that holds an at sign included."""
    assert OtlpSender(endpoint, "traces").name == shown


def test_other_endpoints_spool_is_not_touched() -> None:
    """What waits for one URL never goes to another."""
    assert spool_for("http://a/v1/traces") != spool_for("http://b/v1/traces")
    assert spool_for("http://a/v1/traces").parent == Path(os.environ["GROQSCOPE_HOME"]) / "spool"


def test_metrics_wait_too(endpoint: Collector, tmp_path: Path) -> None:
    """A collection of metrics survives an outage as spans do, exemplars and buckets included."""
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader]).get_meter("m")
    meter.create_histogram("h", explicit_bucket_boundaries_advisory=[1.0, 2.0]).record(1.5, {"a": "b"})
    with TracerProvider().get_tracer("t").start_as_current_span("s"):
        meter.create_counter("c").add(2)
    data = reader.get_metrics_data()
    assert data is not None
    sender = OtlpSender(f"{endpoint.url}/v1/metrics", "metrics")
    exporter = SpoolingMetricExporter(RetryingSender(sender, Spool(tmp_path, "metrics"), first_pause=PAUSE))
    exporter.export(data)
    exporter.force_flush()
    endpoint.answers.append(Answer(503))
    exporter.export(data)
    endpoint.wait_for(3)
    exporter.shutdown()

    direct, refused, spooled = (r.message for r in endpoint.requests)
    assert isinstance(direct, ExportMetricsServiceRequest)
    assert direct == refused == spooled


def test_line_that_is_not_otlp_is_refused_not_repeated() -> None:
    """A damaged file in the spool does not stop what waits behind it."""
    delivery = OtlpSender("http://127.0.0.1:9/v1/traces", "traces").send_line(b'{"resourceSpans":[{"scopeSpans":5}]}')

    assert isinstance(delivery, Refused)


@pytest.mark.parametrize("compression", ["none", "gzip", "deflate"])
def test_compression_and_headers(compression: str, endpoint: Collector) -> None:
    """Bodies are compressed as asked, and the user's headers go along."""
    headers = {"X-Tenant": "shop"}
    with OtlpSender(f"{endpoint.url}/v1/traces", "traces", compression=compression, headers=headers) as sender:
        assert sender.send(ExportTraceServiceResponse().SerializeToString()) == Delivered()

    (request,) = endpoint.requests
    assert request.headers["x-tenant"] == "shop"
    assert request.headers.get("content-encoding", "none") == compression
    assert request.headers["user-agent"].startswith("groqscope/")


def test_an_outage_in_the_middle_of_a_run(endpoint: Collector, exporter: Make, figure: Figure) -> None:
    """Through the SDK's own batch processor: an outage in the middle of a run, and every span arrives once.

    Time is compressed: as many spans as the processor takes at once, in rounds before, in and after the outage.
    """
    provider = TracerProvider()
    sending = exporter()
    provider.add_span_processor(BatchSpanProcessor(sending, max_queue_size=2048, max_export_batch_size=512))
    tracer = provider.get_tracer("t")
    expected = 0
    for phase in range(6):
        if phase == 1:
            endpoint.down()
        if phase == 5:
            endpoint.up()
        for _ in range(400):
            tracer.start_span(f"s{expected}").end()
            expected += 1
        provider.force_flush()
    endpoint.wait_until(lambda: len(endpoint.span_names()) >= expected, timeout=30)
    provider.shutdown()

    names = endpoint.span_names()
    by_disk = sending.sender.counts.spooled
    figure(
        "outage in the middle of a run",
        f"{expected} spans, {by_disk} by way of the disk, {expected - len(set(names))} lost",
    )

    assert sorted(names) == sorted(f"s{n}" for n in range(expected))
    assert by_disk >= 1600


MINUTE = 50 * 60
"""Requests in a minute, at 50 a second."""
TIMEOUT_S = 5.0


@pytest.mark.slow
def test_ten_minutes_outage(endpoint: Collector, exporter: Make, figure: Figure) -> None:
    """A minute, ten minutes of outage, a minute, at 50 requests/s: none lost, none sent twice but what must be.

    The endpoint refuses, answers 503, asks for patience by 429, drops connections, and hangs, two minutes each. At
    the end the answer to one batch is lost on its way: OTLP has that batch sent again, and no other. Time is
    compressed: one request follows the other, and the batch processor's queue is emptied as often as it would be. One
    in ten is a request of the SDK with its record, the others are spans like it, but small.
    """
    provider, sending = TracerProvider(shutdown_on_exit=False), exporter(timeout=TIMEOUT_S, pause=0.5)
    provider.add_span_processor(BatchSpanProcessor(sending, max_queue_size=4096))
    client = instrument(
        groq_client("sync", http={"transport": Wire(lambda _: sse(*WHOLE))}),
        tracer_provider=provider,
        phase_spans=False,
    )
    tracer = provider.get_tracer("t")
    ended: list[str] = []
    took: list[float] = []

    def minutes(count: int) -> None:
        for number in range(count * MINUTE):
            if number % 10:
                span = tracer.start_span("s")
                span.end()
                ended.append(format(span.get_span_context().span_id, "016x"))
            else:
                began = time.perf_counter()
                stream = client.chat.completions.create(**STREAM)
                list(stream)
                took.append(time.perf_counter() - began)
                ended.append(str(record_of(stream).span_id))
            if number % 1000 == 999:
                provider.force_flush()

    hold = threading.Event()
    minutes(1)
    for begin in (_refuse, _unavailable, _too_many, _garbage, lambda endpoint: _hang(endpoint, hold)):
        _recover(endpoint)
        begin(endpoint)
        minutes(2)
    waiting = sending.sender.counts.spooled
    hold.set()
    _recover(endpoint)
    minutes(1)
    provider.force_flush()
    _settle(sending)
    endpoint.answers.append(Answer(drop=True, taken=True))
    last = tracer.start_span("the last batch")
    last.end()
    provider.force_flush()
    _settle(sending)
    provider.shutdown()
    arrived = Counter(span.span_id.hex() for span in endpoint.spans())
    twice = [span for span, count in arrived.items() if count > 1]
    lost = set(ended) - set(arrived)
    what = "10 minutes' outage at 50 requests/s"
    figure(
        what, f"{10 * MINUTE:,} requests, {waiting:,} by way of the disk, {len(lost)} lost, {len(twice) - 1} doubled"
    )
    figure(
        f"{what}, a request",
        f"median {median(took) * 1e3:.2f} ms, the slowest of {len(took):,} {max(took) * 1e3:.0f} ms",
    )

    assert len(ended) == 12 * MINUTE
    assert lost == set()
    assert [arrived[span] for span in twice] == [2]
    assert twice == [format(last.get_span_context().span_id, "016x")]
    assert waiting >= 9 * MINUTE
    assert sending.sender.spool.dropped == sending.sender.counts.refused == 0
    assert max(took) < TIMEOUT_S
