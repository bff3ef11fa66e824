"""Every report as JSON: the dataclasses field by field, with what follows from them.

Keys are the fields' names, so units are in them (`*_ns`; phases are nanoseconds too; Unix times in nanoseconds are
larger than a double holds), and `null` is "not known". A record has its derived figures (`retries`, `tpot`,
`tpot_source`, `output_token_throughput`) and its `waterfall` as well, so that everything a report draws is there.
`docs/audit.schema.json` describes it all.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final, cast

from groqscope.audit.model import AUDIT_VERSION, Audit, Comparison, RequestAudit
from groqscope.audit.reports.rendering import Report, Section
from groqscope.audit.reports.runs import RunRow, missed_prefill, run_rows
from groqscope.audit.reports.waterfall import waterfall
from groqscope.audit.runs import RunAudit, RunEntry, RunsAudit, run_id
from groqscope.runs import Run
from groqscope.timeline import RequestRecord

KINDS: Final[dict[str, type]] = {
    "overview": Audit,
    "request": RequestAudit,
    "comparison": Comparison,
    "record": RequestRecord,
    "runs": RunsAudit,
    "run": RunAudit,
}
BESIDE: Final = {"why": ("cache",)}
"""What stands beside a section of an overview."""
DERIVED: Final = ("retries", "tpot", "tpot_source", "output_token_throughput")
OF_A_RUN: Final = (
    *("id", "trace_id", "span_id", "name", "service", "agent", "conversation", "user", "tags", "start_unix_ns"),
    *("duration_ns", "failed", "interrupted", "requests", "retries", "input_tokens", "output_tokens", "cached_share"),
    *("cache_saved", "cache_lost", "missed_prefill_ns", "cost", "unpriced", "first_answer_ns", "first_audio_ns"),
    *("overlap_saved_ns", "parts", "tools", "overlaps", "missing", "spans"),
)
"""What the JSON of a run has."""


class JsonRenderer:
    """JSON of one object."""

    def render(self, report: Report, section: Section = "all") -> str:
        """Return a report, or one section of an overview."""
        return json.dumps(to_data(report, section), indent=2, allow_nan=False) + "\n"


def to_data(report: Report, section: Section = "all") -> dict[str, Any]:
    """Return a report as plain data, with its `schema_version` and `kind` first."""
    data = plain(report)
    data.pop("schema_version", None)
    kind = kind_of(report)
    if isinstance(report, Audit) and section != "all":
        data = {name: data[name] for name in ("provenance", "sentence", section, *BESIDE.get(section, ()))}
        kind = section
    return {"schema_version": AUDIT_VERSION, "kind": kind, **data}


def kind_of(report: Report) -> str:
    """Return the kind of a report."""
    return next(kind for kind, cls in KINDS.items() if isinstance(report, cls))


def plain(value: Any) -> Any:  # noqa: PLR0911 - one for each kind
    """Turn dataclasses into plain data."""
    match value:
        case RequestRecord():
            return {**_fields(value), **_of(value, DERIVED), "waterfall": plain(waterfall(value))}
        case RunAudit():
            return {"provenance": plain(value.provenance), **plain(value.entry)}
        case RunEntry():
            return {**run_data(value.run), **_of(value, ("sentence", "reasons"))}
        case RunRow():
            return {**_fields(value), "phases": dict(value.phases), "waited_ns": value.waited_ns}
        case _ if is_dataclass(value):
            return _fields(value)
        case Mapping():
            return dict(cast("Mapping[str, Any]", value))
        case tuple():
            return [plain(item) for item in cast("tuple[Any, ...]", value)]
        case float() if not math.isfinite(value):
            return None
        case _:
            return value


def run_data(run: Run) -> dict[str, Any]:
    """Return a run as plain data; attributes of others' spans are not in it, since they may hold prompts."""
    derived = {
        "id": run_id(run),
        "requests": len(run.requests),
        "missed_prefill_ns": missed_prefill(run),
        "spans": [plain(row) for row in run_rows(run)],
    }
    return {name: derived[name] if name in derived else plain(getattr(run, name)) for name in OF_A_RUN}


def _fields(value: Any) -> dict[str, Any]:
    return _of(value, [field.name for field in fields(value)])


def _of(value: Any, names: Iterable[str]) -> dict[str, Any]:
    return {name: plain(getattr(value, name)) for name in names}
