"""Each request once, however often its span arrives."""

import json
from dataclasses import replace
from pathlib import Path

from support.full_records import ordinary_record
from support.spans import span_of

from groqscope.audit import load
from groqscope.store import ReadReport, SeenIds, once, read_records, read_traces
from groqscope.store.exporters import encode_span_line
from groqscope.timeline import RequestRecord


def _record(number: int, **given: object) -> RequestRecord:
    return replace(ordinary_record(), span_id=f"{number + 1:016x}", start_unix_ns=10**18 + number, **given)


def _line(*records: RequestRecord) -> bytes:
    line = encode_span_line([span_of(record) for record in records])
    assert line is not None
    return line + b"\n"


def _regions(paths: list[Path], report: ReadReport | None = None) -> list[str | None]:
    return [r.region for r in read_records(paths, report=report)]


def test_the_same_line_twice(tmp_path: Path) -> None:
    """What a collector delivered twice counts once; how many repeats were left out is known."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(_line(_record(1), _record(2)) * 3)
    report = ReadReport()

    assert len(list(read_records([path], report=report))) == 2
    assert (report.records, report.repeats) == (2, 4)


def test_a_store_and_the_collectors_copy(tmp_path: Path) -> None:
    """Of copies that differ, the one of the file named first counts, whatever the files are called."""
    for name in ("z-first", "a-second"):
        lines = b"".join(_line(_record(n, region=name)) for n in range(50))
        (tmp_path / f"{name}.jsonl").write_bytes(lines)

    assert _regions([tmp_path / "z-first.jsonl", tmp_path / "a-second.jsonl"]) == ["z-first"] * 50
    assert _regions([tmp_path / "a-second.jsonl", tmp_path / "z-first.jsonl"]) == ["a-second"] * 50
    assert _regions([tmp_path]) == ["a-second"] * 50


def test_totals_are_of_each_request_once(tmp_path: Path) -> None:
    """Tokens and cost are not paid for twice, and the report says what was left out, in words and as JSON."""
    from groqscope.audit.reports import JsonRenderer, MarkdownRenderer

    (tmp_path / "a.jsonl").write_bytes(_line(_record(1)))
    (tmp_path / "b.jsonl").write_bytes(_line(_record(1)))
    audit = load(tmp_path).overview()

    assert audit.total.requests == 1
    assert audit.total.input_tokens == ordinary_record().usage.input_tokens
    assert audit.provenance.repeated == 1
    assert "1 repeat left out" in MarkdownRenderer().render(audit)
    assert json.loads(JsonRenderer().render(audit))["provenance"]["repeated"] == 1


def test_runs_count_repeats_too(tmp_path: Path) -> None:
    """Of whole traces each span is kept once, and the repeated requests are counted."""
    (tmp_path / "a.jsonl").write_bytes(_line(_record(1)) + _line(_record(2)))
    (tmp_path / "b.jsonl").write_bytes(_line(_record(1)))
    report = ReadReport()
    traces = list(read_traces([tmp_path], report))

    assert sorted(span.span_id for trace in traces for span in trace) == sorted(
        str(_record(number).span_id) for number in (1, 2)
    )
    assert report.repeats == 1


def test_the_same_ids_in_capitals_or_base64_are_the_same(tmp_path: Path) -> None:
    """How an id is written makes no other request of it."""
    line = _line(_record(1))
    (tmp_path / "a.jsonl").write_bytes(line + line.replace(b"0000000000000002", b"AAAAAAAAAAI="))

    assert len(list(read_records([tmp_path]))) == 1


def test_what_has_no_ids_is_not_taken_for_a_copy() -> None:
    """Without a trace id and a span id nothing says that two requests are one."""
    record = _record(1)
    without = [replace(record, trace_id=None), replace(record, span_id=None)]

    assert list(once([*without, *without], ReadReport())) == [*without, *without]


def test_memory_is_bounded() -> None:
    """At most twice the room is remembered, and never less than the room."""
    seen = SeenIds(room=10)
    new = [seen.add("t", str(number)) for number in range(1000)]

    assert all(new)
    assert len(seen) <= 20
    assert not any(seen.add("t", str(number)) for number in range(990, 1000))
    assert seen.add("t", "0")
