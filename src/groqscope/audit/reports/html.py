"""Reports as one self-contained HTML file: no network, data, style and script inside."""

import re
from functools import cache
from importlib.resources import files
from typing import Any

from groqscope.audit.formatting import Unit, UnitName, moment
from groqscope.audit.model import AUDIT_VERSION, Audit, Comparison, Provenance, RequestAudit, Verdict
from groqscope.audit.reports.facts import ending, model_of, record_id
from groqscope.audit.reports.html_data import GROUPS, LEGEND, detail_data, list_data
from groqscope.audit.reports.html_sections import comparison_sections, footer, overview_sections
from groqscope.audit.reports.json import kind_of
from groqscope.audit.reports.kinds import Report, Section
from groqscope.audit.reports.markup import Markup, embedded, join
from groqscope.audit.reports.units import comparison_unit, overview_unit, request_unit
from groqscope.timeline import RequestRecord

_PLACE = re.compile(r"\{\{(\w+)\}\}")


class HtmlRenderer:
    """A page."""

    def __init__(self, *, unit: UnitName | None = None) -> None:
        """Take the unit of durations; `None`: the one that fits the largest."""
        self.unit: UnitName | None = unit

    def render(self, report: Report, section: Section = "all") -> str:  # noqa: ARG002 - one signature for all renderers
        """Write a page; each section of an overview stands on it, whichever is asked for."""
        match report:
            case Audit():
                return self._overview(report)
            case Comparison():
                unit = comparison_unit(report, self.unit)
                foot = join(footer(report.a, "A: "), footer(report.b, "B: "))
                return _page(
                    "comparison", comparison_sections(report, unit), foot, _data(report, unit, {"requests": []}), []
                )
            case RequestAudit():
                return self._request(report, report.record, report.verdict, report.provenance)
            case _:
                verdict = Verdict(sentence=ending(report) or f"{model_of(report)}: one request.")
                return self._request(report, report, verdict, None)

    def _overview(self, audit: Audit) -> str:
        unit = overview_unit(audit, self.unit)
        selection = audit.provenance.selection
        by = f" by {selection.by}" if selection.listed == "slowest" else ""
        more = f", {audit.omitted:,} not listed" if audit.omitted else ""
        listed = list_data(audit.entries, unit)
        days = {moment(entry.record.start_unix_ns)[:10] for entry in audit.entries}
        day = f" on {days.pop()}" if len(days) == 1 else ""
        listed["listed"] = f"{selection.listed.capitalize()} requests{by}{day}, {unit.label}{more}"
        times = [entry.record.start_unix_ns for entry in audit.entries]
        listed["span"] = f"{moment(min(times))} to {moment(max(times))}" if times else ""
        details = [detail_data(entry.record, entry.verdict, unit) for entry in audit.entries]
        data = _data(audit, unit, listed)
        return _page("audit", overview_sections(audit, unit), footer(audit.provenance), data, details)

    def _request(self, report: Report, record: RequestRecord, verdict: Verdict, provenance: Provenance | None) -> str:
        unit = request_unit(record, self.unit)
        foot = footer(provenance) if provenance is not None else Markup("<footer></footer>")
        details = [detail_data(record, verdict, unit)]
        return _page(f"audit {record_id(record)}", Markup(), foot, _data(report, unit, {"requests": []}), details)


def _data(report: Report, unit: Unit, rest: dict[str, Any]) -> dict[str, Any]:
    kind = "request" if kind_of(report) == "record" else kind_of(report)
    return {
        "schema_version": AUDIT_VERSION,
        "kind": kind,
        "unit": unit.label,
        "groups": GROUPS,
        "legend": LEGEND,
        **rest,
    }


def _page(kind: str, summary: Markup, foot: Markup, data: dict[str, Any], details: list[dict[str, Any]]) -> str:
    parts = {
        "title": join(f"groqscope {kind}"),
        "kind": join(kind),
        "style": _template("report.css"),
        "script": _template("report.js"),
        "summary": summary,
        "footer": foot,
        "data": embedded(data),
        "details": Markup("\n".join(map(embedded, details))),
    }
    # One pass: what a part contains is never taken for a place to fill.
    return _PLACE.sub(lambda place: parts[place[1]], _template("report.html"))


@cache
def _template(name: str) -> str:
    return (files("groqscope.audit.reports") / "templates" / name).read_text(encoding="utf-8")
