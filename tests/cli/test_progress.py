"""The progress bar, and words for numbers."""

import io
from typing import Any

import pytest

from groqscope.audit import MemorySource, Query, ReadReport, Records
from groqscope.audit.formatting import count, duration, measure, percent, several, significant
from groqscope.cli import progress
from groqscope.cli.progress import DELAY, Progress


class Screen(io.StringIO):
    """A stream that says whether it is a terminal."""

    def __init__(self, *, terminal=True):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


def reading(report):
    """Make records that are being read."""
    records = Records(MemorySource([]), Query())
    records.report = report
    return records


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_it_appears_after_two_seconds(clock):
    """What is quick shows no bar; what is not shows share and count, and takes the bar away."""
    report, screen = ReadReport(bytes_total=1000, bytes_read=250), Screen()
    progress = Progress(reading(report), screen)
    progress(1000)
    before = screen.getvalue()
    clock[0] = DELAY + 0.1
    progress(1000)
    shown = screen.getvalue()
    progress.clear()

    assert before == ""
    assert shown == "\r\x1b[2Kreading [======                  ] 25%  2,000 requests"
    assert screen.getvalue().endswith("\r\x1b[2K")


def test_without_a_size_it_counts(clock):
    """Standard input and Tempo have no size."""
    screen = Screen()
    progress = Progress(reading(ReadReport()), screen)
    clock[0] = 9
    progress(500)

    assert screen.getvalue() == "\r\x1b[2Kreading  500 requests"


def test_nobody_looks(clock):
    """A pipe or a log file gets nothing."""
    screen = Screen(terminal=False)
    progress = Progress(reading(ReadReport()), screen)
    clock[0] = 9
    progress(500)
    progress.clear()

    assert screen.getvalue() == ""


@pytest.mark.parametrize(
    ("ns", "words"),
    [
        (0, "0 ns"),
        (850, "850 ns"),
        (38_000, "38.0 µs"),
        (215_300_000, "215 ms"),
        (999_960_000, "1.00 s"),
        (1_240_000_000, "1.24 s"),
        (61_000_000_000, "61.0 s"),
        (192_000_000_000, "3 min 12 s"),
        (7_200_000_000_000, "120 min"),
    ],
)
def test_durations(ns, words):
    """Three digits and the unit that fits."""
    assert duration(ns) == words


@pytest.mark.parametrize(
    ("share", "words"), [(0, "0%"), (0.004, "<1%"), (0.525, "52%"), (0.9996, "99%"), (1.0, "100%"), (0.29, "29%")]
)
def test_shares_are_cut(share, words):
    """99.96% is not 100%."""
    assert percent(share) == words


def test_numbers_in_sentences():
    """Singular, plural, thousands, three digits, units."""
    assert (count(1, "request"), count(2000, "request")) == ("1 request", "2,000 requests")
    assert (several(1, "429"), several(2, "429"), several(12, "timeout")) == ("one 429", "two 429s", "12 timeouts")
    assert [significant(v) for v in (0, 0.0123, 0.5, 9.999, 99.96, 1234)] == [
        "0.00",
        "0.0123",
        "0.50",
        "10.0",
        "100",
        "1,234",
    ]
    values: tuple[tuple[float | None, Any], ...] = (
        (4e8, "ns"),
        (0.01, "share"),
        (0.0000168, "usd"),
        (3, "1"),
        (2.5, "tokens/s"),
        (None, "ns"),
    )
    assert [measure(*pair) for pair in values] == ["400 ms", "1%", "$0.000017", "3", "2.5 tokens/s", "-"]
