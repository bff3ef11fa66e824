"""The collector exports into `groqscope ui`: what a program sent to it is on the live page and in the store."""

from pathlib import Path

import pytest
from stack_support import traffic
from stack_support.given import needs
from stack_support.programs import collector
from support.full_records import full_record
from support.ui import numbered
from support.waiting import wait_for

from groqscope.store import read_records
from groqscope.ui import Server

pytestmark = needs("OTELCOL")


@pytest.mark.parametrize(("encoding", "compression"), [("proto", "gzip"), ("json", "none")])
def test_collector_exports_into_it(tmp_path: Path, encoding: str, compression: str):
    """Records come out of the store as they were sent, in protobuf and in JSON."""
    records = numbered(full_record() for _ in range(20))
    with Server(tmp_path / "store", port=0) as server:
        settings = {"endpoint": server.url, "encoding": encoding, "compression": compression}
        pipelines = {"traces": {"exporters": ["otlp_http/ui"]}}
        layer = {"exporters": {"otlp_http/ui": settings}, "service": {"pipelines": pipelines}}
        with collector(tmp_path / "collector", layer) as running:
            sent = [traffic.send_record(running.post, record, "shop") for record in records]
            wait_for(lambda: server.collection.total == len(sent), "all requests", seconds=60)

        stored = {record.span_id: record for record in read_records([tmp_path / "store"])}

        assert [stored[record.span_id] for record in sent] == sent
