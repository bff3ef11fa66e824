"""Numbers and names as a reader wants them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groqscope.audit.formatting import (
    DurationUnit,
    count,
    measure,
    moment,
    money,
    plain,
    rate,
    seconds,
    share,
    size,
    visible,
)
from groqscope.audit.reports.bars import bar, split, strip, tail

MS = DurationUnit.of("ms")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain", "plain"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\tc\x7f", "a\\x0ab\\x09c\\x7f"),
        ("right\u202eleft", "right\\u202eleft"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("half \ud83d", "half \\ud83d"),
        ("Zürich 東京", "Zürich 東京"),
    ],
)
def test_visible(text: str, seen: str) -> None:
    """Controls, invisible marks and lone surrogates are written out, everything else stays."""
    assert visible(text) == seen


@given(st.text())
def test_visible_text_is_printed_as_it_is(text: str) -> None:
    """Nothing that a terminal obeys is left, and all of it can be encoded."""
    seen = visible(text)

    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in seen)
    seen.encode()


def test_visible_cuts() -> None:
    """Too much text ends in a mark."""
    assert visible("abcdef", limit=4) == "abc…"


@pytest.mark.parametrize(
    ("ns", "text"),
    [(None, "-"), (0, "0.0"), (1, "<0.1"), (49_000, "<0.1"), (51_000, "0.1"), (1_234_567_890, "1,234.6")],
)
def test_durations(ns: int | None, text: str) -> None:
    """Not known is a dash, and what is not quite nothing is not 0."""
    assert MS.text(ns) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (99_996, 100_000, "99.9%"),
        (1, 1, "100.0%"),
        (0, 5, "0.0%"),
        (1, 100_000, "<0.1%"),
        (1, 0, "-"),
        (29, 100, "29.0%"),
    ],
)
def test_shares_are_cut_not_rounded(part: int, whole: int, text: str) -> None:
    """Almost all is not all."""
    assert share(part, whole) == text


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (None, "-"),
        (0.0, "$0"),
        (12.345, "$12.35"),
        (0.0867, "$0.0867"),
        (0.00067, "$0.00067"),
        (0.0000061, "$0.0000061"),
    ],
)
def test_money(usd: float | None, text: str) -> None:
    """Two digits at least, however little it is."""
    assert money(usd) == text


def test_counts_rates_sizes() -> None:
    """Nouns follow their number, large sizes have a unit."""
    assert [count(1, "chunk"), count(2_000, "chunk"), count(None)] == ["1 chunk", "2,000 chunks", "-"]
    assert [rate(None), rate(3.14159), rate(331.4)] == ["-", "3.1", "331"]
    assert [size(None), size(9_999), size(20_480), size(5 << 20)] == ["-", "9,999 B", "20.0 KiB", "5.0 MiB"]
    assert [seconds(None), seconds(0.6), seconds(1126.0)] == ["-", "0.6 s", "1,126 s"]
    assert plain((True, 0.5, "x\x00")) == "yes, 0.5, x\\x00"


def test_moments() -> None:
    """Times are UTC in milliseconds; one that no calendar has is not known."""
    assert moment(1_794_391_391_482_999_999) == "2026-11-11 10:03:11.482Z"
    assert moment(10**30) == "-"


def test_measures_of_any_kind() -> None:
    """Each kind has its unit."""
    assert measure(None, "ns", MS) == "-"
    assert measure(4e8, "ns", MS) == "400.0 ms"
    assert measure(0.18667, "share", MS) == "18.66%"
    assert measure(331.25, "tokens/s", MS) == "331.2 tokens/s"
    assert measure(2_500_000.0, "tokens", MS) == "2,500,000 tokens"
    assert measure(2.0, "usd", MS) == "$2.00"
    assert measure(1.0, "1", MS) == "1"


def test_bars_end_on_eighths() -> None:
    """3 ms and 5 ms of 100 differ on 40 cells."""
    assert bar(0, 0.03, 40)[1] != bar(0, 0.05, 40)[1]
    assert bar(0, 0.5, 4) == (0, "██")
    assert bar(0, 0.53125, 4) == (0, "██▏")


def test_a_bar_is_never_invisible() -> None:
    """A length of almost nothing, also at the very end, gets a mark inside the picture."""
    assert bar(0.999999, 1.0, 10) == (9, "▏")
    assert bar(1.0, 1.0, 10) == (9, "▏")
    assert bar(0.0, 0.0, 10, unicode=False) == (0, "|")


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 200), st.booleans())
def test_bars_stay_inside(start: float, length: float, width: int, unicode: bool) -> None:
    """No bar leaves its cells."""
    first, cells = bar(start, start + length, width, unicode=unicode)

    assert first >= 0
    assert first + len(cells) <= width


def test_tails() -> None:
    """The back-off follows in light cells."""
    assert tail(0.25, 0.75, 8) == "░░░░"


def test_strip_shows_every_chunk() -> None:
    """One chunk beside a thousand is still seen."""
    assert strip([0, 1, 1000]) == " ▁█"
    assert strip([0, 1, 1000], unicode=False) == " .@"
    assert strip([]) == ""


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.integers(1, 160))
def test_split_fills_the_width(parts: list[float], width: int) -> None:
    """Shares of a whole take exactly their cells."""
    whole = sum(parts)
    cells = split([part / whole for part in parts] if whole else [1.0], width)

    assert sum(cells) == width
    assert min(cells) >= 0
