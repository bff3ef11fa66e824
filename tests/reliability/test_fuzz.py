"""Every reader of what somebody else wrote: a short run of the fuzzer, and what longer ones found."""

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groqscope.instrument.headers import retry_after
from groqscope.simulator import RecordingError, read_recording
from groqscope.store import ReadReport, read_records

FUZZ = Path(__file__).parents[2] / "fuzz"


@pytest.mark.slow
@pytest.mark.skipif(not FUZZ.is_dir(), reason="an installed copy of the tests has no fuzzer beside it")
def test_a_short_run() -> None:
    """Three thousand mutated inputs for each target: none raises anything but its own errors."""
    done = subprocess.run(
        [sys.executable, str(FUZZ), "--runs", "18000", "--seconds", "30", "--seed", "7"],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    print(done.stdout)

    assert (done.returncode, done.stderr) == (0, "")
    assert " 0 failures" in done.stdout.splitlines()[-1]


_NO_TEXT = b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "\xae"}]}]}]}'


@pytest.mark.parametrize("data", [_NO_TEXT, b"[" * 100_000], ids=["invalid UTF-8", "deep"])
def test_lines_that_are_no_text(tmp_path: Path, data: bytes) -> None:
    """Invalid UTF-8 inside a string, or a nesting without end, is a warning about that line."""
    path = tmp_path / "traces-1.jsonl"
    path.write_bytes(data + b"\n")
    report = ReadReport()

    assert list(read_records([path], report=report)) == []
    assert len(report.warnings) == 1


@pytest.mark.parametrize("year", ["202386", "9" * 30])
def test_a_date_in_no_calendar(year: str) -> None:
    """A retry-after in a year that no calendar has is no answer."""
    assert retry_after({"retry-after": f"Wed, 21 Oct {year} 07:28:00 GMT"}, 0.0) is None


_NAMES = st.sampled_from(["request", "body", "response", "status", "headers", "sse", "sse_event_names", "source", "0"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(st.binary(max_size=64) | _JSON.map(lambda value: json.dumps(value).encode()))
def test_any_recording(data: bytes) -> None:
    """Whatever stands in a recording, loading it gives one or its own error."""
    _load(data)


def test_a_deep_recording() -> None:
    """A nesting that Python's own reader gives up on is such an error too."""
    deep: Any = _File(b"[" * 200_000)
    with pytest.raises(RecordingError, match=r"^made\.json: "):
        read_recording(deep)


class _File:
    """A file whose content is given."""

    name, stem = "made.json", "made"

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read_bytes(self) -> bytes:
        return self._data

    def __str__(self) -> str:
        return self.name


def _load(data: bytes) -> None:
    file: Any = _File(data)
    with suppress(RecordingError):
        read_recording(file)
