"""The vocabulary."""

from dataclasses import fields as fields_of

import pytest
from support.traffic import MS, request, retried, with_tool

from groqscope.audit import fields
from groqscope.audit.fields import BY_NAME, FIELDS, UnknownField, find, numeric
from groqscope.timeline import Phases, RequestRecord, Usage

_ELSEWHERE = {
    "timeline_us": "a picture, no number",
    "timeline_stride": "a picture, no number",
    "rate_limits": "by its own fields",
    "usage": "by its own fields",
    "phases": "by its own fields",
    "usage_models": "inner_models",
    "start_unix_ns": "start",
    "duration_ns": "duration",
}


def test_every_field_of_the_record_has_a_word():
    """A field added to the record is a word of the language, or this list says why not."""
    words = {name.removesuffix("_ns") for name in (f.name for f in fields_of(RequestRecord))}
    missing = {w for w in words if w not in BY_NAME and w not in _ELSEWHERE and f"{w}_ns" not in _ELSEWHERE}

    assert missing == set()
    assert {f"phase.{f.name}" for f in fields_of(Phases)} <= set(BY_NAME)
    assert {f.name for f in fields_of(Usage)} <= set(BY_NAME)


def test_names_are_unique():
    """No two fields share a name or an alias."""
    names = [name for field in FIELDS for name in (field.name, *field.aliases)]

    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("duration", "duration"),
        ("e2el", "duration"),
        ("TTFC", "ttfc"),
        ("queue", "phase.queue"),
        ("prompt_tokens", "input_tokens"),
    ],
)
def test_aliases(name, expected):
    """Fields are found by the names other tools use, in any case; a bare phase name stands for the phase."""
    assert find(name).name == expected


def test_an_unknown_field_names_the_closest():
    """For a misspelt field the message suggests what was probably meant."""
    with pytest.raises(UnknownField, match="did you mean retries"):
        find("retires")


def test_a_text_is_no_number():
    """Where a number is needed, a text field is rejected with an explanation."""
    with pytest.raises(UnknownField, match="'model' is text"):
        numeric("model")


def test_units():
    """Durations are nanoseconds whatever the record holds; shares are parts of the duration."""
    record = request(1, queue=100 * MS)

    assert find("queue_time").get(record) == round(record.usage.queue_time * 1e9)
    assert find("phase.queue").get(record) == record.phases.queue
    assert find("share.queue").get(record) == record.phases.queue / record.duration_ns
    assert find("tpot").get(record) == pytest.approx(record.tpot * 1e9)


def test_what_is_not_known_stays_unknown():
    """A phase that did not happen is not 0."""
    record = request(1)

    assert find("phase.tls").get(record) is None
    assert find("share.tls").get(record) is None


def test_counts():
    """Retries, tools and their calls are counted from the record."""
    assert find("retries").get(retried(1, backoff_ns=300 * MS)) == 2
    assert find("tool").get(with_tool(1)) == ("get_weather",)
    assert find("invalid_tool_calls").get(with_tool(1, valid=False)) == 1


def test_each_field_has_a_sentence():
    """`--fields` describes each field."""
    assert all(field.brief for field in fields.FIELDS)
