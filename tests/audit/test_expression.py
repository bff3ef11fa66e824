"""The language of `--where`."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.traffic import MS, START, failed, request, retried, with_tool

from groqscope.audit import ExpressionError, compile_where
from groqscope.audit.fields import FIELDS

SLOW = request(1, queue=2000 * MS)
QUICK = request(2)


def holds(expression, record):
    return compile_where(expression)(record)


@pytest.mark.parametrize(
    ("expression", "record", "expected"),
    [
        ("ttfc > 1s", SLOW, True),
        ("ttfc > 1s", QUICK, False),
        ("1s < ttfc", SLOW, True),
        ("ttfc > 1s and retries > 0", SLOW, False),
        ("ttfc>1s or retries>0", retried(3, backoff_ns=300 * MS), True),
        ("not (ttfc > 1s)", QUICK, True),
        ("not ttfc > 1s and not failed", QUICK, True),
        ("1s < ttfc < 5s", SLOW, True),
        ("1s < ttfc < 2s", SLOW, False),
        ("queue > 50%", SLOW, None),
        ("share.queue > 50%", SLOW, True),
        ("share.queue > 0.5", SLOW, True),
        ("phase.queue >= 2000ms", SLOW, True),
        ("model = 'llama-3.3-70b-versatile'", QUICK, True),
        ('model ~ "LLAMA"', QUICK, True),
        ("model !~ 'llama'", QUICK, False),
        ("outcome in ('error', 'truncated')", failed(4), True),
        ("outcome not in ('error', 'truncated')", failed(4), False),
        ("failed", failed(4), True),
        ("failed = false", QUICK, True),
        ("stream and not nested", QUICK, True),
        ("tool = 'get_weather'", with_tool(5), True),
        ("tool = 'other'", with_tool(5), False),
        ("finish_reason = 'stop'", QUICK, True),
        ("cost > 0.00001usd", QUICK, True),
        ("cost > $1", QUICK, False),
        ("output_tokens > 0.1k", QUICK, True),
        ("output_tokens < 1M", QUICK, True),
        ("prompt_tokens >= 400", QUICK, True),
        ("duration > phase.queue", SLOW, True),
        ("start >= '2020-01-01'", QUICK, True),
        ("start < '2020-01-01T00:00Z'", QUICK, False),
        ("TTFC > 1s AND NOT failed", SLOW, True),
        ("retries > 0 or ttfc > 1s and failed", SLOW, False),
        ("(retries > 0 or ttfc > 1s) and failed", SLOW, False),
        ("ttfc > 0", QUICK, True),
        ("ttfc > 55_000us", SLOW, True),
    ],
)
def test_what_an_expression_selects(expression, record, expected):
    """Comparisons, units, lists, texts, precedence and parentheses."""
    if expected is None:
        with pytest.raises(ExpressionError):
            compile_where(expression)
    else:
        assert holds(expression, record) is expected


def test_what_is_not_known_is_not_selected():
    """A comparison with an unknown number selects neither the comparison nor its opposite."""
    record = failed(1)

    assert not holds("ttfc > 1s", record)
    assert not holds("not ttfc > 1s", record)
    assert holds("ttfc = none", record)
    assert holds("ttfc != none", QUICK)
    assert not holds("tool != none", QUICK)


def test_an_unknown_number_does_not_hide_the_rest():
    """Or needs one side, and fails by one side, whatever the other is."""
    record = failed(1)

    assert holds("ttfc > 1s or failed", record)
    assert not holds("ttfc > 1s and not failed", record)
    assert not holds("not (ttfc > 1s or failed)", record)


def test_an_absent_text_differs_from_every_text():
    """`!=` on a text keeps the requests that have none."""
    assert holds("error_type != 'rate_limit_exceeded'", QUICK)
    assert not holds("error_type = 'rate_limit_exceeded'", QUICK)


@pytest.mark.parametrize(
    ("expression", "position", "message"),
    [
        ("", 0, "empty"),
        ("ttfc > 1s and retires > 0", 14, "did you mean retries"),
        ("ttfc > 1", 7, "write 1ms or 1s"),
        ("ttfc > 1parsec", 8, "unknown unit 'parsec'"),
        ("ttfc > 'x'", 7, "needs a duration"),
        ("ttfc", 4, "expected a comparison"),
        ("ttfc >", 6, "found the end"),
        ("ttfc > 1s ttft", 10, "expected 'and', 'or'"),
        ("(ttfc > 1s", 10, r"expected '\)'"),
        ("ttfc > 1s)", 9, "expected 'and', 'or'"),
        ("1s > 2s", 0, "a field on one side"),
        ("model > 'a'", 6, "is text"),
        ("model = llama", 8, "texts need quotes"),
        ("model = 'llama", 8, "is not closed"),
        ("outcome in 'error'", 11, r"expected '\('"),
        ("outcome in ('error'", 19, r"expected ',' or '\)'"),
        ("1 in ('a')", 0, "needs a field"),
        ("ttfc > none", 5, "only be compared by"),
        ("failed > true", 7, "true or false"),
        ("ttfc ~ 1s", 5, "is for texts"),
        ("ttfc > retries", 7, "cannot be compared"),
        ("start > 'yesterday'", 8, "in ISO form"),
        ("cost > 5%", 7, "needs a number"),
        ("ttfc > 1s; import os", 9, "unexpected character"),
        ("__import__('os')", 0, "unknown field"),
    ],
)
def test_a_mistake_is_pointed_at(expression, position, message):
    """The message for each mistake is one sentence, with a caret under its place."""
    with pytest.raises(ExpressionError, match=message) as caught:
        compile_where(expression)

    assert caught.value.position == position
    assert str(caught.value).splitlines()[-1] == " " * (4 + position) + "^"


def test_parentheses_are_bounded():
    """A thousand parentheses are rejected before they exhaust the stack."""
    with pytest.raises(ExpressionError, match="too many parentheses"):
        compile_where("(" * 1000 + "failed" + ")" * 1000)


def test_many_negations():
    """A long row of 'not' is accepted; pairs cancel out."""
    assert holds("not " * 10_000 + "failed", failed(1))
    assert not holds("not " * 10_001 + "failed", failed(1))


@given(st.text(max_size=80))
def test_any_text_is_understood_or_refused(text):
    """Whatever the text, the only exception is an ExpressionError that points inside it."""
    try:
        compile_where(text)(QUICK)
    except ExpressionError as error:
        assert 0 <= error.position <= len(text)  # noqa: PT017 - some texts are expressions


_WORDS = [
    *(f.name for f in FIELDS),
    *(
        "and",
        "or",
        "not",
        "in",
        "(",
        ")",
        ",",
        "<",
        ">",
        "=",
        "!=",
        "~",
        "1s",
        "5",
        "10%",
        "2usd",
        "'a'",
        "none",
        "true",
    ),
]


@given(st.lists(st.sampled_from(_WORDS), max_size=12).map(" ".join))
def test_any_row_of_words_is_understood_or_refused(text):
    """The same holds for sequences of the language's own words, over full and empty records."""
    try:
        test = compile_where(text)
    except ExpressionError:
        return
    assert test(QUICK) in {True, False}
    assert test(failed(1)) in {True, False}


def test_times_are_unix_nanoseconds():
    """A quoted time is compared with the start of the request."""
    record = replace(QUICK, start_unix_ns=START)

    assert holds("start >= '2026-09-21T14:13:20Z' and start < '2026-09-21T14:13:21Z'", record)
