"""Groq's headers: rate limits, durations, and when to come back."""

import math
from dataclasses import asdict

import pytest
from groq import Groq
from httpx import Headers
from hypothesis import given
from hypothesis import strategies as st
from support.recordings import Recording, recordings

from groqscope.instrument.headers import parse_duration, rate_limits, retry_after


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6s", 6.0),
        ("10.332999999s", 10.332999999),
        ("26ms", 0.026),
        ("2m59.56s", 179.56),
        ("1h2m3s", 3_723.0),
        ("1d", 86_400.0),
        ("1h0m0.5s", 3_600.5),
        ("1m500ms", 60.5),
        ("150us", 0.00015),
        ("150µs", 0.00015),
        ("0s", 0.0),
        (" 7s ", 7.0),
        ("12.5", 12.5),
        ("", None),
        ("soon", None),
        ("-5s", None),
        ("-5", None),
        ("6 s", None),
        ("6s!", None),
        ("s", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    """Durations as Groq writes them become seconds; whatever else stands there is unknown."""
    assert parse_duration(text) == (None if seconds is None else pytest.approx(seconds))


@given(text=st.text(max_size=20) | st.from_regex(r"[0-9a-zµ. -]{0,20}"))
def test_any_text_is_a_duration_or_unknown(text: str) -> None:
    """No header, whatever it holds, raises or gives a negative or infinite duration."""
    found = parse_duration(text)

    assert found is None or (found >= 0 and math.isfinite(found))


@pytest.mark.parametrize(
    "recording", [r for r in recordings() if "x-ratelimit-limit-tokens" in r.headers], ids=lambda r: r.name
)
def test_recorded_rate_limits(recording: Recording) -> None:
    """Where Groq sends the six headers, all six are known."""
    limits = asdict(rate_limits(recording.headers))

    assert None not in limits.values()
    assert limits["requests_limit"] == int(recording.headers["x-ratelimit-limit-requests"])
    assert limits["tokens_remaining"] == int(recording.headers["x-ratelimit-remaining-tokens"])


def test_what_is_missing_or_malformed_is_unknown() -> None:
    """One bad header does not hide the others, and absence is not 0."""
    headers = {
        "x-ratelimit-limit-requests": "many",
        "x-ratelimit-remaining-requests": "-1",
        "x-ratelimit-limit-tokens": "9" * 40,
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "tomorrow",
    }

    assert asdict(rate_limits(headers)) == {
        "requests_limit": None,
        "requests_remaining": None,
        "requests_reset": None,
        "tokens_limit": None,
        "tokens_remaining": 0,
        "tokens_reset": None,
    }


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "3"}, 1.5),
        ({"retry-after-ms": "x", "retry-after": "3"}, 3.0),
        ({"retry-after": "Mon, 23 Nov 2026 10:00:30 GMT"}, 30.0),
        ({"retry-after": "later"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    """Milliseconds first, then seconds or a date, as the SDK reads them."""
    now = 1_795_428_000.0  # Mon, 23 Nov 2026 10:00:00 GMT

    assert retry_after(headers, now) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("value", ["0", "1", "2.5", "60", "x", "", "3 "])
@pytest.mark.parametrize("name", ["retry-after", "retry-after-ms"])
def test_retry_after_as_the_sdk(name: str, value: str) -> None:
    """The same seconds the SDK itself reads out of the header."""
    headers = Headers({name: value})

    assert retry_after(headers, 0.0) == Groq(api_key="none")._parse_retry_after_header(headers)


def test_a_date_in_the_past_is_now() -> None:
    """A date that is over asks for no wait at all."""
    assert retry_after({"retry-after": "Mon, 23 Nov 2026 10:00:00 GMT"}, 2e9) == 0.0
