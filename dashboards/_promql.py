"""PromQL over the metrics of `groqscope.semconv`, whose names and labels are derived, not typed."""

from groqscope import semconv
from groqscope.semconv import Metric

_RUNS = (semconv.METRIC_RUN_DURATION, semconv.METRIC_RUN_PART)
UNIT_SUFFIXES = {"s": "_seconds", "USD": "_USD"}

SERVICE = "service_name"
ENVIRONMENT = "deployment_environment_name"


def label(attribute: str) -> str:
    """Return the label that Prometheus makes of an attribute."""
    return attribute.replace(".", "_")


MODEL = label(semconv.REQUEST_MODEL)
PHASE = label(semconv.PHASE)
OUTCOME = label(semconv.OUTCOME)
ERROR = label(semconv.ERROR_TYPE)
RESOURCE = label(semconv.RATELIMIT_RESOURCE)
TOKEN_TYPE = label(semconv.TOKEN_TYPE)
TOOL = label(semconv.TOOL_NAME)
ATTEMPT = label(semconv.ATTEMPT_OUTCOME)
CACHE_MISS = label(semconv.CACHE_MISS)
CACHE_OUTCOME = label(semconv.CACHE_OUTCOME)
RUN_OUTCOME = label(semconv.RUN_OUTCOME)
RUN_PART = label(semconv.RUN_PART)
PROVIDER = label(semconv.PROVIDER_NAME)

SELECTED = f'{PROVIDER}="{semconv.PROVIDER}", {SERVICE}=~"$service", {MODEL}=~"$model", {ENVIRONMENT}=~"$environment"'
"""What the variables at the top of a dashboard choose, of Groq's."""

OF_RUNS = f'{SERVICE}=~"$service", {ENVIRONMENT}=~"$environment"'
"""The same of runs, which have no model of their own."""

RATE = "$__rate_interval"
RANGE = "$__range"


def name(metric: Metric, part: str = "") -> str:
    """Return the name that Prometheus makes of a metric; `part` is `sum`, `count` or `bucket` of a histogram."""
    suffix = UNIT_SUFFIXES.get(metric.unit, "")
    if metric.kind == "counter":
        suffix += "_total"
    return label(metric.name) + suffix + (f"_{part}" if part else "")


def series(metric: Metric, part: str = "", only: str = "") -> str:
    """Select the series of a metric that the variables choose, and of these `only` some."""
    selected = OF_RUNS if metric in _RUNS else SELECTED
    return f"{name(metric, part)}{{{selected}{', ' + only if only else ''}}}"


def rate(metric: Metric, part: str = "", only: str = "", by: str = "", over: str = RATE) -> str:
    """Sum up what a counter gains in a second."""
    return f"sum{f' by ({by})' if by else ''} (rate({series(metric, part, only)}[{over}]))"


def gained(metric: Metric, part: str = "", only: str = "", by: str = "", over: str = RANGE) -> str:
    """Sum up what a counter gained in the time shown."""
    return f"sum{f' by ({by})' if by else ''} (increase({series(metric, part, only)}[{over}]))"


def quantile(q: float, metric: Metric, by: str = "", over: str = RATE, only: str = "") -> str:
    """Estimate a quantile of a histogram from its explicit buckets."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate({series(metric, 'bucket', only)}[{over}])))"


def or_words(words: str, label: str, other: str) -> str:
    """Return a zero whose `label` says something in place of nothing, for panels that have no words of their own."""
    return f' or on () label_replace(label_replace(vector(0), "{label}", "{words}", "", ""), {other}, "", "")'


def ratio(part: str, whole: str) -> str:
    """Divide; nothing where there is no whole, 0 where there is a whole and no part."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"
