"""Where the numbers come from, in words."""

from typing import Final

from groqscope.audit.formatting import count, moment, visible
from groqscope.audit.model import Provenance

_MAX_SOURCES: Final = 3


def provenance_words(provenance: Provenance) -> list[str]:
    """Say which data this is: source, n, selection, time, clock, version."""
    words: list[str] = []
    if provenance.sources:
        shown = ", ".join(provenance.sources[:_MAX_SOURCES])
        more = len(provenance.sources) - _MAX_SOURCES
        number = f" ({count(provenance.files, 'file')})" if provenance.files > 1 else ""
        words.append(visible(f"from {shown}") + (f" and {more} more" if more > 0 else "") + number)
    of = f" of {provenance.read:,} read" if provenance.read != provenance.requests else ""
    words.append(f"n={provenance.requests:,}{of}")
    words.extend(map(visible, provenance.selection.words))
    if provenance.first_unix_ns is not None and provenance.last_unix_ns is not None and provenance.requests > 1:
        words.append(f"{moment(provenance.first_unix_ns)} to {moment(provenance.last_unix_ns)}")
    if provenance.foreign:
        words.append(f"{count(provenance.foreign, 'span')} of other libraries, without phases")
    words.append("durations by the monotonic clock, times in UTC")
    if provenance.version:
        words.append(f"groqscope {provenance.version}")
    return words
