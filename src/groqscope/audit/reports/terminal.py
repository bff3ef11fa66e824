"""Every report for a terminal or a pipe."""

from groqscope.audit.model import Audit, Comparison, RequestAudit
from groqscope.audit.reports.budgets import budget_lines
from groqscope.audit.reports.comparison import comparison_page
from groqscope.audit.reports.footer import provenance_lines
from groqscope.audit.reports.kinds import Report, Section
from groqscope.audit.reports.look import Look
from groqscope.audit.reports.overview import overview_page
from groqscope.audit.reports.page import STRONG, Page
from groqscope.audit.reports.request import record_page, request_page
from groqscope.audit.reports.tools import tool_lines
from groqscope.audit.reports.units import overview_unit
from groqscope.audit.reports.why import why_lines


class TerminalRenderer:
    """Text of a given width, with colour and unicode where the look has them."""

    def __init__(self, look: Look | None = None) -> None:
        """Take the look; without one, 100 columns of unicode without colour."""
        self.look: Look = look or Look()

    def render(self, report: Report, section: Section = "all") -> str:
        """Show a report, or one section of an overview."""
        return self.page(report, section).text()

    def page(self, report: Report, section: Section = "all") -> Page:
        """Give the page that `render` writes, for a picture."""
        match report:
            case Audit() if section == "all":
                return overview_page(report, self.look)
            case Audit():
                return self._section(report, section)
            case RequestAudit():
                return request_page(report, self.look)
            case Comparison():
                return comparison_page(report, self.look)
            case _:
                return record_page(report, self.look)

    def _section(self, audit: Audit, section: Section) -> Page:
        page, unit = Page(self.look), overview_unit(audit, self.look.unit)
        if section == "budgets":
            budget_lines(page, audit.budgets, unit)
        elif section == "tools":
            if audit.tools:
                tool_lines(page, audit.tools, unit)
            else:
                page.prose("No request made a tool call.", style=STRONG)
        elif audit.why is not None:
            why_lines(page, audit.why, unit)
        provenance_lines(page, audit.provenance)
        return page
