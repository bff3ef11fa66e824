"""Where the numbers come from: the last lines of every terminal report."""

from groqscope.audit._model import Provenance
from groqscope.audit.reports._page import FAINT, STRONG, Page
from groqscope.audit.reports._text import count, moment

_MAX_WARNINGS = 5
_MAX_SOURCES = 3


def provenance_lines(page: Page, provenance: Provenance) -> None:
    """Say which data this is, and what could not be read."""
    page.blank()
    for warning in provenance.warnings[:_MAX_WARNINGS]:
        page.prose(warning, label="warning  ", indent=9, label_style=STRONG)
    if len(provenance.warnings) > _MAX_WARNINGS:
        page.prose(f"and {count(len(provenance.warnings) - _MAX_WARNINGS, 'warning')} more")
    page.flow([(words, FAINT) for words in provenance_words(provenance)], gap="   ")


def provenance_words(provenance: Provenance) -> list[str]:
    """Say the same in words, for any report."""
    words: list[str] = []
    if provenance.sources:
        shown = ", ".join(provenance.sources[:_MAX_SOURCES])
        more = len(provenance.sources) - _MAX_SOURCES
        shown += f" and {more} more" if more > 0 else ""
        words.append(f"from {shown}" + (f" ({count(provenance.files, 'file')})" if provenance.files > 1 else ""))
    if provenance.read != provenance.requests:
        words.append(f"n={provenance.requests:,} of {provenance.read:,} read")
    else:
        words.append(f"n={provenance.requests:,}")
    words.extend(provenance.selection.words)
    if provenance.first_unix_ns is not None and provenance.last_unix_ns is not None and provenance.requests > 1:
        words.append(f"{moment(provenance.first_unix_ns)} to {moment(provenance.last_unix_ns)}")
    if provenance.foreign:
        words.append(f"{count(provenance.foreign, 'span')} of other libraries, without phases")
    words.append("durations by the monotonic clock, times in UTC")
    if provenance.version:
        words.append(f"groqscope {provenance.version}")
    return words
