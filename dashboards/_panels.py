"""Panels with what each of them must have: title, description, unit, legend, thresholds and what to do when empty."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import barchart, common, dashboard, heatmap, prometheus, stat, table, tempo
from grafana_foundation_sdk.builders import timeseries as timeseries_builder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heatmap_models
from grafana_foundation_sdk.models import prometheus as prometheus_models

from dashboards import _promql as promql

ENDINGS = {
    "error: rate_limit_exceeded": "#D57E1B",
    "error: 503": "#F2495C",
    "error: tool_use_failed": "#C4162A",
    "error: APITimeoutError": "#FF7383",
    "stream: abandoned": "#A15EF5",
    "stream: closed": "#CA95E5",
    "stream: cancelled": "#8F3BB8",
    "stream: truncated": "#DEB6F2",
}
"""Of errors that come often, warm, and of streams that ended early, violet."""

_MODELS = {
    "llama-3.1-8b-instant": "#73BF69",
    "llama-3.3-70b-versatile": "#F2CC0C",
    "openai/gpt-oss-120b": "#5794F2",
    "openai/gpt-oss-20b": "#8AB8FF",
    "qwen/qwen3-32b": "#B877D9",
    "moonshotai/kimi-k2": "#37A2B8",
    "meta-llama/llama-4-scout": "#96D98D",
    "meta-llama/llama-4-maverick": "#37872D",
    "groq/compound": "#E685B5",
    "groq/compound-mini": "#FFA6B0",
}
"""Groq's models of today by the beginning of their names; another one gets the next of Grafana's."""

MODELS = {start.replace(".", r"\.") + ".*": colour for start, colour in _MODELS.items()}
"""Patterns of legends that begin with a model, and their colours; where two match the later one counts."""

PROMETHEUS = models.DataSourceRef(type_val="prometheus", uid="groqscope-prometheus")
TEMPO = models.DataSourceRef(type_val="tempo", uid="groqscope-tempo")

SECONDS, RATIO, PER_MINUTE, COUNT, DOLLARS, BYTES = "s", "percentunit", "reqpm", "locale", "currencyUSD", "bytes"

NO_TRAFFIC = (
    "No Groq requests in this time. Point an application at the collector "
    "(OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318) or run: make stack-demo"
)
NO_TRAFFIC_BRIEFLY = "No Groq requests in this time. To see some: make stack-demo"
_WIDE = 8
"""From how many columns on the name of the variable fits into a line."""

Thresholds = Sequence[tuple[float | None, str]]
"""Values and the colour from there on; the first is `None`."""
PLAIN: Thresholds = ((None, "green"),)


@dataclass(frozen=True)
class Box:
    """Where a panel stands, in Grafana's grid of 24 columns."""

    x: int
    y: int
    w: int
    h: int

    def grid(self) -> models.GridPos:
        """Return it in Grafana's form."""
        return models.GridPos(x=self.x, y=self.y, w=self.w, h=self.h)


@dataclass(frozen=True)
class Query:
    """One PromQL query and the legend of its series."""

    expr: str
    legend: str = ""
    exemplars: bool = False


def _targets(queries: Sequence[Query], *, instant: bool = False, form: str | None = None) -> list[prometheus.Dataquery]:
    targets = []
    for index, query in enumerate(queries):
        target = prometheus.Dataquery().expr(query.expr).ref_id(chr(ord("A") + index)).datasource(PROMETHEUS)
        target.legend_format(query.legend or "__auto").exemplar(query.exemplars)
        target.editor_mode(prometheus_models.QueryEditorMode.CODE)
        if instant:
            target.instant()
        else:
            target.range()
        if form is not None:
            target.format(prometheus_models.PromQueryFormat(form))
        targets.append(target)
    return targets


def _steps(thresholds: Thresholds) -> dashboard.ThresholdsConfig:
    steps = [models.Threshold(value=value, color=color) for value, color in thresholds]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _dress(
    panel: Any,
    title: str,
    description: str,
    unit: str,
    box: Box,
    *,
    thresholds: Thresholds = PLAIN,
    empty: str = NO_TRAFFIC,
) -> Any:
    panel.title(title).description(description).unit(unit).grid_pos(box.grid()).thresholds(_steps(thresholds))
    return panel.no_value(NO_TRAFFIC_BRIEFLY if empty == NO_TRAFFIC and box.w < _WIDE else empty)


def value(
    title: str,
    description: str,
    query: str,
    unit: str,
    box: Box,
    *,
    thresholds: Thresholds = PLAIN,
    decimals: int | None = None,
    empty: str = "none",
) -> Any:
    """Make one big number, of the whole time shown."""
    panel = _dress(stat.Panel(), title, description, unit, box, thresholds=thresholds, empty=empty)
    panel.datasource(PROMETHEUS).targets(_targets([Query(query, title)], instant=True))
    panel.graph_mode(common_models.BigValueGraphMode.NONE).color_mode(common_models.BigValueColorMode.VALUE)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False))
    panel.text_mode(common_models.BigValueTextMode.VALUE).justify_mode(common_models.BigValueJustifyMode.CENTER)
    if decimals is not None:
        panel.decimals(decimals)
    return panel


def chart(
    title: str,
    description: str,
    queries: Sequence[Query],
    unit: str,
    box: Box,
    *,
    thresholds: Thresholds = PLAIN,
    stacked: bool = False,
    bars: bool = False,
    dashed: str | None = None,
    line: str | None = None,
    colors: dict[str, str] | None = None,
    shades: dict[str, str] | None = None,
    unlisted: str | None = None,
    maximum: float | None = None,
    empty: str = NO_TRAFFIC,
    right: bool = False,
    figures: Sequence[str] = (),
) -> Any:
    """Make lines (or stacked areas, or bars) over time.

    Legends that match `dashed` are drawn thin and dashed, those that match `unlisted` are drawn, but not named below;
    `line` is the legend of a series that is a dashed line among bars, outside of their stack. `colors` are of legends,
    `shades` of patterns whose legends share a colour's shades; models have their own. More than one threshold draws
    lines; the legend is below or, in a column, to the `right`, then with `figures` beside each name if wanted.
    """
    panel = _dress(timeseries_builder.Panel(), title, description, unit, box, thresholds=thresholds, empty=empty)
    panel.datasource(PROMETHEUS).targets(_targets(queries))
    legend = common.VizLegendOptions().show_legend(True).placement(common_models.LegendPlacement.BOTTOM)
    legend.display_mode(
        common_models.LegendDisplayMode.TABLE if figures else common_models.LegendDisplayMode.LIST
    ).calcs(list(figures))
    if right:
        legend.placement(common_models.LegendPlacement.RIGHT)
    panel.legend(legend)
    panel.tooltip(
        common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI).sort(common_models.SortOrder.DESCENDING)
    )
    panel.line_width(1 if stacked or bars else 2).fill_opacity(75 if stacked else 60 if bars else 6)
    panel.show_points(common_models.VisibilityMode.NEVER).span_nulls(180_000)
    panel.draw_style(common_models.GraphDrawStyle.BARS if bars else common_models.GraphDrawStyle.LINE)
    mode = common_models.StackingMode.NORMAL if stacked or bars else common_models.StackingMode.NONE
    panel.stacking(common.StackingConfig().mode(mode).group("A"))
    panel.min(0)
    if maximum is not None:
        panel.max(maximum)
    if len(thresholds) > 1:
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(common_models.GraphTresholdsStyleMode.DASHED))
    if dashed is not None:
        panel.override_by_regexp(dashed, _properties(lineStyle=_DASHES, lineWidth=1, fillOpacity=0))
    if unlisted is not None:
        panel.override_by_regexp(unlisted, _properties(hideFrom={"legend": True, "tooltip": False, "viz": False}))
    if line is not None:
        apart = {"drawStyle": "line", "stacking": {"mode": "none"}}
        panel.override_by_name(line, _properties(**apart, lineStyle=_DASHES, lineWidth=2, fillOpacity=0))
    return _colored(panel, queries, shades or {}, colors or {})


_DASHES = {"fill": "dash", "dash": [6, 6]}


def _properties(**custom: Any) -> list[models.DynamicConfigValue]:
    return [models.DynamicConfigValue(id_val=f"custom.{name}", value=value) for name, value in custom.items()]


def _colored(panel: Any, queries: Sequence[Query], shades: dict[str, str], colors: dict[str, str]) -> Any:
    if any(promql.MODEL in query.legend for query in queries):
        for pattern, color in MODELS.items():
            panel.override_by_regexp(pattern, [_color(color)])
    for pattern, color in shades.items():
        panel.override_by_regexp(pattern, [_color(color, models.FieldColorModeId.SHADES)])
    for series, color in colors.items():
        panel.override_by_name(series, [_color(color)])
    return panel


def _color(color: str, mode: models.FieldColorModeId = models.FieldColorModeId.FIXED) -> models.DynamicConfigValue:
    return models.DynamicConfigValue(id_val="color", value={"mode": mode.value, "fixedColor": color})


def heat(title: str, description: str, query: Query, box: Box, *, lowest: float, highest: float) -> Any:
    """Make a heatmap of a histogram's explicit buckets over time, between two bounds."""
    panel = _dress(heatmap.Panel(), title, description, SECONDS, box)
    panel.datasource(PROMETHEUS).targets(_targets([query], form="heatmap"))
    panel.calculate(False).cell_gap(1).show_legend().show_tooltip().exemplars_color("rgba(255,255,255,0.4)")
    panel.color(
        heatmap.HeatmapColorOptions()
        .mode(heatmap_models.HeatmapColorMode.SCHEME)
        .scheme("Turbo")
        .steps(64)
        .scale(heatmap_models.HeatmapColorScale.EXPONENTIAL)
        .exponent(0.5)
        .fill("dark-orange")
    )
    panel.y_axis(
        heatmap.YAxisConfig().unit(SECONDS).min(lowest).max(highest).axis_placement(common_models.AxisPlacement.LEFT)
    )
    panel.rows_frame(heatmap.RowsHeatmapOptions().layout(common_models.HeatmapCellLayout.AUTO))
    return panel.filter_values(heatmap.FilterValueRange().le(1e-9)).cell_values(heatmap.CellValues().unit("short"))


def ladder(
    title: str,
    description: str,
    query: str,
    unit: str,
    box: Box,
    *,
    row: str,
    column: str,
    order: Sequence[str],
    colors: dict[str, str],
) -> Any:
    """Make one stacked bar per value of label `row`, its segments the values of label `column`."""
    panel = _dress(barchart.Panel(), title, description, unit, box)
    panel.datasource(PROMETHEUS).targets(_targets([Query(query)], instant=True, form="table"))
    corner = f"{row}\\{column}"
    panel.with_transformation(
        models.DataTransformerConfig(
            id_val="groupingToMatrix",
            options={"rowField": row, "columnField": column, "valueField": "Value", "emptyValue": "null"},
        )
    )
    columns = {name: index + 1 for index, name in enumerate(order)}
    panel.with_transformation(
        models.DataTransformerConfig(id_val="organize", options={"indexByName": {corner: 0, **columns}})
    )
    panel.orientation(common_models.VizOrientation.HORIZONTAL)
    panel.stacking(common_models.StackingMode.NORMAL).show_value(common_models.VisibilityMode.NEVER)
    panel.fill_opacity(80).bar_width(0.85).group_width(0.8).line_width(1)
    legend = common.VizLegendOptions().show_legend(False).display_mode(common_models.LegendDisplayMode.LIST)
    panel.legend(legend.placement(common_models.LegendPlacement.BOTTOM).calcs([]))
    panel.tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
    for series, color in colors.items():
        panel.override_by_name(series, [_color(color)])
    return panel


@dataclass(frozen=True)
class Column:
    """A column of a table: its query, name, unit and thresholds."""

    name: str
    query: str
    unit: str
    thresholds: Thresholds = ()
    decimals: int | None = None


def comparison(title: str, description: str, by: str, first: str, columns: Sequence[Column], box: Box) -> Any:
    """Make a table with a row per value of label `by` and a column per query."""
    panel = _dress(table.Panel(), title, description, "short", box)
    panel.datasource(PROMETHEUS)
    panel.targets(_targets([Query(c.query) for c in columns], instant=True, form="table"))
    renamed = {f"Value #{chr(ord('A') + i)}": c.name for i, c in enumerate(columns)}
    panel.with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
    panel.with_transformation(
        models.DataTransformerConfig(
            id_val="organize", options={"excludeByName": {"Time": True}, "renameByName": {by: first, **renamed}}
        )
    )
    panel.override_by_name(first, [models.DynamicConfigValue(id_val="custom.width", value=215)])
    for column in columns:
        properties = [
            models.DynamicConfigValue(id_val="unit", value=column.unit),
            models.DynamicConfigValue(id_val="custom.width", value=104),
        ]
        if column.decimals is not None:
            properties.append(models.DynamicConfigValue(id_val="decimals", value=column.decimals))
        if column.thresholds:
            properties.append(models.DynamicConfigValue(id_val="thresholds", value=_steps(column.thresholds).build()))
            properties.append(models.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}))
        panel.override_by_name(column.name, properties)
    return panel


def firing(title: str, description: str, query: str, box: Box, *, columns: dict[str, str], empty: str) -> Any:
    """Make a table of label values; `columns` are labels and their names, the rest is left out."""
    panel = _dress(table.Panel(), title, description, "short", box, empty=empty)
    panel.datasource(PROMETHEUS).targets(_targets([Query(query)], instant=True, form="table"))
    panel.with_transformation(
        models.DataTransformerConfig(id_val="filterFieldsByName", options={"include": {"names": list(columns)}})
    )
    return panel.with_transformation(
        models.DataTransformerConfig(
            id_val="organize",
            options={"renameByName": columns, "indexByName": {c: i for i, c in enumerate(columns)}},
        )
    )


def traces(title: str, description: str, query: str, box: Box, *, link: str, limit: int = 50) -> Any:
    """Make a table of the traces that a TraceQL query finds; a trace's ID links to `link`."""
    panel = _dress(table.Panel(), title, description, "short", box, empty="None in this time.")
    target = tempo.TempoQuery().query_type("traceql").query(query).limit(limit).ref_id("A").datasource(TEMPO)
    panel.datasource(TEMPO).with_target(target)
    # The column's name is "Trace ID" in the table, `traceID` in the frame.
    for name in ("Trace ID", "traceID"):
        panel.override_by_name(
            name,
            [
                models.DynamicConfigValue(
                    id_val="links", value=[{"title": "Show this request", "url": link, "targetBlank": False}]
                ),
                models.DynamicConfigValue(id_val="custom.width", value=125),
            ],
        )
    panel.override_by_name("Duration", [models.DynamicConfigValue(id_val="custom.width", value=90)])
    panel.override_by_name("Start time", [models.DynamicConfigValue(id_val="custom.width", value=170)])
    return panel.sort_by([common.TableSortByFieldState().display_name("Duration").desc(True)])


def trace(title: str, description: str, query: str, box: Box) -> Any:
    """Make the waterfall of one trace."""
    panel = _dress(dashboard.Panel().type("traces"), title, description, "short", box)
    target = tempo.TempoQuery().query_type("traceql").query(query).ref_id("A").datasource(TEMPO)
    return panel.datasource(TEMPO).targets([target])
