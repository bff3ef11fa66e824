"""The rows of a waterfall conserve what the record measured."""

import pytest
from support import report_samples
from support.report_samples import SAMPLES

from groqscope.audit.formatting import DurationUnit
from groqscope.audit.reports.rendering import unit_of
from groqscope.audit.reports.waterfall import Row, density, figures, fitted, waterfall
from groqscope.timeline import RequestRecord


@pytest.fixture(params=SAMPLES, scope="module")
def record(request: pytest.FixtureRequest) -> RequestRecord:
    return SAMPLES[request.param]()


def row(record: RequestRecord, name: str) -> Row:
    return next(row for row in waterfall(record).rows if row.name == name)


def test_client_rows_add_up_to_the_duration(record: RequestRecord) -> None:
    """The client's rows follow each other without a gap and end where the request ends."""
    at = 0
    for client in waterfall(record).group("client"):
        assert client.start_ns == at
        assert client.length_ns is not None
        at += client.length_ns

    assert record.duration_ns == at


def test_parts_add_up_to_their_row(record: RequestRecord) -> None:
    """What a row is said to consist of is all of it."""
    for client in waterfall(record).rows:
        if client.parts:
            assert client.length_ns == sum(part.ns for part in client.parts)


def test_written_figures_add_up(record: RequestRecord) -> None:
    """The client's lengths as written sum to the total as written, in its last digit."""
    fall, unit = waterfall(record), unit_of(record)
    written = [figure for row, figure in zip(fall.rows, figures(fall, unit), strict=True) if row.group == "client"]
    total = sum(round(number(figure.text) * 10**unit.decimals) for figure in written)

    assert unit.steps(record.duration_ns) == total
    for figure in written:
        if figure.parts:
            parts = sum(round(number(part) * 10**unit.decimals) for part in figure.parts)
            assert parts == round(number(figure.text) * 10**unit.decimals)


def number(text: str) -> float:
    return 0.0 if text.startswith("<") else float(text.replace(",", ""))


def test_rounding_goes_to_the_largest() -> None:
    """What rounding left over is taken where it shows least, or by the rest when that is large enough."""
    assert fitted([3, 300, 40], 345) == [3, 302, 40]
    assert fitted([3, 300, 40], 345, rest=2) == [3, 300, 42]
    assert fitted([3, 300, 4], 309, rest=2) == [3, 302, 4]


def test_lengths_that_do_not_fit_their_sum_are_left() -> None:
    """More than rounding explains is not hidden."""
    assert fitted([10, 10], 50) == [10, 10]
    assert fitted([], 0) == []


def test_reported_times_are_written_the_same_everywhere() -> None:
    """Queue and prefill as parts of the wait read as the server's rows do."""
    for sample in (report_samples.streamed(), report_samples.queued(), report_samples.cold()):
        fall, unit = waterfall(sample), unit_of(sample)
        written = dict(zip((row.name for row in fall.rows), figures(fall, unit), strict=True))

        assert written["wait"].parts[:2] == (written["queue"].text, written["prompt"].text)


def test_phases_that_did_not_happen_are_left_out() -> None:
    """A reused connection has no connect and no tls, a request without retries no retry."""
    names = [row.name for row in waterfall(report_samples.streamed()).group("client")]

    assert names == ["prepare", "pool_wait", "send", "wait", "stream", "finish"]


def test_stream_begins_at_the_first_token() -> None:
    """The bar of the stream starts where the first token came."""
    record = report_samples.streamed()

    assert row(record, "stream").start_ns == record.ttft_ns


def test_caller_time_before_the_first_token_belongs_to_the_wait() -> None:
    """What the caller did before the first token is part of the wait, the rest of the stream."""
    record = report_samples.slow_consumer()
    wait, stream = row(record, "wait"), row(record, "stream")
    mine = [part.ns for bar in (wait, stream) for part in bar.parts if part.name == "your code"]

    assert record.phases.consume == sum(mine)
    assert len(mine) == 2


def test_single_attempt_is_not_listed() -> None:
    """One attempt is the request itself."""
    assert waterfall(report_samples.streamed()).group("attempt") == ()


def test_attempts_with_status_retry_after_and_back_off() -> None:
    """Each attempt says how it went; the back-off follows it."""
    first, second, third = waterfall(report_samples.retried()).group("attempt")

    assert first.note == "429 rate_limit_exceeded, retry-after 0.6 s"
    assert (first.failed, second.failed, third.failed) == (True, True, False)
    assert second.tail_ns == 1_207_000_000
    assert third.note == "200"


def test_tool_calls_have_a_position() -> None:
    """A call ends with its last fragment and is as long as the caller waited for it."""
    record = report_samples.tool_calls()
    call = record.tool_calls[1]
    drawn = row(record, "search_catalogue")

    assert drawn.length_ns == call.assembly_ns
    assert drawn.start_ns == (call.first_delta_ns or 0) + (call.delta_ns or 0) - (call.assembly_ns or 0)
    assert drawn.note == "5 deltas, 33 B, not valid JSON"
    assert drawn.failed


def test_server_times_have_no_position() -> None:
    """What Groq reports is a length; what is left of the duration is derived."""
    record = report_samples.streamed()
    fall = waterfall(record)

    assert [(row.name, row.start_ns) for row in fall.group("server")] == [
        ("queue", None),
        ("prompt", None),
        ("completion", None),
    ]
    assert fall.residual_ns == record.duration_ns - 18_000_000 - 41_300_000 - 640_200_000


def test_span_of_another_library_is_unaccounted() -> None:
    """Without phases the whole length is shown as what it is."""
    (only,) = waterfall(report_samples.foreign()).rows

    assert (only.name, only.length_ns) == ("unaccounted", 412_700_000)


def test_server_tool_keeps_its_place() -> None:
    """A tool that Groq ran is a row of its own, from announcement to output."""
    (search,) = waterfall(report_samples.compound()).group("executed")

    assert (search.name, search.length_ns, search.note) == ("search", 840_030_000, "run by Groq")


@pytest.mark.parametrize("bins", [1, 7, 120])
def test_density_counts_every_chunk(bins: int) -> None:
    """The strip holds as many chunks as the kept times stand for, whatever its width."""
    record = report_samples.streamed()
    counts = density(record.timeline_us, record.timeline_stride, record.duration_ns, bins)

    assert sum(counts) == len(record.timeline_us) * record.timeline_stride
    assert len(counts) == bins


def test_density_of_no_length() -> None:
    """A request without a length does not divide by it."""
    assert density((0, 5), 1, 0, 4) == [1, 0, 0, 1]


def test_unit_follows_the_largest_value() -> None:
    """Microseconds, milliseconds, seconds: the largest value decides."""
    assert [DurationUnit.fitting([v]).name for v in (900_000, 59e9, 61e9)] == ["us", "ms", "s"]
    assert DurationUnit.fitting([]).name == "us"
