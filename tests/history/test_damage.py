"""What cannot be read is named, with what to do, and the rest is read all the same."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from support.traffic import request, traffic

from groqscope import audit, history


@pytest.fixture
def store(tmp_path):
    for number in range(3):
        history.write([replace(r, trace_id=str(number + 1) * 32) for r in traffic(20)], str(tmp_path / "history"))
    return tmp_path


def _parts(store: Path) -> list[Path]:
    return sorted((store / "history/requests").rglob("*.parquet"))


def _read(store):
    records = audit.load(store)
    found = records.overview()
    assert [r.trace_id for r in audit.load(store)]
    return found.total.requests, [str(warning) for warning in records.report.warnings]


def test_a_truncated_file(store):
    """Its end is gone, and with it the directory of its columns."""
    part = _parts(store)[0]
    part.write_bytes(part.read_bytes()[:-100])

    requests, warnings = _read(store)

    assert requests == 40
    assert len(warnings) == 1
    assert warnings[0].startswith(f"{part}: cannot be read as Parquet")
    assert warnings[0].endswith("replace or remove it; left out")


def test_a_file_that_is_broken_inside(store):
    """Its end is whole, its pages are not: found when they are read."""
    part = _parts(store)[1]
    data = bytearray(part.read_bytes())
    data[100:5000] = bytes(4900)
    part.write_bytes(data)

    requests, warnings = _read(store)

    assert requests == 40
    assert warnings[0].startswith(f"{part}: ")
    assert "replace it or remove it" in warnings[0]


def test_a_foreign_file(store):
    """Parquet of somebody else is not taken for requests."""
    foreign = _parts(store)[0].with_name("foreign.parquet")
    duckdb.sql(f"COPY (SELECT 1 AS start_unix_ns) TO '{foreign}' (FORMAT parquet)")

    requests, warnings = _read(store)

    assert requests == 60
    assert "is not written by groqscope" in warnings[0]


def test_a_newer_file(store):
    """Records of a later version are left to a later version."""
    part = _parts(store)[0]
    newer = part.with_name("newer.parquet")
    duckdb.sql(f"COPY (FROM '{part}') TO '{newer}' (FORMAT parquet, KV_METADATA {{groqscope_record: '2'}})")

    requests, warnings = _read(store)

    assert requests == 60
    assert "has records of version 2, and this groqscope reads up to 1: update groqscope" in warnings[0]


def test_broken_ids(store):
    """The requests beside them are searched instead."""
    broken = min((store / "history/ids").rglob("*.parquet"))
    broken.write_bytes(b"PAR1")
    report = audit.ReadReport()
    dataset = history.Dataset([str(store)], report)

    query = dataset.may_have("2" * 32)

    assert [part in query for part in map(str, _parts(store))] == [True, True, False]
    assert str(report.warnings[0]).startswith(f"{broken}: ")
    assert "its requests were searched, remove it" in str(report.warnings[0])


def test_nothing_but_broken_files(store):
    """There is nothing to audit, and the error says why."""
    for part in _parts(store):
        part.write_bytes(b"PAR1")

    with pytest.raises(audit.AuditError, match="cannot be read as Parquet"):
        audit.load(store).overview()


_WITHOUT = """
import importlib, sys
sys.modules["duckdb"] = None
from groqscope.cli.app import run
sys.exit(run(sys.argv[1:]))
"""


def _without_duckdb(*arguments: object) -> subprocess.CompletedProcess[str]:
    given = [sys.executable, "-c", _WITHOUT, *map(str, arguments)]
    return subprocess.run(given, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
def test_without_the_extra(store, tmp_path):
    """The files are read as ever; of the columns it is said what to install."""
    from support.files import write_store

    write_store(store, [request(99)])

    mixed = _without_duckdb("audit", store)
    shutil.rmtree(store / "history")
    plain = _without_duckdb("audit", store)
    compact = _without_duckdb("compact", store, "--to", tmp_path / "out")

    assert (mixed.returncode, plain.returncode, compact.returncode) == (2, 0, 2)
    assert "n=1" in mixed.stdout
    assert "pip install 'groqscope[history]'" in mixed.stderr
    assert "pip install 'groqscope[history]'" in compact.stderr
    assert not plain.stderr
