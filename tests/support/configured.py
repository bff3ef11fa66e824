"""Programs that call `configure()`, and what they wrote."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.programs import Done

BASE = "OTEL_EXPORTER_OTLP_"
Run = Callable[..., Done]
"""Runs a program, with variables by name; `status` is the exit status that is expected."""


def warnings(done: Done) -> list[str]:
    """Return the lines of standard error, without those of the HTTP client."""
    return [line for line in done.stderr.splitlines() if not line.startswith("INFO httpx")]


def stored(kind: str = "traces") -> list[dict[str, Any]]:
    """Return the lines of the local store."""
    directory = Path(os.environ["GROQSCOPE_HOME"]) / "store"
    return [json.loads(line) for path in directory.glob(f"{kind}-*") for line in path.read_bytes().split(b"\n")[:-1]]


def stored_spans() -> list[dict[str, Any]]:
    """Return the spans of the local store."""
    return [s for line in stored() for r in line["resourceSpans"] for c in r["scopeSpans"] for s in c["spans"]]
