"""The committed dashboards as a test reads them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stack_support.services import ROOT

VALUES = {"service": ".*", "model": ".*", "environment": ".*", "slower": "500ms"}
"""What stands for the variables: everything."""


@dataclass(frozen=True)
class Target:
    """One query of one panel."""

    board: str
    panel: str
    kind: str
    """Of the panel: stat, timeseries, …"""
    query: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.board} / {self.panel} / {self.query['refId']}"


def boards() -> dict[str, dict[str, Any]]:
    """Read the committed dashboards by their uid."""
    found = [json.loads(f.read_text(encoding="utf-8")) for f in sorted((ROOT / "dashboards/json").glob("*.json"))]
    return {b["uid"]: b for b in found}


def targets() -> Iterator[Target]:
    """Yield every query of every panel."""
    for uid, board in boards().items():
        for panel in board["panels"]:
            for query in panel.get("targets", []):
                yield Target(uid, panel["title"], panel["type"], query)


def filled(query: str, *, range_s: int, trace: str = "") -> str:
    """Put values in the place of variables, as Grafana does."""
    values = {**VALUES, "trace": trace, "__rate_interval": "4m", "__range": f"{range_s}s"}
    return re.sub(r"\$\{?(\w+)\}?", lambda m: values[m[1]], query)
