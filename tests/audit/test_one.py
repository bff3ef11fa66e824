"""One request by the beginning of its ID."""

from dataclasses import replace

import pytest
from support.traffic import request

from groqscope.audit import AuditError, MemorySource, NotFound, Query, Records, one_request

RECORDS = [
    replace(request(n), trace_id=t, span_id=s, request_id=r, response_id=c)
    for n, (t, s, r, c) in enumerate(
        [
            ("a" * 32, "1234567890abcdef", "req_01jaaaaa", "chatcmpl-one"),
            ("a" * 32, "2234567890abcdef", "req_01jaabbb", "chatcmpl-two"),
            ("c" * 32, "3234567890abcdef", "req_01jaabbbb", None),
        ]
    )
]


def find(wanted):
    return one_request(Records(MemorySource(RECORDS), Query()), wanted)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ("1234567890abcdef", 0),
        ("1234", 0),
        ("req_01jaaa", 0),
        ("chatcmpl-t", 1),
        ("cccc", 2),
        ("req_01jaabbb", 1),
        (" 3234 ", 2),
    ],
)
def test_any_id_or_its_beginning(wanted, index):
    """Trace, span, request and response IDs are found; a whole ID wins over one that begins with it."""
    assert find(wanted).record is RECORDS[index]


@pytest.mark.parametrize("wanted", ["aaaa", "req_01jaab"])
def test_an_ambiguous_id_lists_the_requests(wanted):
    """Several requests: each is shown with an ID that is its own."""
    with pytest.raises(NotFound, match=r"2 requests have the ID .*: give one of these\n    \d{4}567890abcdef  req_"):
        find(wanted)


def test_many_requests_are_not_all_listed():
    """Of many matches five are shown and the rest counted."""
    many = [request(n) for n in range(30)]

    with pytest.raises(NotFound, match="30 requests have the ID 'req_01k'") as caught:
        one_request(Records(MemorySource(many), Query()), "req_01k")
    assert str(caught.value).splitlines()[-1] == "    and 25 more"


def test_an_unknown_id_says_where_it_looked():
    """Without a match the message says how many requests were searched, where, and what an ID is."""
    with pytest.raises(NotFound, match=r"no request with the ID 'req_zzzz' among 3 in memory"):
        find("req_zzzz")


@pytest.mark.parametrize("wanted", ["", "req", "   "])
def test_too_short(wanted):
    """Three characters are too short for an ID."""
    with pytest.raises(AuditError, match="too short for an ID"):
        find(wanted)


def test_beside_what_is_usual():
    """The report holds the same model's requests for comparison."""
    report = find("1234")

    assert report.usual.requests == 3
    assert report.provenance.requests == 3
