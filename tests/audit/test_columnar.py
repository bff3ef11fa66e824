"""However requests are stored, and whichever of the two executions runs, the answers are the same."""

import dataclasses
from contextlib import suppress
from dataclasses import replace
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.files import write_store
from support.full_records import busy_record, full_record
from support.records import records
from support.same import reasonable, same
from support.traffic import START, traffic

from groqscope import audit, history
from groqscope.audit import columnar, selected
from groqscope.audit import records as audit_records
from groqscope.history import rows

_QUERIES = (
    {},
    {"slowest": 7, "by": "queue"},
    {"slowest": 5, "by": "throughput"},
    {"where": "duration > 400ms and not retries > 0", "models": ("LLAMA", "nothing")},
    {"where": "tool ~ 'WEATHER' or tag.feature = 'search' or ttfot > ttft or error != 'x' and user in ('u1', 'u2')"},
    {"where": "tags = none and 100ms < duration < 2s and share.queue > 1%"},
    {"by": "user"},
    {"by": "nested", "last": 500},
    {"outcomes": ("error", "closed"), "services": ("worker", "shop")},
    {"last": 40, "slowest": 3},
    {"since": START + 10**11, "until": START + 4 * 10**11},
)
_BUDGETS = (
    "ttfc.p95 < 1s",
    "duration.p99.9 < 1s",
    "errors < 1%",
    "goodput > 90%",
    "cost.sum < 1usd where not failed",
    "retries.max < 2 where model ~ 'llama'",
    "abandoned < 3",
    "tokens_per_second.mean > 100",
)


def _records():
    made = [replace(record, user=f"u{number % 7}") for number, record in enumerate(traffic(600))]
    return [*made, full_record(), replace(busy_record(), span_id="f" * 16)]


def _overview(path, listed: int | None = 20, **query):
    budgets = audit.Budgets(
        [audit.parse_budget(text) for text in _BUDGETS], audit.parse_goodput(["ttft:400", "tpot:10"])
    )
    found = audit.Records(audit.source_of([path]), audit.Query(**query))
    return audit.overview(found, budgets=budgets, why=True, listed=listed)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """The same requests as lines of JSON, as Parquet, as a part of each with a part in both, and in two histories."""
    folder = tmp_path_factory.mktemp("stores")
    written = _records()
    write_store(folder / "json", written)
    write_store(folder / "parquet", written)
    write_store(folder / "mixed", [*written[:400], *written[-1:]])
    for name in ("parquet", "mixed"):
        history.compact(folder / name, now_ns=4 * 10**18)
    write_store(folder / "mixed", written[350:])
    return folder


@pytest.mark.parametrize("query", _QUERIES[::3], ids=str)
def test_the_overview_of_both_forms(query, stores):
    """Selection, quantiles, phases, verdicts, causes, tools, groups, budgets, goodput and the list."""
    same(_overview(stores / "json", **query), _overview(stores / "mixed", **query))


@pytest.mark.slow
@pytest.mark.parametrize("query", _QUERIES, ids=str)
@pytest.mark.parametrize("form", ["parquet", "mixed"])
def test_the_overview(form, query, stores):
    """Selection, quantiles, phases, verdicts, causes, tools, groups, budgets, goodput and the list."""
    same(_overview(stores / "json", **query), _overview(stores / form, **query))


@pytest.mark.slow
@pytest.mark.parametrize("query", [_QUERIES[3], _QUERIES[6], _QUERIES[9]], ids=str)
def test_the_overview_of_more_than_memory_is_to_hold(query, stores, monkeypatch):
    """Columns that are not kept but read again by each question give the same."""
    expected = _overview(stores / "json", **query)
    monkeypatch.setattr(selected, "IN_MEMORY", 10)

    same(expected, _overview(stores / "mixed", **query))


def test_every_request_is_listed(stores):
    """Without a limit, as for CSV."""
    same(_overview(stores / "json", listed=None), _overview(stores / "mixed", listed=None))


def test_requests_one_by_one(stores):
    """Iteration merges both forms in order of start."""
    assert list(audit.load(stores / "json")) == list(audit.load(stores / "mixed"))


def test_two_places_with_the_same_requests(stores):
    """Each request counts once, however many histories have it."""
    found = audit.load(stores / "parquet", stores / "mixed").overview()

    assert found.total.requests == len(_records())


def _without_place(found):
    return replace(found, provenance=replace(found.provenance, sources=(), files=0, repeated=0))


@pytest.mark.slow
@pytest.mark.parametrize(
    "wanted", ["req_01k00000000000000000000007", "0000000000000009", "f" * 12, "chatcmpl-00000012"]
)
def test_one_request(wanted, stores, monkeypatch):
    """By each of its IDs, or their beginning; its verdict against what is usual."""
    expected = audit.load(stores / "json").request(wanted)

    same(_without_place(expected), _without_place(audit.load(stores / "mixed").request(wanted)))
    monkeypatch.setattr(selected, "IN_MEMORY", 10)
    same(_without_place(expected), _without_place(audit.load(stores / "parquet").request(wanted)))


@pytest.mark.slow
@pytest.mark.parametrize("query", [{}, {"last": 300}, {"models": ("llama",), "where": "duration > 100ms"}], ids=str)
def test_one_request_among_very_many(query, stores, monkeypatch):
    """It is compared with those nearest to it in time."""
    for module in (audit_records, columnar):
        monkeypatch.setattr(module, "NEAREST", 50)
    wanted = list(audit.Records(audit.source_of([stores / "json"]), audit.Query(**query)))[250].span_id
    assert wanted is not None

    expected, *found = (
        _without_place(audit.Records(audit.source_of([stores / form]), audit.Query(**query)).request(wanted))
        for form in ("json", "parquet", "mixed")
    )

    assert expected.provenance.requests in {50, 51}  # one more where two are equally near
    assert expected.provenance.read > 500
    for one in found:
        same(expected, one)
    monkeypatch.setattr(selected, "IN_MEMORY", 10)
    again = audit.Records(audit.source_of([stores / "mixed"]), audit.Query(**query)).request(wanted)
    same(expected, _without_place(again))


@pytest.mark.parametrize("wanted", ["req_01k", "nobody"])
def test_several_requests_or_none(wanted, stores):
    """The same sentence, with the same requests to choose from."""
    said = []
    for form in ("json", "parquet"):
        with pytest.raises(audit.NotFound) as caught:
            audit.load(stores / form).request(wanted)
        said.append(str(caught.value).replace(str(stores / form), "STORE"))
    assert said[0] == said[1]


def test_tool_calls_whose_assembly_was_not_seen(tmp_path):
    """There is nothing to rank."""
    made = full_record()
    calls = tuple(replace(call, assembly_ns=None) for call in made.tool_calls)
    written = [replace(made, tool_calls=calls)]
    history.write(written, tmp_path)
    expected, found = (
        audit.Records(source, audit.Query()).overview()
        for source in (audit.MemorySource(written), audit.source_of([tmp_path]))
    )
    assert expected.tools
    assert [tool.calls for tool in found.tools] == [tool.calls for tool in expected.tools]
    same(expected.tools, found.tools)


def test_numbers_that_no_request_has(tmp_path):
    """One damaged request does not overflow what is calculated for all."""
    written = [*traffic(40), _greatest(full_record()), replace(_greatest(busy_record()), span_id="f" * 16)]
    history.write(written, tmp_path)
    noted = f"SELECT file_name FROM parquet_kv_metadata('{tmp_path}/requests/**') WHERE key = 'groqscope_columns'"
    some = set(duckdb.sql(noted).fetchall())
    assert 0 < len(some) < len(list(tmp_path.glob("requests/**/*.parquet")))  # without those of the damaged requests

    queries: list[dict[str, Any]] = [
        {},
        {"where": "wait > 1s or tool_calls > 3 or usage_deltas > 1 or attempts > 2 or created > '2026-01-01'"},
    ]
    for query in queries:
        expected, found = (
            audit.Records(source, audit.Query(**query)).overview()
            for source in (audit.MemorySource(written), audit.source_of([tmp_path]))
        )
        assert expected.total.requests == found.total.requests
        same(expected.why, found.why)


@pytest.mark.parametrize("older", ["every", "one"])
def test_files_from_before_the_measures(older, tmp_path):
    """What is computed once as requests are stored is computed on reading where a file has none of it."""
    made = [*traffic(60), full_record(), replace(busy_record(), span_id="f" * 16)]
    for half in (made[::2], made[1::2]):
        history.write(half, tmp_path)
    parts = sorted(tmp_path.glob("requests/**/*.parquet"))
    for part in parts if older == "every" else parts[:1]:
        columns = ", ".join(name for name in rows.columns())
        duckdb.execute(f"CREATE OR REPLACE TABLE part AS SELECT {columns} FROM '{part}'")
        duckdb.execute(f"COPY part TO '{part}' (FORMAT parquet, KV_METADATA {{groqscope_record: '1'}})")

    expected, found = (_overview_of(source) for source in (audit.MemorySource(made), audit.source_of([tmp_path])))

    assert len(parts) > 1
    same(expected, found)


def _overview_of(source):
    return audit.overview(audit.Records(source, audit.Query()), why=True)


def _greatest(record):
    """Return a record, or a part of one, whose whole numbers are as great as they are read."""
    changed = {}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if field.name in {"start_unix_ns", "timeline_stride"} or isinstance(value, bool):
            continue
        if isinstance(value, int):
            changed[field.name] = 2**63 - 1
        elif dataclasses.is_dataclass(value):
            changed[field.name] = _greatest(value)
        elif isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
            changed[field.name] = tuple(map(_greatest, value))
    return replace(record, **changed)


@pytest.mark.slow
def test_a_comparison(stores, tmp_path):
    """The same intervals: the same draws, of the same ranks."""
    slower = [replace(r, duration_ns=r.duration_ns * 2, trace_id="a" * 32) for r in traffic(600, seed=3)]
    write_store(tmp_path / "json", slower)
    history.write(audit.load(tmp_path / "json"), str(tmp_path / "parquet"))
    expected = audit.compare(audit.load(stores / "json"), audit.load(tmp_path / "json"))

    for form in ("parquet", "mixed"):
        found = audit.compare(audit.load(stores / form), audit.load(tmp_path / "parquet"))
        same(expected, replace(found, a=expected.a, b=expected.b))
    assert any(row.median.certainty == "slower" for row in expected.rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", ["x'; DROP TABLE requests; --", "$p0", "{0}", "%s", "\\", "\x00", '"', "' OR true OR '"]
)
def test_nothing_is_injected(text, stores, tmp_path):
    """A text of an option, or of a field, is a value."""
    assert "no request" in _refused(stores, model=text) or "none of" in _refused(stores, model=text)
    assert "none of" in _refused(stores, service=text)
    if "'" not in text:
        assert "none of" in _refused(stores, where=f"user = '{text}' or tag.feature ~ '{text}'")
    history.write([replace(r, model=text, user=text, service=text) for r in traffic(30)], str(tmp_path))
    found = audit.load(tmp_path, model=text, service=text).overview()
    assert (found.total.requests, found.models[0].model) == (30, text)


def _refused(stores, **options):
    with pytest.raises(audit.NoRequests) as caught:
        audit.load(stores / "parquet", **options).overview()
    return str(caught.value)


_WISE = ("ΔΕΛΤΑΣ", "δελτας", "δελτασ")  # the last letter of a Greek word differs


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """Requests of models whose names have letters of several cases, in memory and as columns."""
    names = ["İstanbul", "istanbul", *_WISE, "straße", "é", "i̇"]
    written = [replace(r, model=name, span_id=None) for r, name in zip(traffic(len(names)), names, strict=True)]
    folder = tmp_path_factory.mktemp("names")
    history.write(written, folder)
    return written, folder


@pytest.mark.parametrize("text", ["İSTANBUL", "istanbul", *_WISE, "STRASSE", "ß", "É"])
def test_letters_whose_case_differs(text, named):
    """`~` and `model` ignore the case of every letter in the same way, whoever compares."""
    written, folder = named
    queries: list[dict[str, Any]] = [{"models": (text,)}, {"where": f"model ~ '{text}'"}]
    for query in queries:
        expected, found = (
            sorted(str(r.model) for r in audit.Records(source, audit.Query(**query)))
            for source in (audit.MemorySource(written), audit.source_of([folder]))
        )
        totals = [_selected(source, query) for source in (audit.MemorySource(written), audit.source_of([folder]))]
        assert expected == found == totals[0] == totals[1]


def _selected(source, query):
    try:
        found = audit.Records(source, audit.Query(**query)).overview()
    except audit.NoRequests:
        return []
    return sorted(str(model.model) for model in found.models for _ in range(model.requests))


class _Drawn(list):
    def __repr__(self) -> str:
        return f"<{len(self)} records>"  # all of them are 150 kB


@pytest.mark.slow
@settings(
    phases=(Phase.explicit, Phase.generate),  # shrinking takes minutes
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    st.lists(records, max_size=5).map(_Drawn),
    st.integers(0, 200),
    st.integers(0, 2**32),
    st.sampled_from(_QUERIES),
    st.randoms(use_true_random=False),
)
def test_any_records_in_any_form(tmp_path_factory, drawn, count, seed, query, chance):
    """Records of every kind, shared out to both forms by chance."""
    folder = tmp_path_factory.mktemp("any")
    made = [*drawn, *traffic(count, seed)] or list(traffic(1))
    written = [reasonable(record, number, chance) for number, record in enumerate(made)]
    chance.shuffle(written)
    cut = chance.randrange(len(written) + 1)
    history.write(written[:cut], str(folder / "history"))
    answers = []
    selects = audit.Query(since=query.get("since"), until=query.get("until")).in_time
    for source in (audit.MemorySource(filter(selects, written)), _Mixed(folder, written[cut:])):
        budgets = audit.Budgets(map(audit.parse_budget, _BUDGETS), audit.parse_goodput(["ttft:400", "tpot:10"]))
        try:
            answers.append(audit.overview(audit.Records(source, audit.Query(**query)), budgets=budgets, why=True))
        except audit.NoRequests as nothing:
            answers.append(str(nothing).partition(":")[0])
    if isinstance(answers[0], str):
        assert isinstance(answers[1], str)
    else:
        same(*answers)


class _Mixed(audit.FileSource):
    """A history, and requests beside it."""

    def __init__(self, folder, beside) -> None:
        super().__init__([])
        self.column_addresses = (str(folder),)
        self._beside = beside

    def requests(self, report, since, until, **_: object):
        dataset = history.Dataset(self.column_addresses, report)
        dataset.include(
            r
            for r in self._beside
            if (since is None or since <= r.start_unix_ns) and (until is None or r.start_unix_ns < until)
        )
        return dataset


def test_parts_of_an_analysis_ask_together():
    """What each of several parts wants to know next is asked at once, and each gets its own answers."""
    got = []

    def part(name, rounds):
        for number in rounds:
            rows = yield [f"{name}{number}.{place}" for place in range(number)]
            got.append((name, [row for ((row,),) in rows]))

    asking = selected.together(part("a", (1, 2)), part("b", (2,)), part("c", ()), part("d", (0, 1)))
    asked = [list(next(asking))]
    with suppress(StopIteration):
        while True:
            asked.append(list(asking.send([[(question,)] for question in asked[-1]])))

    assert asked == [["a1.0", "b2.0", "b2.1"], ["a2.0", "a2.1", "d1.0"]]
    assert got == [
        ("a", ["a1.0"]),
        ("b", ["b2.0", "b2.1"]),
        ("d", []),
        ("a", ["a2.0", "a2.1"]),
        ("d", ["d1.0"]),
    ]
