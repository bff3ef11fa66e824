"""Requests that were packed are the same when they are unpacked."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.full_records import full_record
from support.records import of
from support.report_samples import SAMPLES, many

from groqscope.audit.fields import FIELDS, Field, find
from groqscope.audit.table import RecordTable
from groqscope.timeline import RequestRecord
from groqscope.ui.kept import Kept, Part, in_order, pick


def every(kept: Kept) -> list[RequestRecord]:
    return [record for part in kept.parts() for record in part.records()]


LATER = many(12)


@given(st.lists(of(RequestRecord), min_size=1, max_size=3))
def test_any_records(records: list[RequestRecord]):
    """Whatever is in them, records come out as they went in."""
    kept = Kept(40)
    kept.extend([*records, *LATER])  # of so many the first ones are packed

    assert every(kept) == [*records, *LATER]
    assert kept.horizon == 0


@pytest.mark.parametrize("name", SAMPLES)
def test_samples(name: str):
    """Samples of every kind come out as they went in."""
    records = [SAMPLES[name](), full_record()] * 10
    kept = Kept(100)
    kept.extend(records)

    assert every(kept) == records
    assert kept.horizon == 0


def test_limit():
    """No more than the limit are kept, and all since the horizon are there."""
    records = many(300)
    kept = Kept(100)
    for record in records:
        kept.extend([record])

        assert len(every(kept)) == len(kept) <= 100

    found = every(kept)

    assert found == records[-len(found) :]
    assert len(found) > 80
    assert kept.first == 300 - len(found)
    assert kept.horizon == records[-len(found) - 1].start_unix_ns + 1


def test_room():
    """A large request displaces more of the others, so that memory is bounded whatever is in them."""
    kept = Kept(10_000, room=300_000)
    kept.extend(many(10_000))

    assert 100 < len(kept) < 9_000
    assert 150_000 < kept.size <= 300_000


def test_text_that_is_not_utf8():
    """A record that cannot be packed is kept as it is."""
    records = [replace(record, model="\ud800") for record in many(3)] + many(20)[3:]
    kept = Kept(100)
    kept.extend(records)

    assert every(kept) == records


def test_pick():
    """Requests are found by their numbers, in any order; those that were dropped are not."""
    records = many(300)
    kept = Kept(100)
    kept.extend(records)
    numbers = [299, kept.first, 250, 251, 250]

    assert pick(kept.parts(), numbers) == [records[number] for number in numbers]
    assert pick(kept.parts(), [kept.first - 1, 300, 0]) == [None, None, None]
    assert pick([], [1]) == [None]


@given(st.lists(st.integers(0, 30), max_size=60), st.integers(1, 7))
def test_order(starts: list[int], size: int):
    """Requests are in order of their start; those that start at the same moment, in the order of their arrival."""
    records = [replace(LATER[0], start_unix_ns=start, chunks=place) for place, start in enumerate(starts)]
    parts = [Part.of(records[at : at + size], at) for at in range(0, len(records), size)]
    ordered: Sequence[RequestRecord] = sorted(records, key=lambda record: record.start_unix_ns)

    assert list(in_order(parts)) == ordered


@pytest.mark.parametrize("field", [*FIELDS, find("tag.feature")], ids=lambda field: field.name)
def test_any_field(field: Field):
    """A field of packed requests is what it is in their records, whether it stands there or is computed."""
    records = [*(make() for make in SAMPLES.values()), full_record()]
    packed = Part.of(records, 0).table()

    assert list(packed.values(field)) == list(map(field.get, records))


def test_measured():
    """What the rules measure is what they measure in the records."""
    records = [*(make() for make in SAMPLES.values()), full_record()]
    table, packed = RecordTable(records), Part.of(records, 0).table()

    assert repr(packed.measured()) == repr(table.measured())
    assert packed.column("tpot") == table.column("tpot")
    assert [row.phases.wait for row in packed.rows([0, 2])] == [records[0].phases.wait, records[2].phases.wait]


def test_without_a_disk(monkeypatch: pytest.MonkeyPatch):
    """Where no temporary file can be written, requests are kept in memory."""

    def full(**_: object) -> None:
        raise OSError(28, "the disk is full")

    monkeypatch.setattr("groqscope.ui.kept.tempfile.TemporaryFile", full)
    records = many(300)
    kept = Kept(200)
    kept.extend(records)

    assert every(kept) == records[-len(kept) :]


def test_what_was_given_up_can_be_read_to_its_end():
    """A view that began before requests were given up still reads them."""
    records = many(300)
    kept = Kept(100)
    kept.extend(records[:100])
    parts = kept.parts()
    kept.extend(records[100:])

    assert [record for part in parts for record in part.records()] == records[:100]
