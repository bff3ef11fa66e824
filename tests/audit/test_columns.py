"""What is asked of columns is what Python computes from the records."""

import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.columns import table_of
from support.full_records import busy_record, full_record, ordinary_record
from support.records import records
from support.traffic import traffic

from groqscope.audit.columns import MEASURED, Named, sql_of
from groqscope.audit.fields import FIELDS, find
from groqscope.audit.rules import COLUMNS, measure


class _Drawn(list):
    def __repr__(self) -> str:
        return f"<{len(self)} records>"  # all of them are 150 kB


_SOME = st.lists(records, min_size=1, max_size=8).map(
    lambda drawn: _Drawn([*drawn, full_record(), busy_record(), ordinary_record(), *traffic(40)])
)
_PROPERTY = settings(
    phases=(Phase.explicit, Phase.generate),  # shrinking takes minutes
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def _plain(value):
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.slow
@_PROPERTY
@given(_SOME)
def test_each_field_has_the_value_that_the_record_has(drawn):
    """Every word of the vocabulary, for records of any kind."""
    fields = [*FIELDS, find("tag.feature")]
    with tempfile.TemporaryDirectory() as folder:
        connection = table_of(drawn, Path(folder))
        parameters = Named()
        chosen = ", ".join(sql_of(field, parameters) for field in fields)
        found = connection.execute(f"SELECT {chosen} FROM requests ORDER BY place", parameters.values).fetchall()
    for record, row in zip(drawn, found, strict=True):
        for field, value in zip(fields, row, strict=True):
            assert _plain(field.get(record)) == value, field.name


@pytest.mark.slow
@_PROPERTY
@given(_SOME)
def test_the_rules_measure_the_same(drawn):
    """Every column of `rules.measure`."""
    with tempfile.TemporaryDirectory() as folder:
        connection = table_of(drawn, Path(folder))
        chosen = ", ".join(MEASURED[name] for name in COLUMNS)
        found = connection.execute(f"SELECT {chosen} FROM requests ORDER BY place").fetchall()
    for record, row in zip(drawn, found, strict=True):
        for name, wanted, value in zip(COLUMNS, measure(record), row, strict=True):
            assert (value is None and math.isnan(wanted)) or value == wanted, name
