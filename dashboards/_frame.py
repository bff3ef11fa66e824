"""What all dashboards share: variables, links to each other, time, schema."""

from collections.abc import Sequence
from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models

from dashboards import _promql as promql
from dashboards._panels import PROMETHEUS
from groqscope import semconv

TAG = "groqscope"
ALL = ".*"


def _choice(name: str, title: str, description: str, attribute_label: str) -> Any:
    """Make a variable of the values of a label, `All` being any value or none."""
    requests = promql.name(semconv.METRIC_DURATION, "count")
    selector = f'{requests}{{{promql.PROVIDER}="{semconv.PROVIDER}"}}'
    variable = dashboard.QueryVariable(name).label(title).description(description).datasource(PROMETHEUS)
    variable.query({"query": f"label_values({selector}, {attribute_label})", "refId": "StandardVariableQuery"})
    variable.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.ALPHABETICAL_ASC)
    variable.multi(True).include_all(True).all_value(ALL)
    return variable.current(models.VariableOption(selected=True, text="All", value="$__all"))


def variables() -> list[Any]:
    """Return the three choices at the top of each dashboard."""
    return [
        _choice("service", "Service", "service.name of the application", promql.SERVICE),
        _choice("model", "Model", "The model asked for", promql.MODEL),
        _choice("environment", "Environment", "deployment.environment.name of the application", promql.ENVIRONMENT),
    ]


def frame(
    uid: str, title: str, description: str, panels: Sequence[Any], more: Sequence[Any] = (), *, choices: bool = True
) -> models.Dashboard:
    """Make a dashboard of panels; `more` variables come after the common ones."""
    board = dashboard.Dashboard(title).uid(uid).description(description).tags([TAG]).readonly()
    board.time("now-1h", "now").refresh("30s").timezone("browser")
    board.tooltip(models.DashboardCursorSync.CROSSHAIR)
    for variable in [*(variables() if choices else []), *more]:
        board.with_variable(variable)
    link = dashboard.DashboardLink("Groq").type(models.DashboardLinkType.DASHBOARDS).tags([TAG])
    board.link(link.as_dropdown(False).include_vars(True).keep_time(True))
    built = board.build()
    for index, panel in enumerate(panels):
        made = panel.build()
        made.id_val = index + 1
        built.panels = [*(built.panels or []), made]
    built.schema_version = 38  # Grafana 10.1 knows no later one; later Grafanas migrate it
    return built
