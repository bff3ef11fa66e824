"""Every report as JSON: the dataclasses field by field, with what follows from them.

Keys are the fields' names, so units are in them (`*_ns`; phases are nanoseconds too; Unix times in nanoseconds are
larger than a double holds), and `null` is "not known". A record has its derived figures (`retries`, `tpot`,
`tpot_source`, `output_token_throughput`) and its `waterfall` as well, so that everything a report draws is there.
`schema()` describes it all, `docs/audit.schema.json` is the same as a file.
"""

import json
import math
from dataclasses import fields, is_dataclass
from typing import Any, Final

from groqscope.audit.model import AUDIT_VERSION, Audit, Comparison, RequestAudit
from groqscope.audit.reports.rendering import Report, Section
from groqscope.audit.reports.runs import entry_data
from groqscope.audit.reports.waterfall import waterfall
from groqscope.audit.runs import RunAudit, RunsAudit
from groqscope.timeline import RequestRecord

BESIDE: Final = {"why": ("cache",)}
"""What stands beside a section of an overview."""
DERIVED: Final = ("retries", "tpot", "tpot_source", "output_token_throughput")


class JsonRenderer:
    """JSON of one object."""

    def render(self, report: Report, section: Section = "all") -> str:
        """Return a report, or one section of an overview."""
        return json.dumps(to_data(report, section), indent=2, allow_nan=False) + "\n"


def to_data(report: Report, section: Section = "all") -> dict[str, Any]:
    """Return a report as plain data, with its `schema_version` and `kind` first."""
    if isinstance(report, RunsAudit | RunAudit):
        return _runs_data(report)
    data = plain(report)
    data.pop("schema_version", None)
    kind = kind_of(report)
    if isinstance(report, Audit) and section != "all":
        data = {name: data[name] for name in ("provenance", "sentence", section, *BESIDE.get(section, ()))}
        kind = section
    return {"schema_version": AUDIT_VERSION, "kind": kind, **data}


def _runs_data(report: RunsAudit | RunAudit) -> dict[str, Any]:
    if isinstance(report, RunAudit):
        data = {"provenance": plain(report.provenance), **entry_data(report.entry)}
        return {"schema_version": AUDIT_VERSION, "kind": "run", **data}
    data = {field.name: plain(getattr(report, field.name)) for field in fields(report) if field.name != "entries"}
    data["entries"] = [entry_data(entry) for entry in report.entries]
    return {"schema_version": AUDIT_VERSION, "kind": "runs", **data}


def kind_of(report: Report) -> str:
    """Return the kind of a report."""
    match report:
        case Audit():
            return "overview"
        case RequestAudit():
            return "request"
        case Comparison():
            return "comparison"
        case RunsAudit():
            return "runs"
        case RunAudit():
            return "run"
        case _:
            return "record"


def plain(value: Any) -> Any:
    """Turn dataclasses into plain data."""
    if isinstance(value, RequestRecord):
        return record_data(value)
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def record_data(record: RequestRecord) -> dict[str, Any]:
    """Return a record as plain data, with what follows from it."""
    data = {field.name: plain(getattr(record, field.name)) for field in fields(record)}
    data.update({name: plain(getattr(record, name)) for name in DERIVED})
    data["waterfall"] = plain(waterfall(record))
    return data
