"""Which requests count."""

from datetime import datetime

import pytest
from support.traffic import START, failed, request

from groqscope.audit import AuditError, MemorySource, NoRequests, Query, Records, SourceError, parse_moment

NOW = 1_800_000_000_000_000_000
HOUR = 3_600_000_000_000


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("1h", HOUR),
        ("30m", HOUR // 2),
        ("1.5h", HOUR * 3 // 2),
        ("2d", 48 * HOUR),
        ("1w", 168 * HOUR),
        ("90s", HOUR // 40),
    ],
)
def test_how_long_ago(text, ago):
    """Durations count back from now."""
    assert parse_moment(text, "--since", NOW) == NOW - ago


@pytest.mark.parametrize("text", ["2026-09-21T14:13:20Z", "2026-09-21 16:13:20+02:00"])
def test_moments(text):
    """ISO times are exact to the microsecond that they express."""
    assert parse_moment(text, "--since", NOW) == START


def test_a_moment_without_a_zone_is_local():
    """A time without a zone is local time."""
    text = "2026-09-21T14:13:20.123456"

    expected = round(datetime.fromisoformat(text).timestamp() * 1e6) * 1000
    assert parse_moment(text, "--since", NOW) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "1 fortnight", "-1h", "h", "2026-13-01"])
def test_no_time(text):
    """Anything else is rejected; the message has the option's name and examples."""
    with pytest.raises(AuditError, match=r"--until .* is not a time: write how long ago"):
        parse_moment(text, "--until", NOW)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"outcomes": ("failed",)}, "unknown outcome 'failed': use one of completed, "),
        ({"last": 0}, "--last has to be at least 1"),
        ({"slowest": -1}, "--slowest has to be at least 1"),
        ({"since": 5, "until": 5}, "--since is not before --until"),
        ({"by": "tags"}, "'tags' is a list of texts"),
        ({"by": "speed"}, "unknown field 'speed'"),
    ],
)
def test_what_makes_no_sense_is_refused(query, message):
    """A wrong condition is rejected with one sentence, before anything is read."""
    with pytest.raises(AuditError, match=message):
        Query(**query)


NOTHING = MemorySource([])


def selected(records, **conditions):
    chosen = Records(MemorySource(records), Query(**conditions))
    coverage = chosen.coverage()
    found = list(chosen.query.select(chosen.source, chosen.report))
    for record in found:
        coverage.add(record)
    return found, coverage


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, 4),
        ({"models": ("LLAMA",)}, 4),
        ({"models": ("gpt", "3.3")}, 4),
        ({"models": ("gpt",)}, 0),
        ({"services": ("worker",)}, 4),
        ({"services": ("work",)}, 0),
        ({"outcomes": ("error", "truncated")}, 1),
        ({"where": "failed"}, 1),
        ({"outcomes": ("completed",), "where": "ttfc > 1ms", "models": ("llama",)}, 3),
        ({"last": 2}, 2),
        ({"since": START + 1}, 3),
        ({"until": START + 1}, 1),
    ],
)
def test_conditions(conditions, expected):
    """Each condition narrows the selection, and all of them have to hold."""
    records, coverage = selected([request(0), request(1), request(2), failed(3)], **conditions)

    assert len(records) == expected == coverage.requests
    assert coverage.report.records == 4


def test_provenance_says_what_was_asked():
    """A report can repeat the conditions in words."""
    _, coverage = selected(
        [request(0)], since=START, models=("llama",), where="ttfc > 1ms", last=3, slowest=2, by="queue"
    )
    selection = coverage.provenance(NOTHING).selection

    assert selection.words == ("since 2026-09-21 14:13:20Z", "model llama", "where ttfc > 1ms", "the last 3")
    assert (selection.listed, selection.by) == ("slowest", "phase.queue")


def test_provenance_counts():
    """The provenance holds requests read and selected, the first and last start, and the services."""
    _, coverage = selected([request(0), request(4), failed(2)], where="not failed")
    provenance = coverage.provenance(NOTHING)

    assert (provenance.read, provenance.requests) == (3, 2)
    assert provenance.last_unix_ns - provenance.first_unix_ns == 1_000_000_000
    assert provenance.services == ("worker",)


def test_an_empty_time_names_the_options():
    """An empty time range and an empty source have different messages."""
    _, coverage = selected([], since=5)

    with pytest.raises(NoRequests, match="no request was made"):
        coverage.require_requests(NOTHING)
    coverage.report.lines = 1
    with pytest.raises(NoRequests, match="no request in that time in memory: take another --since or --until"):
        coverage.require_requests(NOTHING)


def test_a_source_that_cannot_be_read_is_not_called_empty():
    """If nothing could be read, the message is the reason."""
    _, coverage = selected([])
    coverage.report.warn("a.jsonl", None, "cannot be read: Permission denied")

    with pytest.raises(SourceError, match=r"\Aa\.jsonl: cannot be read: Permission denied\Z"):
        coverage.require_requests(NOTHING)


@pytest.mark.parametrize("text", ["9999999d", "0001-01-01T00:00Z"])
def test_before_the_first_clock(text):
    """A time before 1970 counts as 1970, and has a form in words."""
    since = parse_moment(text, "--since", 1)

    assert since == 0
    assert Query(since=since).selection().words == ("since 1970-01-01 00:00:00Z",)
