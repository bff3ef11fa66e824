"""Requests that are packed are the same when they are looked at again."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.full_records import full_record
from support.records import of
from support.report_samples import SAMPLES, many

from groqscope.timeline import RequestRecord
from groqscope.ui.kept import Kept


@given(st.lists(of(RequestRecord), min_size=1, max_size=12))
def test_any_records(records: list[RequestRecord]):
    """Whatever is in them, packed records come out as they went in."""
    kept = Kept(40)
    kept.extend([*records, *many(12)])
    found = kept.all()

    assert found[: len(records)] == records or kept.horizon > 0
    assert found[-12:] == many(12)


@pytest.mark.parametrize("name", SAMPLES)
def test_samples(name: str):
    """So do those of every kind."""
    records = [SAMPLES[name](), full_record()] * 10
    kept = Kept(100)
    kept.extend(records)

    assert kept.all() == records
    assert kept.horizon == 0


def test_limit():
    """No more than the limit is kept, and the horizon says from when on all are there."""
    records = many(1_000)
    kept = Kept(100)
    for record in records:
        kept.extend([record])

        assert len(kept.all()) <= 100

    found = kept.all()

    assert found == records[-len(found) :]
    assert len(found) > 80
    assert kept.horizon == records[-len(found) - 1].start_unix_ns + 1


def test_text_that_is_no_utf8():
    """A record that cannot be packed is given up, and the horizon says so: it is read from the files."""
    records = [replace(record, model="\ud800") for record in many(3)]
    kept = Kept(10)
    kept.extend([*records, *many(20)[3:]])

    assert kept.horizon > 0
    assert all(record.model != "\ud800" for record in kept.all())
