"""Made-up records are what the accounting makes of real requests."""

from typing import Any

import pytest

from groqscope.codec import decode, encode
from groqscope.testing import Story
from groqscope.timeline import RequestRecord, Usage

STORIES: dict[str, Any] = {
    "streamed": lambda: Story().issue(connect=18, tls=31).headers(96).text(12).used().end(),
    "whole": lambda: Story(stream=False).issue().whole(61).end(cost=0.001),
    "retried": lambda: (
        Story().issue().refused(62, 429, "rate_limit_exceeded", 0.6, 608).issue().headers(9).text(1).end()
    ),
    "refused": lambda: Story().issue().refused(38, 404, "model_not_found").end("error", error="model_not_found"),
    "tools": lambda: Story().issue().headers(9).tool(29, 0, "f", '{"a": 1}', pieces=3).used(reason="tool_calls").end(),
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_a_record_like_any_other(story: Any) -> None:
    """The phases add up to the duration, and the record survives its way through attributes."""
    record: RequestRecord = story()
    attributes, events = encode(record)
    span = {name: getattr(record, name) for name in ("start_unix_ns", "duration_ns", "trace_id", "span_id", "service")}

    assert record.phases.total() == record.duration_ns > 0
    read = decode(attributes, [(name, given, at) for name, at, given in events], nested=record.nested, **span)
    assert read == record


def test_what_was_told() -> None:
    """Each step is found where it belongs, in milliseconds."""
    record = Story(model="m", number=7).issue(connect=18, tls=31).headers(96).text(12).used().end()

    assert (record.model, record.span_id, record.outcome) == ("m", f"{7:016x}", "completed")
    assert (record.phases.connect, record.phases.tls) == (18_000_000, 31_000_000)
    assert (record.chunks, record.content_chunks, record.usage) == (13, 12, Usage(input_tokens=100, output_tokens=12))
    assert record.finish_reasons == ("stop",)


def test_retries() -> None:
    """Attempts with their statuses, and the back-off."""
    record = STORIES["retried"]()

    assert [a.status for a in record.attempts] == [429, 200]
    assert record.attempts[0].backoff_ns == 608_000_000
    assert record.attempts[0].retry_after == 0.6


def test_tool_calls() -> None:
    """Arguments in pieces become one call."""
    (call,) = STORIES["tools"]().tool_calls

    assert (call.name, call.deltas, call.arguments_size, call.arguments_valid) == ("f", 3, 8, True)


def test_equal_numbers_give_equal_records() -> None:
    """A story is reproducible; another number is another request."""
    first, again, other = (Story(number=n).issue().headers(9).text(5).used().end() for n in (3, 3, 4))

    assert first == again
    assert first.request_id != other.request_id


def test_still_running() -> None:
    """A request that has not ended has no outcome."""
    assert Story().issue().headers(80).text(3).running(210).outcome is None
