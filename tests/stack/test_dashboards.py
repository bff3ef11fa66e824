"""Here: the dashboards on paper: what can be said without running anything.

They are held against the schema of Grafana 10.1 and of the current one, as Grafana's SDK describes them.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

import pytest
import yaml
from stack_support import grafana_schema
from stack_support.boards import ROOT, Target, boards, targets
from stack_support.given import needs

from dashboards import _promql as promql
from dashboards._panels import MODELS
from groqscope import semconv
from groqscope.audit.reports.palette import PHASES
from groqscope.semconv import Metric
from groqscope.timeline import Phases

OF_THE_SERVICES = re.compile(r"^(otelcol_|tempo_|prometheus_|process_|up$|ALERTS$)")
"""What the services tell about themselves."""
LABELS_OF_THE_SERVICES = {"job", "exporter", "__name__", "alertname", "alertstate", "severity", "what", "instance"}
WORDS = {"sum", "min", "max", "rate", "increase", "histogram_quantile", "clamp_min", "label_replace", "count"} | {
    "vector",
    "and",
    "or",
}
"""Of PromQL itself."""
FIRST_SCREEN = 22
"""Rows of Grafana's grid that fit into 1600x1000, with its own header."""
BOARDS = boards()
PANELS = [(uid, panel) for uid, board in BOARDS.items() for panel in board["panels"]]
PANEL_IDS = [f"{uid}-{panel['title'] or panel['type']}" for uid, panel in PANELS]


def _known() -> dict[str, tuple[Metric, str]]:
    known = {}
    for metric in semconv.METRICS:
        parts = ("bucket", "sum", "count") if metric.kind == "histogram" else ("",)
        known.update({promql.name(metric, part): (metric, part) for part in parts})
    return known


KNOWN = _known()


def _expressions() -> Iterator[tuple[str, str]]:
    for target in targets():
        if "expr" in target.query:
            yield str(target), target.query["expr"]
    for name in ("recording", "alerts"):
        content = yaml.safe_load((ROOT / f"stack/prometheus/rules/{name}.yml").read_text(encoding="utf-8"))
        for group in content["groups"]:
            for rule in group["rules"]:
                yield rule.get("record") or rule["alert"], rule["expr"]


EXPRESSIONS = list(_expressions())
RECORDED = {name for name, _ in EXPRESSIONS if name.startswith("groq:")}


def _bare(expression: str) -> str:
    """Without strings and comments."""
    return re.sub(r'"[^"]*"', '""', re.sub(r"#.*", "", expression))


def test_committed_json_is_what_the_code_makes():
    """`python -m dashboards --check` passes."""
    done = subprocess.run(
        [sys.executable, "-m", "dashboards", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("name", "expression"), EXPRESSIONS, ids=[n for n, _ in EXPRESSIONS])
def test_every_metric_queried_exists(name: str, expression: str):
    """A query reads metrics of semconv, of the services themselves, or of the recording rules."""
    left = re.sub(r"\b(by|on|group_left)\s*\([^)]*\)|\{[^}]*\}|\[[^\]]*\]", " ", _bare(expression))
    metrics = set(re.findall(r"[a-zA-Z_:][\w:]*", left)) - WORDS

    assert metrics
    assert not {m for m in metrics if m not in KNOWN and m not in RECORDED and not OF_THE_SERVICES.match(m)}


@pytest.mark.parametrize(("name", "expression"), EXPRESSIONS, ids=[n for n, _ in EXPRESSIONS])
def test_every_label_queried_is_on_its_metric(name: str, expression: str):
    """A selector or a grouping uses attributes that the metric carries."""
    carried = {promql.SERVICE, promql.ENVIRONMENT, "le"} | LABELS_OF_THE_SERVICES
    for metric in re.findall(r"[a-zA-Z_:][\w:]*", _bare(expression)):
        if metric in KNOWN:
            carried |= {promql.label(a) for a in KNOWN[metric][0].attributes}
        elif metric in RECORDED:
            carried |= {promql.label(a) for m in semconv.METRICS for a in m.attributes}
    used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expression))
    for group in re.findall(r"\b(?:by|on|group_left)\s*\(([^)]*)\)", expression):
        used |= {part.strip() for part in group.split(",") if part.strip()}

    assert not used - carried


@pytest.mark.parametrize(("name", "expression"), EXPRESSIONS, ids=[n for n, _ in EXPRESSIONS])
def test_counters_and_histograms_are_read_by_their_growth(name: str, expression: str):
    """No counter is shown as it is: what it holds is the age of a process."""
    for metric in re.findall(r"[a-zA-Z_:][\w:]*(?=\{)", _bare(expression)):
        if metric in KNOWN and KNOWN[metric][0].kind in {"counter", "histogram"}:
            assert re.search(rf"(rate|increase)\({metric}\{{[^}}]*\}}\[", expression)


@pytest.mark.parametrize(("uid", "panel"), PANELS, ids=PANEL_IDS)
def test_every_panel_explains_itself(uid: str, panel: dict[str, Any]):
    """A panel has a title, a description, a unit, thresholds, and words for when it is empty."""
    defaults = panel["fieldConfig"]["defaults"]

    assert panel["title"]
    assert panel["description"]
    assert defaults["unit"]
    assert defaults["thresholds"]["steps"]
    assert defaults["noValue"]
    if panel["type"] == "timeseries":
        assert panel["options"]["legend"]["showLegend"]
        assert all(t["legendFormat"] for t in panel["targets"])


@pytest.mark.parametrize("target", list(targets()), ids=str)
def test_a_title_that_names_a_percentile_shows_that_one(target: Target):
    """`p95` in a title or a legend is 0.95 in the query."""
    for text in (target.panel, target.query.get("legendFormat", "")):
        for percentile in re.findall(r"\bp(\d\d)\b", text):
            assert f"histogram_quantile(0.{percentile.rstrip('0')}," in target.query["expr"]


@pytest.mark.parametrize("target", list(targets()), ids=str)
def test_every_query_goes_to_a_provisioned_source(target: Target):
    """Data sources are named by the uids of stack/grafana/provisioning."""
    content = (ROOT / "stack/grafana/provisioning/datasources/groqscope.yaml").read_text(encoding="utf-8")
    uids = {source["uid"] for source in yaml.safe_load(content)["datasources"]}

    assert target.query["datasource"]["uid"] in uids


@pytest.mark.parametrize("uid", BOARDS)
def test_grafana_of_ten_one_knows_the_form(uid: str):
    """The schema is no later than 38, no panel is of a later kind, nobody can edit."""
    board = BOARDS[uid]

    assert board["schemaVersion"] <= 38
    assert {p["type"] for p in board["panels"]} <= {
        "stat",
        "timeseries",
        "heatmap",
        "barchart",
        "table",
        "traces",
    }
    assert board["editable"] is False


def _faults(sdk: str | None) -> tuple[str, dict[str, list[str]]]:
    """Have an SDK read the dashboards: the one of the environment, or the one in a folder."""
    environment = {**os.environ, **({} if sdk is None else {"PYTHONPATH": sdk})}
    script = ROOT / "tests/stack_support/grafana_schema.py"
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return found["sdk"], found["faults"]


def test_the_schema_of_ten_one_is_kept():
    """Grafana 10.1 knows each key, and its type of value; later heatmaps read `mode` where 10.1 reads `show`."""
    version, faults = _faults(None)

    assert version.endswith("!10.1.0")
    assert {f for found in faults.values() for f in found} == {".panels[].options.tooltip.mode: unknown"}
    assert set(faults) == set(BOARDS)


@needs("GRAFANA_SDK")
def test_the_schema_of_the_current_grafana_is_kept():
    """So does the newest SDK, of the one line that all Grafanas from 12 on share."""
    version, faults = _faults(os.environ["GRAFANA_SDK"])

    assert "!" not in version
    assert {f for found in faults.values() for f in found} == {".panels[].options.tooltip.show: unknown"}
    assert set(faults) == set(BOARDS)


SPOILT: list[tuple[str, Callable[[dict[str, Any]], object]]] = [
    (".panels[].titel: unknown", lambda board: board["panels"][0].update(titel="x")),
    (".panels[].title: 5 is no str", lambda board: board["panels"][0].update(title=5)),
    (".graph_tooltip: 7 is no DashboardCursorSync", lambda board: board.update(graphTooltip=7)),
    (".panels[].grid_pos.w: '12' is no int", lambda board: board["panels"][0]["gridPos"].update(w="12")),
    (".panels[].options.gab: unknown", lambda board: board["panels"][0]["options"].update(gab=1)),
]


@pytest.mark.parametrize(("fault", "spoil"), SPOILT, ids=[f for f, _ in SPOILT])
def test_a_fault_of_form_is_found(fault: str, spoil: Callable[[dict[str, Any]], object]):
    """A key that is misspelt or a value of another type does not pass."""
    grafana_schema.plugins.register_default_plugins()
    board = json.loads(json.dumps(BOARDS["groq-overview"]))
    spoil(board)

    assert fault in set(grafana_schema.faults(board))


@pytest.mark.parametrize("uid", BOARDS)
def test_panels_fill_the_first_screen_and_do_not_overlap(uid: str):
    """Every cell of the first rows belongs to exactly one panel."""
    cells: dict[tuple[int, int], str] = {}
    for panel in BOARDS[uid]["panels"]:
        box = panel["gridPos"]
        for x in range(box["x"], box["x"] + box["w"]):
            for y in range(box["y"], box["y"] + box["h"]):
                assert (x, y) not in cells, f"{panel['title']} covers {cells[x, y]}"
                cells[x, y] = panel["title"]

    assert all((x, y) in cells for x in range(24) for y in range(FIRST_SCREEN))


def test_every_latency_panel_has_exemplars():
    """A chart or heatmap of percentiles or buckets of times asks for exemplars; means and shares have none to give."""
    latency = {
        (uid, panel["title"]): any(t["exemplar"] for t in panel["targets"])
        for uid, panel in PANELS
        if panel["type"] in {"timeseries", "heatmap"}
        and panel["fieldConfig"]["defaults"]["unit"] == "s"
        and any("_bucket" in t["expr"] for t in panel["targets"])
    }

    assert len(latency) > 5
    assert all(latency.values())


def test_the_link_of_an_exemplar_shows_the_trace_panel():
    """The panel that the link opens is the one with the trace."""
    content = (ROOT / "stack/grafana/provisioning/datasources/groqscope.yaml").read_text(encoding="utf-8")
    source = yaml.safe_load(content)["datasources"][0]
    link = source["jsonData"]["exemplarTraceIdDestinations"][0]["url"]
    panel = next(p for p in BOARDS["groq-audit"]["panels"] if p["type"] == "traces")

    assert link.startswith("/d/groq-audit/")
    assert link.endswith(f"var-trace=$${{__value.raw}}&viewPanel={panel['id']}")


def test_a_model_and_a_phase_have_the_same_colour_everywhere():
    """Wherever models or phases are legends, their colours are given, and are the same."""
    colors: dict[str, set[str]] = {}
    for _, panel in PANELS:
        legends = " ".join(t.get("legendFormat", "") for t in panel["targets"])
        given: dict[str, str] = {}
        for override in panel["fieldConfig"]["overrides"]:
            for part in override["properties"]:
                if part["id"] == "color" and part["value"]["mode"] == "fixed":
                    given[override["matcher"]["options"]] = part["value"]["fixedColor"]
        for name, color in given.items():
            colors.setdefault(name, set()).add(color)
        if panel["type"] == "timeseries" and promql.MODEL in legends:
            assert MODELS.items() <= given.items()
        if promql.PHASE in legends or "prefill" in legends.split():
            assert {name: colour.hex for name, colour in PHASES.items()}.items() <= given.items()

    assert all(len(found) == 1 for found in colors.values())
    assert list(PHASES) == [f.name for f in fields(Phases)]


def test_variables_offer_service_model_and_environment():
    """Each dashboard about Groq can be narrowed by all three, and shows all at first."""
    for uid in ("groq-overview", "groq-latency", "groq-audit"):
        variables = {v["name"]: v for v in BOARDS[uid]["templating"]["list"]}

        assert {"service", "model", "environment"} <= variables.keys()
        assert all(variables[n]["allValue"] == ".*" for n in ("service", "model", "environment"))
        assert not any("id" in v for v in variables.values())
