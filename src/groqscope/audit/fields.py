"""The vocabulary: every field of a record that `--where`, `--budget`, `--goodput`, `--by` and reports can name.

Most entries are made from `semconv.FIELDS`, so that a new field of the record is available at once. Durations are
compared in nanoseconds, times in Unix nanoseconds.
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, Literal

from groqscope import semconv
from groqscope.audit.errors import AuditError
from groqscope.audit.model import Unit
from groqscope.timeline import FAILED, PHASE_NAMES, RequestRecord

Kind = Literal["duration", "number", "text", "texts", "flag", "time"]
Value = int | float | str | bool | tuple[str, ...] | None
Getter = Callable[[Any], Value]
"""Gets the value of a request; of a run and one of its requests in `run_fields`."""


@dataclass(frozen=True, slots=True)
class Field:
    """One word of the vocabulary."""

    name: str
    kind: Kind
    unit: Unit
    brief: str
    get: Getter
    aliases: tuple[str, ...] = ()
    path: str | None = None
    """Its place in the record, where the value is what stands there."""


_ALIASES: Final = {
    "ttfc": ("time_to_first_chunk",),
    "ttfot": ("time_to_first_answer",),
    "input_tokens": ("prompt_tokens",),
    "output_tokens": ("completion_tokens",),
    "finish_reasons": ("finish_reason",),
    "error_type": ("error",),
    "audio_seconds": ("audio",),
    "request_id": ("id",),
    "connection_reused": ("reused",),
    "phases_clamped": ("clamped",),
}
_UNITS: Final[dict[str | None, Unit]] = {"{token}": "tokens", "By": "bytes", "USD": "usd"}
_TEXT: Final[dict[str, Kind]] = {"string": "text", "string[]": "texts", "boolean": "flag"}


_MAX_NS: Final = 2.0**63
"""A header may name any number of seconds; what no column of 64 bits has room for is not a time."""


def nanoseconds(seconds: float | None) -> int | None:
    """Return whole nanoseconds; `None` for what is not a time."""
    length = None if seconds is None else seconds * 1e9
    return None if length is None or length >= _MAX_NS else round(length)


def _seconds(path: str) -> Getter:
    get = attrgetter(path)
    return lambda record: nanoseconds(get(record))


def _share(phase: str) -> Getter:
    get = attrgetter(f"phases.{phase}")

    def share(record: RequestRecord) -> Value:
        value = get(record)
        return None if value is None or not record.duration_ns else value / record.duration_ns

    return share


def word_of(path: str) -> str:
    """Return the name of a field, by its path in the record."""
    name = path.removeprefix("usage.").removesuffix("_ns")
    return name.replace("phases.", "phase.").replace("rate_limits.", "ratelimit.")


def _from_semconv(attribute: semconv.Attribute) -> Field:
    path = attribute.field or ""
    name = word_of(path)
    aliases = _ALIASES.get(name, ())
    if path == "created":
        return Field(name, "time", "ns", attribute.brief, _seconds(path), aliases)
    if attribute.nanoseconds:
        return Field(name, "duration", "ns", attribute.brief, attrgetter(path), aliases, path)
    if attribute.unit == "s":
        return Field(name, "duration", "ns", attribute.brief, _seconds(path), aliases)
    kind = _TEXT.get(attribute.type, "number")
    return Field(name, kind, _UNITS.get(attribute.unit, "1"), attribute.brief, attrgetter(path), aliases, path)


def _own(name: str, kind: Kind, unit: Unit, brief: str, path: str, aliases: tuple[str, ...] = ()) -> Field:
    return Field(name, kind, unit, brief, attrgetter(path), aliases, path)


def _tpot_ns(record: RequestRecord) -> Value:
    tpot = record.tpot
    return None if tpot is None else tpot * 1e9


def _tool_names(record: RequestRecord) -> Value:
    return tuple(call.name or "" for call in record.tool_calls)


def _tags(record: RequestRecord) -> Value:
    return tuple(f"{name}={value}" for name, value in record.tags)


def _failed(record: RequestRecord) -> Value:
    return record.outcome in FAILED


_OWN: Final = (
    _own("duration", "duration", "ns", "The whole call, issue to end", "duration_ns", ("e2el", "total")),
    _own("start", "time", "ns", "When the call was issued, wall clock", "start_unix_ns", ("time",)),
    Field(
        "tpot",
        "duration",
        "ns",
        "Time of generation per output token: completion_time by tokens, else as observed",
        _tpot_ns,
    ),
    _own(
        "throughput",
        "number",
        "tokens/s",
        "Output tokens generated per second, 1 / tpot",
        "output_token_throughput",
        ("tps", "tokens_per_second"),
    ),
    Field("tpot_source", "text", "1", "`reported` by Groq, or `observed` in arrivals", attrgetter("tpot_source")),
    Field("cached_share", "number", "share", "Share of the input tokens that was cached", attrgetter("cached_share")),
    Field("wait", "duration", "ns", "Wait for the first token: queue, prefill, network", attrgetter("phases.wait")),
    _own("retries", "number", "1", "HTTP attempts beyond the first", "retries"),
    Field("attempts", "number", "1", "HTTP attempts", lambda r: len(r.attempts) + r.attempts_dropped),
    Field("failed", "flag", "1", "Outcome `error` or `truncated`", _failed),
    Field("tool_calls", "number", "1", "Tool calls the model made", lambda r: len(r.tool_calls) + r.tool_calls_dropped),
    Field("tool", "texts", "1", "Names of the tools called", _tool_names),
    Field(
        "invalid_tool_calls",
        "number",
        "1",
        "Calls whose arguments are not JSON",
        lambda r: sum(c.arguments_valid is False for c in r.tool_calls),
    ),
    Field(
        "executed_tools", "texts", "1", "Types of the tools Groq ran", lambda r: tuple(t.type for t in r.executed_tools)
    ),
    Field(
        "inner_models",
        "texts",
        "1",
        "Models a compound system called",
        lambda r: tuple(m.model for m in r.usage_models),
    ),
    Field(
        "usage_deltas",
        "number",
        "1",
        "Chunks that brought usage",
        lambda r: len(r.usage_deltas) + r.usage_deltas_dropped,
    ),
    _own("trace_id", "text", "1", "Trace, 32 hex digits", "trace_id", ("trace",)),
    _own("span_id", "text", "1", "Span, 16 hex digits", "span_id", ("span",)),
    Field("tags", "texts", "1", "Tags as name=value; one by itself is `tag.NAME`", _tags),
    _own("service", "text", "1", "`service.name` of the resource", "service"),
    _own("nested", "flag", "1", "Inside another library's inference span", "nested"),
)

FIELDS: Final[tuple[Field, ...]] = (
    *_OWN,
    *(_from_semconv(a) for a in semconv.FIELDS if a.field not in {None, "timeline_us"}),
    *(Field(f"share.{p}", "number", "share", f"Share of the duration: phase {p}", _share(p)) for p in PHASE_NAMES),
)

BY_NAME: Final[dict[str, Field]] = {name: f for f in FIELDS for name in (f.name, *f.aliases)}
"""Every name and alias."""


TAG: Final = "tag."
"""The prefix of a tag's name: `tag.feature`."""


def _tag(tag: str) -> Field:
    return Field(TAG + tag, "text", "1", f"The tag {tag!r} of `groqscope.run(tags=…)`", lambda r: dict(r.tags).get(tag))


class UnknownField(AuditError):
    """A name that is not in the vocabulary."""


def find(name: str) -> Field:
    """Return the field of that name or alias; a bare phase (`queue`) stands for `phase.queue`.

    Raises:
        UnknownField: there is none; the message names the closest ones.
    """
    if name.lower().startswith(TAG):
        return _tag(name[len(TAG) :])
    found = BY_NAME.get(name.lower())
    if found is None and name.lower() in PHASE_NAMES:
        found = BY_NAME[f"phase.{name.lower()}"]
    if found is None and name.lower().startswith("run."):
        raise UnknownField(f"{name!r} would be a field of runs: those are known with --runs, and in budgets")
    if found is None:
        close = difflib.get_close_matches(name.lower(), BY_NAME, n=3, cutoff=0.6)
        hint = f"did you mean {' or '.join(close)}?" if close else "`groqscope audit --fields` lists them all"
        raise UnknownField(f"unknown field {name!r}: {hint}")
    return found


def numeric(name: str) -> Field:
    """Return the field of that name, which must be a number or a duration.

    Raises:
        UnknownField: there is none, or it is text, a flag or a time.
    """
    found = find(name)
    if found.kind not in {"duration", "number"}:
        raise UnknownField(f"{name!r} is {_KIND_WORDS[found.kind]}, a number or a duration is needed here")
    return found


def groupable(name: str) -> Field:
    """Return the field of that name, which must have one value a request that many share; with commas, several in one.

    Raises:
        UnknownField: there is none, or it is a list of texts or a time.
    """
    if "," in name:
        return _together([groupable(part.strip()) for part in name.split(",")])
    found = find(name)
    if found.kind not in {"text", "flag"}:
        raise UnknownField(f"{name!r} is {_KIND_WORDS.get(found.kind, 'a number')}, by which nothing can be grouped")
    return found


BETWEEN: Final = "\x1f"
"""Between the values of several fields: ASCII's unit separator, which texts do not have."""
ABSENT: Final = "\x00"
"""In the place of a value that is not known."""


def _together(fields: list[Field]) -> Field:
    """Return a field whose value is those of several, `None` where none of them is known."""

    def get(record: RequestRecord) -> Value:
        values = [field.get(record) for field in fields]
        if all(value is None for value in values):
            return None
        return BETWEEN.join(ABSENT if value is None else str(value).replace(BETWEEN, " ") for value in values)

    return Field(",".join(field.name for field in fields), "text", "1", "Several fields together", get)


_KIND_WORDS: Final[dict[Any, str]] = {"text": "text", "texts": "a list of texts", "flag": "yes or no", "time": "a time"}
