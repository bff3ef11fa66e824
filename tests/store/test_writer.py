"""The writer: whole lines, private files, bounded size, no harm when it fails."""

import errno
import json
import logging
import multiprocessing
import os
import stat
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult, MetricsData
from opentelemetry.sdk.trace.export import SpanExportResult
from support.full_records import full_record
from support.spans import family_of, span_of

from groqscope.store import LocalMetricExporter, LocalSpanExporter, store_directory
from groqscope.store.segments import SegmentWriter

posix = pytest.mark.skipif(os.name != "posix", reason="file modes, fork and unlinking open files are POSIX")


def _writer(directory: Path, **given: Any) -> SegmentWriter:
    return SegmentWriter(directory, "traces", **given)


def _lines(directory: Path) -> list[bytes]:
    return [line for path in sorted(directory.glob("*.jsonl")) for line in path.read_bytes().splitlines(keepends=True)]


def test_batch_is_one_line_of_otlp_json(tmp_path: Path) -> None:
    """Each batch becomes one `TracesData` on one line, as the OTLP file specification says."""
    exporter = LocalSpanExporter(tmp_path)

    assert exporter.export(family_of(full_record())) is SpanExportResult.SUCCESS
    assert exporter.export(family_of(full_record())) is SpanExportResult.SUCCESS
    lines = _lines(tmp_path)
    assert len(lines) == 2
    assert all(line.endswith(b"\n") for line in lines)
    spans = json.loads(lines[0])["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert [s["name"] for s in spans] == ["send", "wait", "chat openai/gpt-oss-120b"]
    assert spans[2]["traceId"] == full_record().trace_id
    assert spans[2]["kind"] == 3
    assert spans[2]["startTimeUnixNano"] == str(full_record().start_unix_ns)


def test_metrics_have_files_of_their_own(tmp_path: Path) -> None:
    """Metrics go to `metrics-*.jsonl`, one `MetricsData` a collection, exemplars included."""
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader]).get_meter("groqscope")
    meter.create_histogram("gen_ai.client.operation.duration", "s").record(0.5)
    data = reader.get_metrics_data()
    assert data is not None
    exporter = LocalMetricExporter(tmp_path)

    assert exporter.export(data) is MetricExportResult.SUCCESS
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("metrics-")
    metrics = json.loads(path.read_bytes())["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
    assert metrics[0]["name"] == "gen_ai.client.operation.duration"


@posix
def test_files_are_private(tmp_path: Path) -> None:
    """Files are 0600 in a 0700 directory, also where the directory was wider."""
    directory = tmp_path / "store"
    directory.mkdir(mode=0o755)
    LocalSpanExporter(directory).export([span_of(full_record())])

    (path,) = directory.iterdir()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nothing_is_created_before_the_first_batch(tmp_path: Path) -> None:
    """An exporter that exports nothing leaves nothing."""
    exporter = LocalSpanExporter(tmp_path / "store")
    exporter.force_flush()
    exporter.shutdown()

    assert not (tmp_path / "store").exists()


def test_default_directory_is_in_groqscope_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a directory the store is `store` in `$GROQSCOPE_HOME`, else in the user's state directory."""
    monkeypatch.setenv("GROQSCOPE_HOME", str(tmp_path / "home"))
    assert store_directory() == tmp_path / "home" / "store"

    monkeypatch.delenv("GROQSCOPE_HOME")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert store_directory() == tmp_path / "xdg" / "groqscope" / "store"

    monkeypatch.setenv("XDG_STATE_HOME", "relative/is/ignored")
    assert store_directory() == Path.home() / ".local/state/groqscope/store"


def test_file_that_is_full_is_followed_by_another(tmp_path: Path) -> None:
    """No file grows beyond its size; their names sort in the order in which they were written."""
    writer = _writer(tmp_path, segment_bytes=100)
    for number in range(10):
        writer.write(b"%d" % number * 30)

    assert [p.stat().st_size for p in sorted(tmp_path.iterdir())] == [93, 93, 93, 31]
    assert b"".join(_lines(tmp_path)).split() == [b"%d" % n * 30 for n in range(10)]


def test_oldest_files_make_room_and_are_counted(tmp_path: Path) -> None:
    """The files of a signal together stay below the cap, whoever wrote them; other signals are not touched."""
    other = _writer(tmp_path)
    other.write(b"x" * 99)
    other.close()
    assert other.path is not None
    os.utime(other.path, ns=(0, 0))
    (tmp_path / "metrics-1.jsonl").write_bytes(b"m" * 1000)
    writer = _writer(tmp_path, segment_bytes=100, total_bytes=300)
    for number in range(7):
        writer.write(b"%d" % number * 49)

    kept = sorted(tmp_path.glob("traces-*"))
    assert sum(p.stat().st_size for p in kept) <= 300
    assert not other.path.exists()
    assert writer.removed == 2
    assert b"".join(path.read_bytes() for path in kept).split() == [b"%d" % n * 49 for n in range(2, 7)]
    assert (tmp_path / "metrics-1.jsonl").exists()


@posix
def test_file_that_somebody_removed_is_made_again(tmp_path: Path) -> None:
    """A writer whose file was removed writes the next line to a new one instead of to nowhere."""
    writer = _writer(tmp_path)
    writer.write(b"one")
    assert writer.path is not None
    writer.path.unlink()
    writer.write(b"two")

    assert _lines(tmp_path) == [b"two\n"]


def test_line_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line and its newline leave in one system call, on a file opened for appending."""
    written: list[bytes] = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: written.append(bytes(data)) or real(fd, data))
    _writer(tmp_path).write(b"line")

    assert written == [b"line\n"]


def test_threads_do_not_mix_lines(tmp_path: Path) -> None:
    """Lines written by several threads at once arrive whole."""
    writer = _writer(tmp_path, segment_bytes=20_000)
    threads = [threading.Thread(target=lambda c=c: [writer.write(c * 997) for _ in range(50)]) for c in (b"a", b"b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    lines = b"".join(_lines(tmp_path)).split()
    assert sorted(set(lines)) == [b"a" * 997, b"b" * 997]
    assert len(lines) == 100


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "No space left on device"), (errno.EROFS, "Read-only file system")],
)
def test_store_that_cannot_be_written_is_said_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: int,
    words: str,
) -> None:
    """A full or read-only disk gives one warning that names the directory, counts what is lost, and raises nothing."""

    def refuse(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    exporter, metrics = LocalSpanExporter(tmp_path), LocalMetricExporter(tmp_path)
    with monkeypatch.context() as broken, caplog.at_level(logging.WARNING):
        broken.setattr(os, "open", refuse)
        results = [exporter.export(family_of(full_record())) for _ in range(3)]
        assert metrics.export(MetricsData([])) is MetricExportResult.FAILURE

    assert results == [SpanExportResult.FAILURE] * 3
    assert exporter.lost_spans == 9
    (message,) = caplog.messages
    assert str(tmp_path) in message
    assert words in message
    assert exporter.export(family_of(full_record())) is SpanExportResult.SUCCESS


def test_disk_that_fills_up_in_a_line_costs_only_that_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a line that went out before the disk was full is taken back; the next line is in a file of its own."""
    writer = _writer(tmp_path)
    writer.write(b"whole")
    real = os.write
    answers = iter([3, OSError(errno.ENOSPC, "full")])

    def partly(fd: int, data: memoryview) -> int:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return real(fd, data[:answer])

    with monkeypatch.context() as full:
        full.setattr(os, "write", partly)
        assert not writer.write(b"broken")
    assert writer.write(b"next")

    assert _lines(tmp_path) == [b"whole\n", b"next\n"]
    assert (writer.lines, writer.lost) == (2, 1)


def test_a_full_disk_leaves_no_empty_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many lines a full disk refuses, nothing is left behind; when there is room again, lines are written."""

    def refuse(_fd: int, _data: memoryview) -> int:
        raise OSError(errno.ENOSPC, "full")

    writer = _writer(tmp_path)
    with monkeypatch.context() as full:
        full.setattr(os, "write", refuse)
        assert not any(writer.write(b"line") for _ in range(100))
        assert list(tmp_path.iterdir()) == []
    assert writer.write(b"room again")

    assert _lines(tmp_path) == [b"room again\n"]
    assert writer.lost == 100


@pytest.mark.injects_failure
def test_spans_that_cannot_be_encoded_are_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """They are lost and counted; the log names the error's type, not what it says, which may be a prompt."""
    said = "the text of a prompt"

    def fail(_: object) -> None:
        raise ValueError(said)

    monkeypatch.setattr("groqscope.store.exporters.encode_spans", fail)
    exporter = LocalSpanExporter(tmp_path)
    with caplog.at_level(logging.DEBUG):
        results = [exporter.export(family_of(full_record())) for _ in range(2)]

    assert results == [SpanExportResult.FAILURE] * 2
    assert exporter.lost_spans == 2 * len(family_of(full_record()))
    assert caplog.text.count("cannot encode spans, which are lost (ValueError)") == 1
    assert said not in caplog.text


def test_value_that_is_no_utf8_is_written_all_the_same(tmp_path: Path) -> None:
    """Half of a surrogate pair in an attribute does not stop the batch."""
    span = span_of(replace(full_record(), region="\ud800"))

    assert LocalSpanExporter(tmp_path).export([span]) is SpanExportResult.SUCCESS
    assert b'"\\ud800"' in _lines(tmp_path)[0]


def _child(writer: SegmentWriter) -> None:
    for _ in range(20):
        writer.write(b"c" * 500)


@posix
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_child_after_a_fork_has_a_file_of_its_own(tmp_path: Path) -> None:
    """Parent and child write to different files, also when another thread held the lock at the fork."""
    writer = _writer(tmp_path)
    writer.write(b"p" * 500)
    with writer._lock:
        child = multiprocessing.get_context("fork").Process(target=_child, args=(writer,))
        child.start()
    child.join(20)
    writer.write(b"p" * 500)

    assert child.exitcode == 0
    by_file = sorted(set(path.read_bytes().split()) == {b"p" * 500} for path in tmp_path.iterdir())
    assert by_file == [False, True]
    assert sum(len(path.read_bytes().split()) for path in tmp_path.iterdir()) == 22
