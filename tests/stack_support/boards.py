"""The committed dashboards as a test reads them."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
SOURCES: list[dict[str, Any]] = yaml.safe_load(
    (ROOT / "stack/grafana/provisioning/datasources/groqscope.yaml").read_text(encoding="utf-8")
)["datasources"]
"""Data sources as they are provisioned."""
SCRAPE_S = int(SOURCES[0]["jsonData"]["timeInterval"].removesuffix("s"))
"""What Grafana takes for the time between two scrapes."""


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


STEP_S = 60
"""Between two points of a chart of one hour: the time between two scrapes, which the data source says is a minute."""


def filled(query: str, *, range_s: int, trace: str = "", **chosen: Sequence[str]) -> str:
    """Put values in the place of variables as Grafana does; what is not `chosen` is `All`.

    In PromQL several values become `(a|b)`, and what a regular expression would take for its own is escaped; in TraceQL
    they are joined as they are.
    """
    promql = not query.lstrip().startswith("{")
    values = {name: _joined(chosen.get(name), escape=promql) for name in ("service", "model", "environment")}
    values |= {"slower": "500ms", "trace": trace, "__range": f"{range_s}s"}
    # Four scrapes, or one more than the step: so says Grafana's documentation of the variable.
    values["__rate_interval"] = f"{max(STEP_S + SCRAPE_S, 4 * SCRAPE_S)}s"
    return re.sub(r"\$\{?(\w+)\}?", lambda m: values[m[1]], query)


def _joined(chosen: Sequence[str] | None, *, escape: bool) -> str:
    if chosen is None:
        return ".*"
    if not escape:
        return "|".join(chosen)
    words = [re.sub(r"[\\^$*{}\[\]+?.()|]", r"\\\\\g<0>", word) for word in chosen]
    return words[0] if len(words) == 1 else f"({'|'.join(words)})"
