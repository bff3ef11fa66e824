"""A record as a row of Parquet is the record."""

import tempfile
from dataclasses import fields, replace

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.full_records import busy_record, full_record, ordinary_record
from support.records import records

from groqscope import history
from groqscope.history import rows
from groqscope.store import ReadReport
from groqscope.timeline import RequestRecord


def _through_parquet(written, folder):
    done = history.write(written, folder)
    report = ReadReport()
    found = list(history.Dataset([folder], report).records())
    assert not report.warnings
    assert done.requests == len(found)
    return found


@pytest.mark.slow
@settings(
    phases=(Phase.explicit, Phase.generate),  # shrinking a dozen records takes minutes
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(records, min_size=1, max_size=6))
def test_each_field_of_any_record(drawn):
    """Parquet and back is the identity: every field, every nested record, texts of any characters."""
    written = [replace(record, span_id=f"{number:016x}") for number, record in enumerate(drawn)]
    with tempfile.TemporaryDirectory() as folder:
        found = _through_parquet(written, folder)
    assert len(found) == len(written)
    for before, after in zip(written, sorted(found, key=lambda record: record.span_id or ""), strict=True):
        for field in fields(RequestRecord):
            assert getattr(before, field.name) == getattr(after, field.name), field.name


def test_full_records(tmp_path):
    """Every field set at once; a busy request; an ordinary one."""
    written = [full_record(), replace(busy_record(), span_id="2" * 16), replace(ordinary_record(), span_id="3" * 16)]

    assert {r.span_id: r for r in _through_parquet(written, str(tmp_path))} == {r.span_id: r for r in written}


def test_a_column_for_each_field():
    """A new field of the record is a new column by itself."""
    assert list(rows.columns()) == [f.name for f in fields(RequestRecord)]


def test_files_from_before_a_field_existed(tmp_path):
    """What an old file lacks has its default: a column, a member of a struct, a member of an entry of a list."""
    old = str(tmp_path / "old.parquet")
    duckdb.sql(
        "COPY (SELECT 5::BIGINT AS start_unix_ns, 7::BIGINT AS duration_ns, 'm' AS model, "
        "{'queue': 3::BIGINT} AS phases, "
        "[{'index': 0::BIGINT, 'name': 'f', 'deltas': 1::BIGINT, 'arguments_size': 2::BIGINT}] AS tool_calls) "
        f"TO '{old}' (FORMAT parquet, KV_METADATA {{groqscope_record: '1'}})"
    )
    history.write([full_record()], str(tmp_path / "new"))

    first, second = history.Dataset([old, str(tmp_path / "new")], ReadReport()).records()

    assert (first.phases.queue, first.phases.send, first.model, first.stream, first.tags) == (3, None, "m", False, ())
    assert (first.tool_calls[0].name, first.tool_calls[0].choice) == ("f", 0)
    assert second == full_record()
