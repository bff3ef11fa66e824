"""Spans on the long way: a collector, a Kafka broker, another collector, ClickHouse's engine, the audit."""

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from stack_support.clickhouse import REQUESTS, TRACES, clickhouse
from stack_support.given import needs
from stack_support.programs import ROOT, collector, free_port
from support.same import same
from support.spans import span_of
from support.traffic import traffic
from support.waiting import wait_for

from groqscope import audit

pytestmark = needs("OTELCOL", "CHDB", "KAFKA")

SCALE = ROOT / "stack/scale"
_SENT = re.compile(r'otelcol_exporter_sent_spans\w*\{[^}]*exporter="kafka"[^}]*\} [1-9]')


@contextmanager
def kafka(folder: Path) -> Iterator[str]:
    """Run a broker that is its own controller, on loopback; return its address."""
    folder.mkdir()
    port, controller = free_port(), free_port()
    properties = folder / "server.properties"
    properties.write_text(
        f"process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n"
        f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n"
        f"advertised.listeners=PLAINTEXT://127.0.0.1:{port}\ncontroller.listener.names=CONTROLLER\n"
        "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n"
        f"log.dirs={folder}/data\noffsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n"
        "num.partitions=2\ngroup.initial.rebalance.delay.ms=0\n",
        encoding="utf-8",
    )
    java = ["java", "-Xmx512m", "-cp", f"{Path(os.environ['KAFKA']).resolve()}/*"]
    identity = "groqscopeAAAAAAAAAAAAA"
    form = [*java, "kafka.tools.StorageTool", "format", "-t", identity, "-c", str(properties)]
    subprocess.run(form, check=True, capture_output=True, timeout=120, cwd=folder)
    with (folder / "log").open("wb") as log:
        broker = subprocess.Popen([*java, "kafka.Kafka", str(properties)], stdout=log, stderr=log, cwd=folder)
    try:
        wait_for(lambda: _listens(port), "the broker listens", seconds=120)
        yield f"127.0.0.1:{port}"
    finally:
        broker.kill()
        broker.wait(timeout=60)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_spans_pass_through_kafka(tmp_path: Path):
    """What is sent while the second collector and ClickHouse are away waits; nothing is lost or counted twice."""
    written = [replace(r, trace_id=f"{n + 1:032x}", span_id=f"{n + 1:016x}") for n, r in enumerate(traffic(80))]
    quick = {"exporters": {"clickhouse": {"compress": "none", "sending_queue": {"batch": {"flush_timeout": "200ms"}}}}}
    early, late = ([span_of(record) for record in half] for half in (written[:40], written[40:]))
    with (
        kafka(tmp_path / "kafka") as brokers,
        collector(
            tmp_path / "first", str(SCALE / "collector-kafka.yaml"), environment={"KAFKA_BROKERS": brokers}
        ) as first,
    ):
        first.post("traces", encode_spans(early).SerializeToString())
        wait_for(lambda: _SENT.search(first.told()), "Kafka has them")
        (tmp_path / "clickhouse").mkdir()
        with clickhouse(tmp_path / "clickhouse") as server:
            server.run(TRACES, "otel")
            server.run(REQUESTS, "otel")
            environment = {
                "KAFKA_BROKERS": brokers,
                "CLICKHOUSE_ENDPOINT": server.address,
                "CLICKHOUSE_USER": "default",
                "CLICKHOUSE_PASSWORD": "",
            }
            layers = [str(SCALE / f"collector-{name}.yaml") for name in ("clickhouse", "kafka-clickhouse")]
            with collector(tmp_path / "second", *layers, quick, environment=environment):
                first.post("traces", encode_spans(late).SerializeToString())
                counted = "SELECT uniqExact(SpanId) FROM otel.otel_traces"
                wait_for(lambda: int(server.do(counted)) == len(written), "ClickHouse has them", seconds=120)
            found = audit.load(clickhouse=f"{server.address}otel").overview()

    expected = audit.Records(audit.MemorySource(written), audit.Query()).overview()
    same(replace(expected, provenance=found.provenance), found)
