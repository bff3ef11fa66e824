"""Requests in the table of the collector's ClickHouse exporter, as the exporter writes them, for tests."""

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from groqscope import codec
from groqscope.runs import TraceSpan
from groqscope.timeline import RequestRecord
from stack_support.programs import ROOT, Process, free_port

TRACES = (ROOT / "stack/scale/clickhouse/traces.sql").read_text(encoding="utf-8")
REQUESTS = (ROOT / "stack/scale/clickhouse/requests.sql").read_text(encoding="utf-8")
DISTRIBUTED = (ROOT / "stack/scale/clickhouse/distributed.sql").read_text(encoding="utf-8")


class Server:
    """A ClickHouse by its address."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.client = httpx.Client(timeout=300, trust_env=False)

    def do(self, query: str, rows: bytes = b"") -> str:
        """Return what the server says to a statement.

        Raises:
            ValueError: it refuses.
        """
        answer = self.client.post(self.address, content=query.encode() + rows, params={"precise_float_parsing": "1"})
        if not answer.is_success:
            raise ValueError(answer.text)
        return answer.text

    def run(self, file: str, database: str = "otel") -> None:
        """Run the statements of a file, in another database than the one it names."""
        text = re.sub(r"^--.*$", "", file, flags=re.MULTILINE).replace("otel.", f"{database}.")
        for statement in text.replace("EXISTS otel;", f"EXISTS {database};").split(";"):
            if statement.strip():
                self.do(statement)

    def insert(self, table: str, written: Iterable[RequestRecord | TraceSpan]) -> None:
        """Insert requests and other spans as the exporter does."""
        rows = "\n".join(json.dumps(row_of(one) if isinstance(one, RequestRecord) else _row(one)) for one in written)
        if rows:
            self.do(f"INSERT INTO {table} FORMAT JSONEachRow\n", rows.encode())


@contextmanager
def clickhouse(folder: Path) -> Iterator[Server]:
    """Run a server, whose cluster is called `groq` and has two shards, both of them this server."""
    port = free_port()
    script = ROOT / "tests/stack_support/clickhouse_server.py"
    process = Process(
        [sys.executable, str(script), str(port), str(folder)],
        folder / "log",
        f"http://127.0.0.1:{port}/?query=SELECT%201",
        {"PYTHONPATH": os.environ["CHDB"], "PATH": os.environ["PATH"]},
    )
    process.start()
    server = Server(f"http://127.0.0.1:{port}/")
    try:
        yield server
    finally:
        server.client.close()
        process.kill()


def row_of(record: RequestRecord) -> dict[str, Any]:
    """Return a request as the exporter's row."""
    attributes, events = codec.encode(record)
    start = record.start_unix_ns
    return {
        "Timestamp": _moment(start),
        "TraceId": record.trace_id or "",
        "SpanId": record.span_id or "",
        "SpanName": "chat",
        "SpanKind": "Internal" if record.nested else "Client",
        "ServiceName": record.service or "",
        "SpanAttributes": _texts(attributes),
        "Duration": record.duration_ns,
        "StatusCode": "Error" if record.outcome == "error" else "Unset",
        "Events.Timestamp": [_moment(start + offset) for _, offset, _ in events],
        "Events.Name": [name for name, _, _ in events],
        "Events.Attributes": [_texts(of_event) for _, _, of_event in events],
    }


def _row(span: TraceSpan) -> dict[str, Any]:
    """Return a span as the exporter's row."""
    parent = {"ParentSpanId": span.parent_id or ""}
    if span.record is not None:
        return row_of(span.record) | parent | {"SpanName": span.name}
    assert span.end_unix_ns is not None
    return parent | {
        "Timestamp": _moment(span.start_unix_ns),
        "TraceId": span.trace_id,
        "SpanId": span.span_id,
        "SpanName": span.name,
        "SpanKind": span.kind.capitalize(),
        "SpanAttributes": _texts(dict(span.attributes)),
        "Duration": span.end_unix_ns - span.start_unix_ns,
        "StatusCode": "Error" if span.failed else "Unset",
    }


def _moment(unix_ns: int) -> str:
    return f"{unix_ns // 10**9}.{unix_ns % 10**9:09}"


def _texts(attributes: codec.Attributes) -> dict[str, str]:
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in attributes.items()}
