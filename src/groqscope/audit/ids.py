"""The IDs by which a request or a run is asked for."""

from collections.abc import Iterable
from typing import Final

from groqscope._visible import is_text, visible
from groqscope.audit.errors import NotFound
from groqscope.timeline import RequestRecord

MIN_ID: Final = 4
"""The least number of characters of an ID: with fewer, too many requests would match."""


def id_of(record: RequestRecord) -> str:
    """Return the ID by which `groqscope audit ID` finds the record."""
    return record.request_id or record.span_id or record.response_id or ""


def ids_of(record: RequestRecord) -> tuple[str, ...]:
    """Return every ID by which a request can be found."""
    ids = (record.request_id, record.span_id, record.trace_id, record.response_id)
    return tuple(one for one in ids if one)


def checked_id(wanted: str) -> str:
    """Return an ID without the spaces around it.

    Raises:
        NotFound: it is too short, or no text.
    """
    wanted = wanted.strip()
    if not is_text(wanted):
        raise NotFound(f"'{visible(wanted)}' is no ID: it is not UTF-8")
    if len(wanted) < MIN_ID:
        raise NotFound(f"{wanted!r} is too short for an ID: write at least its first {MIN_ID} characters")
    return wanted


def ambiguous(wanted: str, noun: str, lines: Iterable[str], number: int) -> NotFound:
    """Return the error that several requests or runs have an ID, with a line for each of the first."""
    shown = [f"    {line}" for line in lines]
    more = [f"    and {number - len(shown):,} more"] if number > len(shown) else []
    message = f"{number:,} {noun}s have the ID {wanted!r}: give one of these"
    return NotFound("\n".join([message, *shown, *more]), number)
