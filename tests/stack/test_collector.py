"""Here: the collector as a process on ports of the loopback, no Docker: its queue, and files that the audit reads."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from stack_support import traffic
from stack_support.given import needs
from stack_support.programs import Collector, collector, free_port, local_collector
from support.full_records import full_record, ordinary_record
from support.tempo import FakeTempo, receiving
from support.waiting import as_many, wait_for

from groqscope import audit
from groqscope.audit.tempo import TempoSource
from groqscope.cli.app import run as groqscope
from groqscope.store import ReadReport

pytestmark = needs("OTELCOL")


@contextmanager
def _killed_in_the_end(prepared: Collector) -> Iterator[Collector]:
    with prepared.client:
        try:
            yield prepared
        finally:
            prepared.process.kill()


def _records(count: int) -> list[Any]:
    now = time.time_ns()
    return [replace(ordinary_record(), start_unix_ns=now - n * 90 * 10**9) for n in range(count)]


def _outermost(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [s for s in spans if not s.get("parentSpanId")]


def test_what_waits_on_disk_outlives_kills(tmp_path: Path):
    """Spans taken while the back end is dead are delivered after the collector was killed three times, as they were."""
    port = free_port()
    prepared = local_collector(tmp_path / "c", tempo=f"127.0.0.1:{port}", prometheus="http://127.0.0.1:1")
    back_end = FakeTempo()
    sent = []
    with _killed_in_the_end(prepared):
        for part in range(3):
            prepared.process.start()
            sent += [traffic.send_record(prepared.post, r, f"part-{part}") for r in _records(15)]
            prepared.process.kill()
        prepared.process.start()
        with receiving(back_end, port):
            wait_for(lambda: as_many(list(back_end.traces), len(sent)), "all traces", seconds=60)
    client = httpx.Client(transport=httpx.MockTransport(back_end))
    since = min(r.start_unix_ns for r in sent)
    found = TempoSource("http://tempo", client=client).read(ReadReport(), since=since, until=None, timelines=True)

    assert {r.trace_id: r for r in found} == {r.trace_id: r for r in sent}


def test_a_queue_that_is_full_refuses_and_keeps_what_it_has(tmp_path: Path):
    """Beyond its room the collector refuses, so that the sender knows; what it had taken is delivered."""
    port = free_port()
    prepared = local_collector(tmp_path / "c", tempo=f"127.0.0.1:{port}", prometheus="http://127.0.0.1:1", room=40_000)
    back_end = FakeTempo()
    taken = []
    with _killed_in_the_end(prepared):
        prepared.process.start()
        process = traffic.Process(traffic.Service("full", "test", 0, 0, 0, 0), random.Random(1))
        refused = 0
        for record in _records(60):
            ended = process.end(record)
            status = prepared.offer("traces", process.spans()).status_code
            if status == 200:
                taken.append(ended)
            else:
                refused = status
        assert refused in (429, 503)
        with receiving(back_end, port):
            wait_for(lambda: len(back_end.traces) >= len(taken), "what was taken", seconds=60)

    assert 0 < len(taken) < 60
    assert set(back_end.traces) >= {r.trace_id for r in taken}


def test_the_audit_reads_what_the_file_exporter_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Records in the collector's files are those that were sent, to the last field; the command shows them."""
    records = [*_records(20), replace(full_record(), start_unix_ns=time.time_ns())]
    with collector(tmp_path / "c") as running:
        sent = [traffic.send_record(running.post, record, "filed") for record in records]
        wait_for(lambda: as_many(_outermost(running.spans()), len(sent)), "all spans", seconds=20)
    file = tmp_path / "c/traces.jsonl"
    found = list(audit.load(str(file)))
    status = groqscope(["audit", str(file), str(sent[-1].span_id)])

    assert {r.trace_id: r for r in found} == {r.trace_id: r for r in sent}
    assert status == 0
    assert str(sent[-1].request_id) in capsys.readouterr().out
