"""How a record is shown."""

from support.full_records import full_record

from groqscope.timeline import Attempt, RequestRecord, Usage


def test_a_record_is_shown_as_one_line() -> None:
    """In a notebook or a failing test, one line names the request, how it ended and how long it took."""
    bare = RequestRecord(start_unix_ns=0, duration_ns=247_315_658, outcome=None)
    failed = RequestRecord(
        start_unix_ns=0,
        duration_ns=2_500_000_000,
        request_id="req_01j",
        model="llama-3.3-70b-versatile",
        stream=True,
        outcome="error",
        error_type="rate_limit_exceeded",
        usage=Usage(output_tokens=1_019),
        attempts=tuple(Attempt(start_ns=0, duration_ns=0) for _ in range(3)),
    )

    assert repr(bare) == "<RequestRecord running, 247.3 ms>"
    assert repr(failed) == (
        "<RequestRecord req_01j, llama-3.3-70b-versatile, stream, error rate_limit_exceeded, 2,500.0 ms, 2 retries, "
        "1,019 tokens out>"
    )
    assert len(repr(full_record())) < 240
