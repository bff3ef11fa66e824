"""The audit in code, and its sources."""

import gzip
import io
import json
import sys
from types import ModuleType, SimpleNamespace

import pytest
from support.files import write_store
from support.traffic import MS, failed, request, traffic

from groqscope import audit
from groqscope.audit.fields import FIELDS
from groqscope.store import store_directory

RECORDS = list(traffic(60))


@pytest.fixture
def file(tmp_path):
    """A file of sixty requests."""
    return write_store(tmp_path / "files", RECORDS)


def test_records_come_back_equal(file):
    """Records come back as they were written, in order of start."""
    assert list(audit.load(file)) == RECORDS


def test_records_are_shown_by_what_they_are_of():
    """Showing the records in a notebook reads nothing."""
    assert repr(audit.load(model="llama", last=3)) == f"<Records of {store_directory()}, model llama, the last 3>"


def test_a_directory_and_a_compressed_file(file, tmp_path):
    """Directories and gzip are read alike."""
    packed = tmp_path / "packed.jsonl.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))

    assert list(audit.load(packed)) == list(audit.load(file.parent)) == RECORDS


def test_standard_input(file, monkeypatch):
    """`-` is standard input."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(file.read_bytes()))))

    assert len(list(audit.load("-"))) == 60


def test_the_local_store_is_the_default():
    """Without a path the user's store is read; records can be iterated again."""
    write_store(store_directory(), RECORDS)
    records = audit.load()

    assert len(list(records)) == len(list(records)) == 60
    assert records.report.records == 60


def test_an_empty_store_while_an_endpoint_is_set(monkeypatch):
    """If requests go to a collector, the message says that they are there."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    with pytest.raises(audit.NoRequests, match="ENDPOINT is set, requests go there; `groqscope audit"):
        audit.load().overview()


def test_an_empty_store_says_what_to_do():
    """If there is no store yet, the message says how it gets filled."""
    assert list(audit.load()) == []
    with pytest.raises(audit.NoRequests, match=r"is empty: call groqscope.configure\(\)"):
        audit.load().overview()


def test_a_missing_file():
    """A path that does not exist is an error at once."""
    with pytest.raises(audit.SourceError, match=r"there is no file or directory 'nowhere\.jsonl'"):
        audit.load("nowhere.jsonl")


def test_a_foreign_file(tmp_path):
    """For a file with other content the message says what was expected and what was found."""
    path = tmp_path / "other.jsonl"
    path.write_text("hello\n")

    with pytest.raises(audit.NoRequests, match=r"(?s)expected OTLP JSON.*other.jsonl:1: not JSON"):
        audit.load(path).overview()


def test_conditions(file):
    """Conditions are those of the command line."""
    slow = audit.load(file, where="queue > 200ms", model="llama")

    assert {r.span_id for r in slow} == {
        r.span_id for r in RECORDS if (r.phases.queue or 0) > 200 * MS and r.model and "llama" in r.model
    }


def test_a_wrong_condition_is_found_before_reading(file):
    """The expression is checked as soon as it is given."""
    with pytest.raises(audit.ExpressionError):
        audit.load(file, where="retires > 0")


def test_the_same_analysis_in_code(file):
    """Overview, one request, budgets and causes are methods."""
    records = audit.load(file)

    assert records.overview().total.requests == 60
    assert records.request("req_01k00000000000000000000007").record == RECORDS[7]
    assert [b.verdict for b in records.budgets("errors < 50%", goodput=["ttft:400"])] == ["ok", "measured"]
    assert records.why().requests == 60


def test_names_of_the_package():
    """Everything public is there, sorted, and nothing that is imported is forgotten."""
    public = [n for n in vars(audit) if not n.startswith("_") and not isinstance(getattr(audit, n), ModuleType)]

    assert sorted(public) == sorted(audit.__all__)
    assert audit.__all__ == sorted(audit.__all__, key=lambda n: (not n.isupper(), not n[0].isupper(), n))


def test_polars_is_asked_for(file, monkeypatch):
    """Without polars the error names the command that installs it."""
    monkeypatch.setitem(sys.modules, "polars", None)

    with pytest.raises(ImportError, match=r"to_polars\(\) needs polars: pip install polars"):
        audit.load(file).to_polars()


def test_pandas_is_given_columns(file, monkeypatch):
    """A data frame has a column per field: durations in seconds, lists as lists, times converted."""

    class Frame(dict):
        """What pandas makes of a dictionary, as far as it matters."""

    fake = SimpleNamespace(DataFrame=Frame, to_datetime=lambda column, **options: (column, options))
    monkeypatch.setitem(sys.modules, "pandas", fake)
    frame = audit.load(file).to_pandas()

    assert set(frame) == {field.name for field in FIELDS}
    assert frame["duration"] == [r.duration_ns / 1e9 for r in RECORDS]
    assert frame["start"] == ([r.start_unix_ns for r in RECORDS], {"unit": "ns", "utc": True})
    assert ["get_weather"] in frame["tool"]
    assert None in frame["phase.tls"]


def test_records_of_other_instrumentations(tmp_path):
    """Spans with `gen_ai.*` attributes count as requests, without phases."""
    path = tmp_path / "foreign.jsonl"
    attributes = [
        {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
        {"key": "gen_ai.provider.name", "value": {"stringValue": "groq"}},
        {"key": "gen_ai.request.model", "value": {"stringValue": "llama"}},
        {"key": "gen_ai.usage.output_tokens", "value": {"intValue": "7"}},
    ]
    span = {
        "traceId": "a" * 32,
        "spanId": "b" * 16,
        "name": "chat llama",
        "kind": 3,
        "startTimeUnixNano": "1790000000000000000",
        "endTimeUnixNano": "1790000001000000000",
        "attributes": attributes,
    }
    path.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}))
    report = audit.load(path).overview()

    assert (report.total.requests, report.provenance.foreign, report.total.output_tokens) == (1, 1, 7)


def test_a_broken_line_loses_nothing_else(file, tmp_path):
    """A broken line is reported with its place, and the rest is read."""
    lines = file.read_text().splitlines()
    broken = tmp_path / "broken.jsonl"
    broken.write_text("\n".join([lines[0], "{oops", *lines[1:]]) + "\n")
    report = audit.load(broken).overview()

    assert report.total.requests == 60
    assert report.provenance.warnings[0].startswith(f"{broken}:2: not JSON")


def test_failed_requests_have_no_first_chunk():
    """Records in memory are analysed as they are."""
    source = audit.MemorySource([failed(1), request(2)])

    assert audit.Records(source, audit.Query(where="failed")).overview().total.errors == 1


def test_no_place_for_a_store(monkeypatch):
    """Without a home directory the message names the variable that sets a place."""
    from groqscope.audit import sources

    def nowhere():
        raise OSError("no home directory")

    monkeypatch.setattr(sources, "store_directory", nowhere)

    with pytest.raises(audit.SourceError, match="set GROQSCOPE_HOME to a directory"):
        audit.load()
