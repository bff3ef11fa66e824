"""Files as others write them are read, or refused by name."""

import gzip
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.odd_files import FILES, INDENTED, LINE, LINES, RECORDS, WHOLE, prefixed

from groqscope.store import ReadReport, documents, read_records


def _read(data: bytes, directory: Path) -> tuple[list[Any], ReadReport]:
    path = directory / "file.json"
    path.write_bytes(data)
    report = ReadReport()
    return list(read_records([path], report=report)), report


@pytest.mark.parametrize("name", FILES)
def test_files_as_others_write_them(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two requests are read, without a warning, from a file and from standard input."""
    found, report = _read(FILES[name], tmp_path)

    assert found == RECORDS
    assert report.warnings == []
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(FILES[name])))
    assert list(read_records(["-"])) == RECORDS


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x28\xb5\x2f\xfd" + bytes(200), "compressed with zstd"),
        (prefixed(b"\x28\xb5\x2f\xfd" + bytes(200)), "set `compression: none`"),
        (b"PK\x03\x04" + bytes(200), "a ZIP archive"),
        (b"BZh9" + bytes(200), "compressed with bzip2"),
        (b"\xfd7zXZ\x00" + bytes(200), "compressed with xz"),
        (b"PAR1" + bytes(200), "a Parquet file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "neither text nor OTLP protobuf"),
        (b'{"data":[{"traceID":"a","spans":[]}]}', "Jaeger"),
        (b'[{"traceId":"a","id":"b"},{"traceId":"a","id":"c"}]', "Zipkin"),
        (b'{"traceID":"a","spanID":"b","operationName":"x"}', "Jaeger"),
        (b'{"name":"x","context":{"trace_id":"0x1"},"start_time":"2026"}', "console exporter"),
        (b'{"traceEvents":[]}', "Chrome"),
        (b'{"schema_version":1,"kind":"overview"}', "a report of groqscope"),
        (bytes(257) + b"ustar" + bytes(250), "a tar archive"),
        (gzip.compress(bytes(257) + b"ustar" + bytes(250), mtime=0), "a tar archive"),
        (len(LINE).to_bytes(4, "little") + LINE.encode(), "neither text nor OTLP protobuf"),
        (b"var spans = " + LINE[:40].encode() + b"};", "not JSON"),
    ],
)
def test_what_is_not_read_is_refused_by_name(data: bytes, words: str, tmp_path: Path) -> None:
    """One sentence says what it is."""
    found, report = _read(data, tmp_path)

    assert found == []
    (warning,) = report.warnings
    assert words in warning.reason
    assert "torn" not in warning.reason


def test_gzip_with_something_behind_it(tmp_path: Path) -> None:
    """What is compressed is read, also its last line without a newline; what follows is said."""
    found, report = _read(gzip.compress(LINE.encode()) + b"garbage", tmp_path)

    assert found == RECORDS
    assert "data that is not gzip follows" in report.warnings[0].reason


def test_a_document_cut_off_in_the_middle_of_a_file(tmp_path: Path) -> None:
    """A writer that was killed and began anew costs the one document, in the same line or in the next."""
    for between in (b"", b"\n"):
        found, report = _read(LINES[0][:700] + between + b"\n".join(LINES), tmp_path)

        assert found == RECORDS
        assert "torn" in report.warnings[0].reason
        assert len(report.warnings) == 1


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_torn_document_costs_what_is_torn(tmp_path: Path, *, wrapped: bool) -> None:
    """Wherever a document ends, the spans before are read, and no half of one; that is no damage."""
    text = (INDENTED if wrapped else LINE).encode()
    seen: set[int] = set()
    for at in range(1, len(text) - 1, 211):
        found, report = _read(text[:at], tmp_path)
        seen.add(len(found))

        assert found == RECORDS[: len(found)], at
        assert [w.reason[:4] for w in report.warnings] == ["torn"], (at, report.warnings)
        assert not report.damaged

    assert {0, 1} <= seen


@pytest.mark.parametrize("part", ["spans", "span"])
def test_parts_that_a_filter_left(part: str, tmp_path: Path) -> None:
    """Lists of spans, and spans alone, as a filter leaves them; the resource they had is not known."""
    scopes = [scope for r in WHOLE["resourceSpans"] for scope in r["scopeSpans"]]
    lines = scopes if part == "spans" else [span for scope in scopes for span in scope["spans"]]
    found, report = _read("\n".join(map(json.dumps, lines)).encode(), tmp_path)

    assert found == [replace(record, service=None) for record in RECORDS]
    assert report.warnings == []


def test_only_what_is_torn_is_called_so(tmp_path: Path) -> None:
    """The last line of a file that is something else is not torn."""
    wrong = (b"[" + LINE.encode() + b",]", b"var x = " + LINE.encode() + b";")
    for data in (*wrong, b"hello", b"<html>", b"{nonsense", b"a,b,c\n1,2,3", b"[1, 2", b"\xff\xfe\xfd"):
        _, report = _read(data, tmp_path)

        assert report.warnings, data
        assert all(("torn" in w.reason) == (data == b"[1, 2") for w in report.warnings), data


@given(
    lines=st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=6), ended=st.booleans()
)
def test_lines_of_any_length(lines: list[bytes], *, ended: bool) -> None:
    """However lines lie across the blocks that are read, each is whole and has its number; a longer one is said."""
    data = b"\n".join(lines) + b"\n" * ended
    said: list[int | None] = []
    with patch.object(documents, "_BLOCK", 4), patch.object(documents, "MAX_DOCUMENT", 8):
        opened = io.BufferedReader(cast("Any", io.BytesIO(data)), 4)
        found = list(documents._lines(opened, lambda number, _: said.append(number)))
    expected = list(enumerate(io.BytesIO(data), 1))
    assert found == [(number, line) for number, line in expected if len(line) <= 8]
    assert said == [number for number, line in expected if len(line) > 8]
