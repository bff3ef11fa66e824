"""Following a store: new records as they are written."""

import threading
from dataclasses import replace
from pathlib import Path

from support.full_records import ordinary_record
from support.spans import family_of, span_of

from groqscope.store import Follower, LocalSpanExporter, follow
from groqscope.store.exporters import encode_span_line
from groqscope.timeline import RequestRecord


def _record(number: int) -> RequestRecord:
    return replace(
        ordinary_record(), request_id=f"req_{number}", span_id=f"{number + 1:016x}", start_unix_ns=number + 1
    )


def _line(number: int) -> bytes:
    line = encode_span_line([span_of(_record(number))])
    assert line is not None
    return line + b"\n"


def _ids(records: list[RequestRecord]) -> list[str | None]:
    return [r.request_id for r in records]


def test_only_what_is_new(tmp_path: Path) -> None:
    """What was there before is not shown; what is added is, once."""
    exporter = LocalSpanExporter(tmp_path)
    exporter.export(family_of(_record(0)))
    follower = Follower(tmp_path)
    assert follower.poll() == []

    exporter.export(family_of(_record(1)))
    exporter.export(family_of(_record(2)))
    assert _ids(follower.poll()) == ["req_1", "req_2"]
    assert follower.poll() == []


def test_directory_and_files_may_come_later(tmp_path: Path) -> None:
    """A store that does not exist yet, and processes that start later, are followed as they come."""
    follower = Follower(tmp_path / "store")
    assert follower.poll() == []

    for number in (2, 1):
        LocalSpanExporter(tmp_path / "store").export(family_of(_record(number)))
    assert _ids(follower.poll()) == ["req_1", "req_2"]


def test_rotated_files_are_followed(tmp_path: Path) -> None:
    """A new file of the same process goes on where the old one ended, and removed ones are forgotten."""
    exporter = LocalSpanExporter(tmp_path, segment_bytes=1)
    follower = Follower(tmp_path)
    exporter.export(family_of(_record(0)))
    first = exporter.segments.path
    assert first is not None
    assert _ids(follower.poll()) == ["req_0"]

    exporter.export(family_of(_record(1)))
    first.unlink()
    assert _ids(follower.poll()) == ["req_1"]
    assert first not in follower._places


def test_line_still_being_written_waits(tmp_path: Path) -> None:
    """Half a line is not read before its newline is there."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(_line(0) + _line(1)[:100])
    follower = Follower(tmp_path)
    assert follower.poll() == []

    with path.open("ab") as file:
        file.write(_line(1)[100:])
    assert _ids(follower.poll()) == ["req_1"]


def test_file_that_was_cut_is_read_again(tmp_path: Path) -> None:
    """A file that became shorter is followed from its start."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(_line(0) * 3)
    follower = Follower(path)
    path.write_bytes(_line(1))

    assert _ids(follower.poll()) == ["req_1"]


def test_broken_line_is_said(tmp_path: Path) -> None:
    """A line of nonsense is a warning; the next one is read."""
    path = tmp_path / "a.jsonl"
    follower = Follower(tmp_path)
    path.write_bytes(b"nonsense\n" + _line(1))

    assert _ids(follower.poll()) == ["req_1"]
    assert "not JSON" in str(follower.report.warnings[0])


def test_follow_ends_when_told(tmp_path: Path) -> None:
    """The iteration gives each look, also an empty one, and ends at once when stopped."""
    stop = threading.Event()
    exporter = LocalSpanExporter(tmp_path)
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        exporter.export(family_of(_record(len(waits))))
        if len(waits) == 3:
            stop.set()

    seen = [_ids(records) for records in follow(tmp_path, stop, interval=0.5, wait=wait)]
    assert seen == [[], ["req_1"], ["req_2"]]
    assert waits == [0.5] * 3
