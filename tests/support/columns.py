"""Records as a table of DuckDB, for tests of what is asked of columns."""

from collections.abc import Iterable
from pathlib import Path

import duckdb

from groqscope import history
from groqscope.history import rows
from groqscope.timeline import RequestRecord


def table_of(records: Iterable[RequestRecord], folder: Path) -> duckdb.DuckDBPyConnection:
    """Return a database with the table `requests`, its rows numbered by `place`."""
    lines = folder / "rows.json"
    lines.write_bytes(b"\n".join(map(rows.row_of, records)))
    connection = duckdb.connect(":memory:", config={"threads": 1})
    types = ", ".join(f"'{name}': '{kind}'" for name, kind in rows.columns().items())
    read = (
        "SELECT row_number() OVER () AS place, * FROM "
        f"read_json('{lines}', format = 'newline_delimited', maximum_object_size = 100000000, columns = {{{types}}})"
    )
    connection.execute(f"CREATE TABLE requests AS {history.measured(read)}")
    return connection
