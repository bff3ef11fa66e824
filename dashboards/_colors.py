"""Colours that mean the same on every dashboard."""

from typing import Final

PHASES: Final = {
    "prepare": "#8F8F8F",
    "retry": "#E02F44",
    "pool_wait": "#B07AA1",
    "connect": "#FADE2A",
    "tls": "#FFB357",
    "send": "#D9D9D9",
    "queue": "#FF780A",
    "prefill": "#8AB8FF",
    "network": "#5F7A8A",
    "generate": "#3274D9",
    "receive": "#56A64B",
    "consume": "#A352CC",
    "finish": "#6E6E6E",
}
"""In the order in which they happen. Red and orange: waiting that somebody can do something about; blue and green: Groq
at work; violet: the caller."""

ENDINGS: Final = {
    "error: rate_limit_exceeded": "#FF9830",
    "error: 503": "#F2495C",
    "error: tool_use_failed": "#C4162A",
    "error: APITimeoutError": "#FF7383",
    "stream: abandoned": "#A352CC",
    "stream: closed": "#CA95E5",
    "stream: cancelled": "#8F3BB8",
    "stream: truncated": "#DEB6F2",
}
"""Of errors that come often, warm, and of streams that ended early, violet."""

_MODELS: Final = {
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

MODELS: Final = {start.replace(".", r"\.") + ".*": color for start, color in _MODELS.items()}
"""Patterns of legends that begin with a model, and their colours; where two match the later one counts."""
