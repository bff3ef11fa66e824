"""Requests of the last minutes."""

import time
from collections.abc import Iterable
from dataclasses import replace

from groqscope.timeline import RequestRecord

MINUTE = 60 * 10**9


def numbered(records: Iterable[RequestRecord], *, start: int = 1, ago_ns: int = MINUTE) -> list[RequestRecord]:
    """Give records ids of their own, and a second between one and the next, the last one that long ago."""
    records = list(records)
    first = time.time_ns() - ago_ns - len(records) * 10**9
    return [
        replace(
            record,
            start_unix_ns=first + place * 10**9,
            trace_id=f"{start + place:032x}",
            span_id=f"{start + place:016x}",
            request_id=f"req_{start + place:026d}",
        )
        for place, record in enumerate(records)
    ]
