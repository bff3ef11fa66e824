"""The vocabulary of runs: `run.duration`, `run.cost`, `run.tool.search`, …, in budgets and in `--where` with `--runs`.

A condition on runs is about a run and one of its requests: `run.NAME` is the run's own, every other name the request's.
It holds for a run when it holds with one of its requests.
"""

import difflib
from collections.abc import Callable
from dataclasses import replace
from operator import attrgetter
from typing import Any, Final

from groqscope.audit.fields import TAG, Field, Kind, UnknownField, Value, find
from groqscope.audit.model import Unit
from groqscope.runs import PART_KINDS, Run
from groqscope.timeline import FAILED, RequestRecord

PREFIX: Final = "run."
"""Before a run's field."""
_TOOL: Final = "tool."
_DESCRIBED: Final = {
    "model": "Time in Groq requests, and other providers' inferences",
    "tool": "Time in tools; in one of them: `run.tool.NAME`",
    "retrieval": "Time in retrievers and vector stores",
    "io": "Time in other calls that leave the process",
    "own": "Time in the program's own code",
    "idle": "Time in which no span of the trace was open",
}


def _time_in(kind: str) -> Callable[[Run], Value]:
    return lambda run: sum(segment.length_ns for segment in run.segments if segment.kind == kind)


def _share(kind: str) -> Callable[[Run], Value]:
    time_in = _time_in(kind)

    def share(run: Run) -> Value:
        length = time_in(run)
        return length / run.duration_ns if run.duration_ns and isinstance(length, int) else None

    return share


def _field(name: str, kind: Kind, unit: Unit, brief: str, get: Callable[[Run], Value] | None = None) -> Field:
    return Field(PREFIX + name, kind, unit, brief, get or attrgetter(name))


RUN_FIELDS: Final[tuple[Field, ...]] = (
    _field("duration", "duration", "ns", "From its start to its end", attrgetter("duration_ns")),
    _field("first_answer", "duration", "ns", "First answer token of its last request", attrgetter("first_answer_ns")),
    _field("first_audio", "duration", "ns", "First byte of speech", attrgetter("first_audio_ns")),
    _field("saved", "duration", "ns", "Saved by what ran at the same time", attrgetter("overlap_saved_ns")),
    *(_field(kind, "duration", "ns", _DESCRIBED[kind], _time_in(kind)) for kind in PART_KINDS),
    *(
        _field(f"share.{kind}", "number", "share", f"Share of the duration: {kind}", _share(kind))
        for kind in PART_KINDS
    ),
    _field("cost", "number", "usd", "US dollars of its requests whose cost is known"),
    _field("requests", "number", "1", "Groq requests", lambda run: len(run.requests)),
    _field("tools", "number", "1", "Executions of tools", lambda run: len(run.tools)),
    _field("retries", "number", "1", "HTTP attempts beyond the first, of all requests"),
    _field("errors", "number", "1", "Requests that failed", lambda run: sum(r.outcome in FAILED for r in run.requests)),
    _field("input_tokens", "number", "tokens", "Of its requests whose usage is known"),
    _field("output_tokens", "number", "tokens", "Of its requests whose usage is known"),
    _field("failed", "flag", "1", "Its span has the status error"),
    _field("interrupted", "flag", "1", "The caller ended it early: cancelled, closed or abandoned"),
    _field("name", "text", "1", "Of `groqscope.run`, or of its span"),
    _field("agent", "text", "1", "Name of its agent"),
    _field("conversation", "text", "1", "Conversation or session"),
    _field("user", "text", "1", "User"),
    _field("service", "text", "1", "`service.name` of the resource"),
    _field("trace_id", "text", "1", "Trace, 32 hex digits"),
    _field("span_id", "text", "1", "Span that the run is, 16 hex digits"),
)
_BY_NAME: Final = {field.name: field for field in RUN_FIELDS}


def find_of_run(name: str) -> Field:
    """Return the field of a run that has this name, with `run.` before it.

    Raises:
        UnknownField: there is none; the message names the closest ones.
    """
    own = name[len(PREFIX) :]
    if own.lower().startswith(TAG):
        tag = own[len(TAG) :]
        return _field(own, "text", "1", f"The tag {tag!r}", lambda run: run.tags.get(tag))
    if own.lower().startswith(_TOOL):
        tool = own[len(_TOOL) :]
        return _field(own, "duration", "ns", f"Time in the tool {tool!r}", lambda run: _time_in_tool(run, tool))
    found = _BY_NAME.get(name.lower())
    if found is None:
        close = difflib.get_close_matches(name.lower(), _BY_NAME, n=3, cutoff=0.6)
        hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(_BY_NAME)}"
        raise UnknownField(f"unknown field {name!r}: {hint}")
    return found


def is_of_run(name: str) -> bool:
    """Whether a name is that of a run's field."""
    return name.lower().startswith(PREFIX)


def _time_in_tool(run: Run, tool: str) -> int | None:
    """Return how long the run waited for a tool itself; `None` where it executed no such tool."""
    if not any(execution.name == tool for execution in run.tools):
        return None
    return sum(segment.length_ns for segment in run.segments if segment.kind == "tool" and segment.name == tool)


def find_in_runs(name: str) -> Field:
    """Return the field of that name of the pair of a run and one of its requests.

    Raises:
        UnknownField: there is none; the message names the closest ones.
    """
    if is_of_run(name):
        of_run = find_of_run(name)
        return replace(of_run, get=_of_pair(of_run, 0))
    of_request = find(name)
    return replace(of_request, get=_of_pair(of_request, 1))


def _of_pair(field: Field, place: int) -> Callable[[tuple[Run, RequestRecord]], Value]:
    return lambda pair: field.get(pair[place])


def of_any_request(holds: Callable[[Any], bool]) -> Callable[[Run], bool]:
    """Return the predicate of a run that holds when `holds` does with any of its requests."""
    return lambda run: any(holds((run, request)) for request in run.requests)
