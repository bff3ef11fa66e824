"""Groq request audit: which requests were slow, failed, retried or abandoned, and what happened in one of them?"""

from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models

from dashboards._frame import ALL, frame
from dashboards._panels import Box, trace, traces
from groqscope import semconv

UID = "groq-audit"
NO_TRACE = '{ name = "click a trace ID" }'
"""What is in the field before a trace is chosen: a query that finds nothing, since an empty one is an error."""

LINK = (
    f"/d/{UID}/groq-request-audit?${{__url_time_range}}&${{service:queryparam}}&${{model:queryparam}}"
    "&${environment:queryparam}&${slower:queryparam}&var-trace=${__value.raw}"
)


def _of(attribute: str, variable: str) -> str:
    """Choose by a variable; `All` also takes spans that lack the attribute."""
    return f'({attribute} =~ "${variable}" || "${variable}" = "{ALL}")'


_CHOSEN = " && ".join(
    (
        f"span.{semconv.RECORD} > 0",
        _of("resource.service.name", "service"),
        _of(f"span.{semconv.REQUEST_MODEL}", "model"),
        _of("resource.deployment.environment.name", "environment"),
    )
)


def _find(condition: str, *shown: str) -> str:
    """Find record spans; `shown` attributes appear when a row is opened."""
    return f"{{ {_CHOSEN} && {condition} }} | select({', '.join(f'span.{s}' for s in shown)})"


def _tables() -> list[Any]:
    return [
        traces(
            "Slower than $slower",
            "Requests that took longer than the variable at the top, slowest first, of the newest 50. Click a "
            "trace ID to see it below.",
            _find(
                "duration > $slower", "gen_ai.response.time_to_first_chunk", "groq.usage.queue_time", "groq.request.id"
            ),
            Box(0, 0, 12, 7),
            link=LINK,
        ),
        traces(
            "Failed",
            "Requests whose error reached the caller. Open a row for the type of the error and Groq's request id.",
            _find(f'span.{semconv.OUTCOME} = "error"', semconv.ERROR_TYPE, semconv.HTTP_STATUS, "groq.request.id"),
            Box(12, 0, 12, 7),
            link=LINK,
        ),
        traces(
            "Retried",
            "Requests with more than one HTTP attempt. Open a row for how many, and for the time lost to it.",
            _find("span.groqscope.attempts > 1", "groqscope.attempts", "groqscope.phase.retry_time", "groq.request.id"),
            Box(0, 7, 12, 7),
            link=LINK,
        ),
        traces(
            "Abandoned, cancelled, closed or cut",
            "Streams that ended before the answer did: dropped by the application, cancelled, closed early, or "
            "cut by the network.",
            _find(
                f'span.{semconv.OUTCOME} =~ "abandoned|cancelled|closed|truncated"',
                semconv.OUTCOME,
                "groqscope.stream.chunks",
                "groq.request.id",
            ),
            Box(12, 7, 12, 7),
            link=LINK,
        ),
    ]


def _one() -> list[Any]:
    return [
        trace(
            "One request: click a trace ID above or a dot on another page, or paste an ID into the field Trace",
            "The request's phases, attempts and tool calls; open a span for its attributes and events, and its link "
            "for the metrics of its service and model around its time. A dot on a latency panel is an exemplar.",
            "$trace",
            Box(0, 14, 24, 18),
        ),
    ]


def _more() -> list[Any]:
    options = ["500ms", "1s", "2s", "5s", "10s"]
    slower = dashboard.CustomVariable("slower").label("Slower than").description("What counts as slow")
    slower.values(",".join(options)).current(models.VariableOption(selected=True, text="2s", value="2s"))
    slower.options([models.VariableOption(selected=o == "2s", text=o, value=o) for o in options])
    chosen = dashboard.TextBoxVariable("trace").label("Trace").description("A trace ID: 32 hex digits")
    nothing = models.VariableOption(selected=True, text=NO_TRACE, value=NO_TRACE)
    return [slower, chosen.default_value(NO_TRACE).current(nothing).options([nothing])]


def build() -> object:
    """Make the dashboard."""
    description = "Which requests were slow, failed, retried or abandoned, and what happened in one of them?"
    return frame(UID, "Groq request audit", description, [*_tables(), *_one()], _more())
