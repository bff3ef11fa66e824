"""Many requests at once: none is lost, and memory stays within its limit."""

from pathlib import Path

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from support.report_samples import many
from support.spans import span_of
from support.ui import numbered
from support.waiting import wait_for

from groqscope.store import read_records
from groqscope.ui import Server

pytestmark = pytest.mark.slow
SENT, BATCH, KEPT = 5_000, 100, 1_000


def test_nothing_is_lost(tmp_path: Path) -> None:
    """What was acknowledged is in the store and on the page, each request once, in bounded memory."""
    records = numbered(many(SENT))
    with Server(tmp_path, port=0, kept=KEPT) as server, httpx.Client() as client:
        for start in range(0, SENT, BATCH):
            body = encode_spans([span_of(record) for record in records[start : start + BATCH]]).SerializeToString()
            headers = {"content-type": "application/x-protobuf"}
            client.post(f"{server.url}/v1/traces", content=body, headers=headers, timeout=60).raise_for_status()
        wait_for(lambda: server.collection.total == SENT, seconds=120)

        assert 0.9 * KEPT <= len(server.collection.columns().numbers) <= KEPT
        assert client.get(f"{server.url}/api/overview", timeout=60).json()["provenance"][1] == f"n={SENT:,}"

    assert {record.span_id for record in read_records([tmp_path])} == {record.span_id for record in records}
