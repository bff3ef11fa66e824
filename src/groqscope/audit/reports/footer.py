"""Where the numbers come from: the last lines of every terminal report."""

from groqscope.audit.formatting import count
from groqscope.audit.model import Provenance
from groqscope.audit.reports.page import FAINT, STRONG, Page
from groqscope.audit.reports.provenance import provenance_words

_MAX_WARNINGS = 5


def provenance_lines(page: Page, provenance: Provenance) -> None:
    """Say which data this is, and what could not be read."""
    page.blank()
    for warning in provenance.warnings[:_MAX_WARNINGS]:
        page.prose(warning, label="warning  ", indent=9, label_style=STRONG)
    if len(provenance.warnings) > _MAX_WARNINGS:
        page.prose(f"and {count(len(provenance.warnings) - _MAX_WARNINGS, 'warning')} more")
    page.flow([(words, FAINT) for words in provenance_words(provenance)], gap="   ")
