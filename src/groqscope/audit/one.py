"""One request, found by the beginning of any of its IDs, beside what is usual for its model."""

from typing import Final

from groqscope.audit.aggregate import Aggregate
from groqscope.audit.counting import Watch
from groqscope.audit.errors import AuditError, NotFound
from groqscope.audit.model import RequestAudit
from groqscope.audit.reading import Reading
from groqscope.audit.usual import id_of
from groqscope.audit.verdict import judge
from groqscope.audit.words import duration
from groqscope.timeline import RequestRecord

MIN_ID: Final = 4
"""Characters of an ID below which too many requests would fit."""
_KEPT: Final = 6
_SHOWN: Final = 5


def one_request(reading: Reading, wanted: str, *, watch: Watch | None = None) -> RequestAudit:
    """Find one request by the beginning of its trace, span, request or response ID.

    Raises:
        NotFound: no request has it, or several do.
        AuditError: nothing can be read, or the ID is too short.
    """
    wanted = wanted.strip()
    if len(wanted) < MIN_ID:
        raise AuditError(f"{wanted!r} is too short for an ID: write at least its first {MIN_ID} characters")
    aggregate = Aggregate()
    whole: list[RequestRecord] = []
    begun: list[RequestRecord] = []
    more = 0
    for record in reading.records():
        aggregate.add(record)
        ids = ids_of(record)
        if wanted in ids:
            whole.append(record)
        elif any(one.startswith(wanted) for one in ids):
            more += 1
            if len(begun) < _KEPT:
                begun.append(record)
        if watch is not None:
            watch(1)
    reading.require_requests()
    record = _only(whole or begun, wanted, len(whole) or more, reading)
    return RequestAudit(
        provenance=reading.provenance(),
        record=record,
        verdict=judge(record, aggregate.usual.of(record)),
        usual=aggregate.model(record.model),
    )


def ids_of(record: RequestRecord) -> tuple[str, ...]:
    """Give every ID by which a request can be found."""
    ids = (record.request_id, record.span_id, record.trace_id, record.response_id)
    return tuple(one for one in ids if one)


def _only(found: list[RequestRecord], wanted: str, number: int, reading: Reading) -> RequestRecord:
    if not found:
        where = ", ".join(reading.source.names)
        raise NotFound(
            f"no request with the ID {wanted!r} among {reading.requests:,} in {where}: `groqscope audit` lists the "
            "newest; an ID is a trace, span, req_… or chatcmpl-… ID, or its beginning"
        )
    if number > 1:
        lines = [f"    {_line(record)}" for record in found[:_SHOWN]]
        lines += [f"    and {number - _SHOWN:,} more"] if number > _SHOWN else []
        raise NotFound("\n".join([f"{number:,} requests have the ID {wanted!r}: give one of these", *lines]))
    return found[0]


def _line(record: RequestRecord) -> str:
    one = record.span_id or id_of(record)
    return f"{one}  {record.request_id or '-'}  {record.model or '-'}  {record.outcome}  {duration(record.duration_ns)}"
