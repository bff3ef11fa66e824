"""Records as OTLP JSON files, written by the project's own exporter."""

from collections.abc import Iterable
from pathlib import Path

from groqscope.store import LocalSpanExporter
from groqscope.timeline import RequestRecord
from support.spans import span_of


def write_store(directory: Path, records: Iterable[RequestRecord], batch: int = 100) -> Path:
    """Write records into a store directory; return the largest file."""
    exporter = LocalSpanExporter(directory)
    spans = [span_of(record) for record in records]
    for start in range(0, len(spans), batch):
        exporter.export(spans[start : start + batch])
    exporter.shutdown()
    return max(directory.iterdir(), key=lambda file: file.stat().st_size)
