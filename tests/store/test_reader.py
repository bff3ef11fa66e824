"""The reader: every record back, in order, whatever else the files hold."""

import gzip
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from support.full_records import busy_record, full_record, ordinary_record
from support.records import records
from support.spans import child_of, family_of, span_of

from groqscope.store import LocalSpanExporter, ReadReport, decode_traces, read_records
from groqscope.store.exporters import encode_span_line
from groqscope.store.reader import in_order
from groqscope.timeline import RequestRecord

MS = 1_000_000
_IDS = st.integers(1, 2**64 - 1)


def _line(spans: Sequence[ReadableSpan]) -> bytes:
    line = encode_span_line(spans)
    assert line is not None
    return line


def _one_span(fields: bytes, version: int) -> bytes:
    mark = b'{"key":"groqscope.record","value":{"intValue":%d}}' % version
    return b'{"resourceSpans":[{"scopeSpans":[{"spans":[{%s,"attributes":[%s]}]}]}]}' % (fields, mark)


def _record(number: int, start: int = 0, **given: object) -> RequestRecord:
    return replace(
        ordinary_record(), request_id=f"req_{number}", span_id=f"{number + 1:016x}", start_unix_ns=start, **given
    )


def _ids(found: Iterable[RequestRecord]) -> list[str | None]:
    return [r.request_id for r in found]


@given(record=records, trace=_IDS, span=_IDS)
def test_record_to_span_to_otlp_json_to_record_is_the_identity(record: RequestRecord, trace: int, span: int) -> None:
    """Every field survives the way through a span and OTLP JSON, for any record."""
    record = replace(record, trace_id=f"{trace:032x}", span_id=f"{span:016x}")

    assert decode_traces(_line([span_of(record)])) == [record]


@pytest.mark.parametrize("record", [full_record(), busy_record(), ordinary_record()])
def test_store_gives_back_what_was_stored(record: RequestRecord, tmp_path: Path) -> None:
    """What the exporter wrote is read back, children passed over."""
    record = replace(record, trace_id="a" * 32, span_id="b" * 16)
    LocalSpanExporter(tmp_path).export(family_of(record))
    report = ReadReport()

    assert list(read_records([tmp_path], report=report)) == [record]
    assert (report.files, report.lines, report.records, report.warnings) == (1, 1, 1, [])
    assert report.bytes_read == report.bytes_total > 0


def test_timeline_can_be_left_out(tmp_path: Path) -> None:
    """Without timelines a record is the same but for the arrival times of its chunks."""
    record = replace(full_record(), service="shop")
    LocalSpanExporter(tmp_path).export([span_of(record)])

    assert list(read_records([tmp_path], timelines=False)) == [replace(record, timeline_us=(), timeline_stride=1)]


@pytest.mark.parametrize("cut", range(1, 2000, 133))
def test_torn_last_line_loses_nothing_else(cut: int, tmp_path: Path) -> None:
    """A line that was cut off anywhere is skipped and said; the lines before it and other files are read."""
    line = _line([span_of(_record(2))])
    torn = tmp_path / "a.jsonl"
    torn.write_bytes(_line([span_of(_record(1))]) + b"\n" + line[: min(cut, len(line) - 1)])
    (tmp_path / "b.jsonl").write_bytes(line + b"\n")
    report = ReadReport()

    assert sorted(map(str, _ids(read_records([tmp_path], report=report)))) == ["req_1", "req_2"]
    (warning,) = report.warnings
    assert (warning.source, warning.line) == (str(torn), 2)
    assert "torn" in warning.reason


def test_last_line_without_newline_is_read(tmp_path: Path) -> None:
    """Only the newline missing, the line is whole."""
    (tmp_path / "a.jsonl").write_bytes(_line([span_of(_record(1))]))

    assert _ids(read_records([tmp_path])) == ["req_1"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{nonsense", "not JSON"),
        (b"[1,2]", "not OTLP"),
        (b'{"hello":"world"}', "not OTLP"),
        (b"\xff\xfe\x00", "not JSON"),
        (b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":5}]}]}]}', "spans[0].traceId is unreadable"),
        (b'{"resourceSpans":[{"resource":5,"scopeSpans":[]}]}', "resourceSpans[0].resource is not an object"),
        (b'{"data":[{"traceID":"a"}]}', "Jaeger's JSON"),
        (b'[{"traceId":"a","id":"b","kind":"CLIENT"}]', "Zipkin's JSON"),
        (b'{"traces":[{"traceID":"2f3e"}]}', "a Tempo search"),
    ],
)
def test_broken_line_is_said_and_passed_over(line: bytes, words: str, tmp_path: Path) -> None:
    """A line that cannot be read gives one warning with file and line; the lines around it are read."""
    path = tmp_path / "mixed.jsonl"
    path.write_bytes(_line([span_of(_record(1))]) + b"\n" + line + b"\n\n" + _line([span_of(_record(2, 9))]) + b"\n")
    report = ReadReport()

    assert _ids(read_records([path], report=report)) == ["req_1", "req_2"]
    (warning,) = report.warnings
    assert str(warning).startswith(f"{path}:2: ")
    assert words in warning.reason


def test_broken_span_leaves_its_batch(tmp_path: Path) -> None:
    """What is no span costs that span, not the others of its line."""
    data = json.loads(_line([span_of(_record(n, n)) for n in range(3)]))
    data["resourceSpans"][0]["scopeSpans"][0]["spans"][1] = "[REDACTED]"
    report = ReadReport()

    assert _ids(decode_traces(json.dumps(data).encode(), report=report)) == ["req_0", "req_2"]
    assert len(report.warnings) == 1


def test_many_warnings_are_counted(tmp_path: Path) -> None:
    """A file of nonsense does not fill the memory with warnings."""
    (tmp_path / "a.jsonl").write_bytes(b"x\n" * 1000)
    report = ReadReport()
    list(read_records([tmp_path], report=report))

    assert (len(report.warnings), report.warnings_dropped) == (100, 900)


def test_path_that_does_not_exist_is_a_warning(tmp_path: Path) -> None:
    """A missing file is said and the others are read."""
    (tmp_path / "a.jsonl").write_bytes(_line([span_of(_record(1))]))
    report = ReadReport()

    assert _ids(read_records([tmp_path / "missing.jsonl", tmp_path], report=report)) == ["req_1"]
    assert str(report.warnings[0]) == f"{tmp_path / 'missing.jsonl'}: cannot be read: No such file or directory"


def test_gzip_is_read_whatever_its_name(tmp_path: Path) -> None:
    """Compressed files are known by their first bytes."""
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(_line([span_of(_record(1, 1))]) + b"\n"))
    (tmp_path / "b.jsonl").write_bytes(gzip.compress(_line([span_of(_record(2, 2))]) + b"\n"))

    assert _ids(read_records([tmp_path])) == ["req_1", "req_2"]


def test_gzip_cut_off_is_read_up_to_there(tmp_path: Path) -> None:
    """A compressed file that ends too early gives what is in it, and a warning."""
    whole = gzip.compress(b"\n".join(_line([span_of(_record(n, n))]) for n in range(50)) + b"\n")
    (tmp_path / "a.jsonl.gz").write_bytes(whole[: len(whole) - 200])
    report = ReadReport()

    assert 0 < len(list(read_records([tmp_path], report=report))) < 50
    assert any("damaged or truncated" in w.reason for w in report.warnings)


@pytest.mark.parametrize("compressed", [False, True])
def test_standard_input(*, compressed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` is standard input, compressed or not; it stays open."""
    data = _line([span_of(_record(1))]) + b"\n"
    stdin = io.TextIOWrapper(io.BytesIO(gzip.compress(data) if compressed else data))
    monkeypatch.setattr("sys.stdin", stdin)

    assert _ids(read_records(["-"])) == ["req_1"]
    assert not stdin.closed


def test_document_over_many_lines(tmp_path: Path) -> None:
    """A file that is one indented JSON document is read as one."""
    (tmp_path / "pretty.json").write_text(json.dumps(json.loads(_line([span_of(_record(1))])), indent=2))

    assert _ids(read_records([tmp_path])) == ["req_1"]


def test_other_signals_are_passed_over_silently(tmp_path: Path) -> None:
    """Metrics and logs in a directory are no mistake."""
    (tmp_path / "metrics-1.jsonl").write_bytes(b"not even JSON\n")
    (tmp_path / "collector.json").write_bytes(b'{"resourceMetrics":[]}\n{"resourceLogs":[]}\n{}\n')
    report = ReadReport()

    assert list(read_records([tmp_path], report=report)) == []
    assert report.warnings == []


_KINDS = {1: "SPAN_KIND_INTERNAL", 3: "SPAN_KIND_CLIENT"}
_OTHERWISE: dict[str, Callable[[Any], object]] = {
    **dict.fromkeys(("startTimeUnixNano", "endTimeUnixNano", "timeUnixNano", "intValue"), int),
    **dict.fromkeys(("traceId", "spanId"), str.upper),
    "kind": lambda kind: _KINDS[kind],
    "doubleValue": lambda number: int(number) if number == int(number) else number,
}


def _otherwise(value: object, key: str = "") -> object:
    """Write what other writers write: 64-bit integers as numbers, enums as names, ids in capitals."""
    if isinstance(value, dict):
        return {k: _otherwise(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [_otherwise(v) for v in value]
    return _OTHERWISE[key](value) if key in _OTHERWISE else value


@pytest.mark.parametrize("nested", [False, True])
def test_other_writers_of_otlp_json(*, nested: bool) -> None:
    """Integers as numbers, doubles without a fraction, enums as names and ids in capitals mean the same."""
    record = replace(full_record(), nested=nested)
    data = _otherwise(json.loads(_line(family_of(record))))

    assert decode_traces(json.dumps(data).encode()) == [record]


def test_trace_as_tempo_gives_it() -> None:
    """Tempo's `batches`, its wrapper `trace`, and ids in base64 are understood."""
    data = json.loads(_line([span_of(full_record())]))
    span = data["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    span["traceId"] = "CvdlGRbNQ92ESOshHIAxnA=="
    span["spanId"] = "t61rcWkgMzE="

    assert decode_traces(json.dumps({"trace": data}).encode()) == [full_record()]
    assert decode_traces(json.dumps({"batches": data["resourceSpans"]}).encode()) == [full_record()]


def test_files_of_several_processes_come_in_time_order(tmp_path: Path) -> None:
    """Records of several writers are merged by their start, though each file is ordered by end."""
    for process in range(3):
        spans = [span_of(_record(i, (i + 1) * MS, duration_ns=(50 - i % 7) * MS)) for i in range(process, 90, 3)]
        spans.sort(key=lambda s: s.end_time or 0)
        LocalSpanExporter(tmp_path, segment_bytes=9_000).export(spans[:15])
        exporter = LocalSpanExporter(tmp_path, segment_bytes=9_000)
        for span in spans[15:]:
            exporter.export([span])

    assert _ids(read_records([tmp_path])) == [f"req_{i}" for i in range(90)]


def test_same_file_named_twice_is_read_once(tmp_path: Path) -> None:
    """A directory and a file in it are the same records."""
    (tmp_path / "a.jsonl").write_bytes(_line([span_of(_record(1))]))

    assert _ids(read_records([tmp_path, tmp_path / "a.jsonl"])) == ["req_1"]


@given(starts=st.lists(st.integers(0, 1000), max_size=40), size=st.integers(1, 50))
def test_window_loses_nothing(starts: list[int], size: int) -> None:
    """Ordering gives every record once, and all in order when the window holds them."""
    found = [r.start_unix_ns for r in in_order((_record(0, s) for s in starts), size)]

    assert sorted(found) == sorted(starts)
    if size >= len(starts):
        assert found == sorted(starts)


def test_selection_by_time(tmp_path: Path) -> None:
    """`since` is the first start that counts, `until` the first that does not."""
    (tmp_path / "a.jsonl").write_bytes(_line([span_of(_record(n, n * 10)) for n in range(10)]))

    assert _ids(read_records([tmp_path], since=30, until=60)) == ["req_3", "req_4", "req_5"]


def test_children_alone_give_nothing(tmp_path: Path) -> None:
    """Spans without a record are nobody's request, and no mistake."""
    (tmp_path / "a.jsonl").write_bytes(_line([child_of(full_record())]))
    report = ReadReport()

    assert list(read_records([tmp_path], report=report)) == []
    assert report.warnings == []


@given(junk=st.binary(max_size=300))
def test_no_bytes_make_the_reader_raise(junk: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever stands in a file, reading it gives records and warnings, never an exception."""
    path = tmp_path_factory.mktemp("junk") / "a.jsonl"
    path.write_bytes(junk)

    assert list(read_records([path])) == []


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


_FULLEST = _line(family_of(full_record()))


@given(data=st.data())
def test_no_value_in_a_span_makes_the_reader_raise(data: st.DataObject) -> None:
    """Any JSON in the place of any part of a line gives a record, a warning or nothing."""
    line = json.loads(_FULLEST)
    node: Any
    node, key = data.draw(st.sampled_from(list(_places(line))))
    node[key] = data.draw(_JSON)
    report = ReadReport()

    assert len(decode_traces(json.dumps(line).encode(), report=report)) <= 1


def _places(node: object) -> Iterable[tuple[dict[str, object] | list[object], str | int]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield node, key  # pyright: ignore[reportReturnType] - one of the two
        yield from _places(value)
