"""The audit of a ClickHouse: its engine with the exporter's table, behind its HTTP interface."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, example, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from stack_support.clickhouse import DISTRIBUTED, REQUESTS, TRACES, Server, clickhouse
from stack_support.given import needs
from stack_support.programs import ROOT, collector
from support.full_records import busy_record, full_record
from support.many_runs import DAY, many_traces
from support.records import records
from support.runs import Traces
from support.same import reasonable, same
from support.spans import family_of
from support.traffic import START, traffic
from support.waiting import wait_for

from groqscope import audit
from groqscope.audit import clickhouse_server, clickhouse_traces
from groqscope.audit.clickhouse import ClickHouseSource
from groqscope.cli.app import run
from groqscope.timeline import RequestRecord

pytestmark = needs("CHDB")

QUERIES: tuple[dict[str, Any], ...] = (
    {},
    {"slowest": 7, "by": "queue"},
    {"where": "tool ~ 'WEATHER' or tag.feature = 'search' or ttfot > ttft or error != 'x' and user in ('u1', 'u2')"},
    {"where": "duration > 400ms and not retries > 0 and share.queue > 1%", "models": ("LLAMA", "nothing")},
    {"by": "user", "services": ("worker", "shop")},
    {"last": 40, "slowest": 3, "by": "throughput"},
    {"by": "nested", "since": START + 10**11, "until": START + 4 * 10**11},
)
BUDGETS = (
    "ttfc.p95 < 1s",
    "errors < 1%",
    "goodput > 90%",
    "cost.sum < 1usd where not failed",
    "retries.max < 2 where model ~ 'llama'",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with 600 requests in `otel.otel_traces`, and another library's span."""
    with clickhouse(tmp_path_factory.mktemp("clickhouse")) as up:
        prepare(up, "otel", made())
        up.do(
            "INSERT INTO otel.otel_traces (Timestamp, TraceId, SpanId, SpanName) VALUES (now64(9), 'a', 'b', 'GET /')"
        )
        yield up


def made() -> list[RequestRecord]:
    """Return requests of every kind."""
    some = [replace(record, user=f"u{number % 7}") for number, record in enumerate(traffic(600))]
    return [*some, full_record(), replace(busy_record(), span_id="f" * 16)]


def prepare(server: Server, database: str, written: list[RequestRecord]) -> None:
    """Make a database with requests."""
    server.do(f"DROP DATABASE IF EXISTS {database}")
    server.run(TRACES, database)
    server.run(REQUESTS, database)
    server.insert(f"{database}.otel_traces", written)


def overview(source: audit.Source, **query: Any) -> audit.Audit | str:
    """Return all that an overview can show, or why there is none."""
    budgets = audit.Budgets([*map(audit.parse_budget, BUDGETS)], audit.parse_goodput(["ttft:400", "tpot:10"]))
    try:
        return audit.overview(audit.Records(source, audit.Query(**query)), budgets=budgets, why=True)
    except audit.NoRequests as nothing:
        return str(nothing).partition(":")[0]


def oracle(written: list[RequestRecord], query: dict[str, Any]) -> audit.Source:
    """Return the same requests in memory, those of the time that is asked for."""
    return audit.MemorySource([r for r in written if audit.Query(**query).in_time(r)])


def compare(expected: audit.Audit | str, found: audit.Audit | str) -> None:
    """Compare to the last digit."""
    if isinstance(expected, str) or isinstance(found, str):
        assert isinstance(expected, str)
        assert isinstance(found, str)
    else:
        same(expected, found)


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_the_overview_is_that_of_the_records(server: Server, query: dict[str, Any]):
    """Selection, exact quantiles, phases, verdicts, causes, tools, groups, budgets, goodput and the list."""
    written = made()
    narrowed = {name: value for name, value in query.items() if name in {"since", "until"}}

    compare(
        overview(oracle(written, narrowed), **query),
        overview(audit.source_of([], None, f"{server.address}otel"), **query),
    )


@pytest.mark.parametrize("rest", ["otel", "otel?cluster=groq"])
def test_few_questions(server: Server, rest: str, monkeypatch: pytest.MonkeyPatch):
    """What can be asked at the same time is one question: seven for all that an overview can show, which were 29."""
    asked: list[str] = []
    ask = clickhouse_server.Server.ask

    def counting(self: clickhouse_server.Server, query: str, values: dict[str, Any]) -> list[list[Any]]:
        asked.append(query)
        return ask(self, query, values)

    monkeypatch.setattr(clickhouse_server.Server, "ask", counting)

    assert isinstance(overview(_source(server, rest), by="user", slowest=5, models=("llama",)), audit.Audit)

    assert len(asked) <= 7


def test_the_command(server: Server, capsys: pytest.CaptureFixture[str]):
    """The overview and one request."""
    address = f"{server.address}otel"

    assert run(["audit", "--clickhouse", address, "--slowest", "3"]) == 0
    assert run(["audit", "--clickhouse", address, "req_01k00000000000000000000007"]) == 0
    shown = capsys.readouterr()
    assert "602 requests" in shown.out
    assert "req_01k00000000000000000000007" in shown.out
    assert shown.err == ""


RUNS: tuple[dict[str, Any], ...] = (
    {},
    {"since": START + DAY, "until": START + 2 * DAY},
    {"models": ("llama",), "services": ("worker", "shop"), "by": "tag.feature"},
    {"where": "run.duration > 1s and ttfc > 100ms"},
    {"where": "not (retries = 0 or run.tools > 2) and tag.feature = 'a'"},
    {"where": "run.agent = 'planner' or model ~ 'gpt'", "outcomes": ("completed",)},
)


@pytest.fixture(scope="module")
def ran(server: Server) -> tuple[audit.Source, audit.Source]:
    """The same traces in memory and in a database."""
    made = many_traces(120)
    prepare(server, "ran", [])
    server.insert("ran.otel_traces", [span for trace in made for span in trace])
    return Traces(*sorted(made, key=lambda trace: trace[0].trace_id)), _source(server, "ran")


def list_of(source: audit.Source, query: dict[str, Any], **how: Any) -> audit.RunsAudit:
    """Return the list of runs with budgets; files are read whole, whatever the time."""
    budgets = audit.Budgets([*map(audit.parse_budget, ("run.duration.p95 < 2s", "ttfc.p95 < 1s", "run.failed < 1%"))])
    found = audit.list_runs(audit.trace_source(source), audit.Query(**query), order="slowest", budgets=budgets, **how)
    return replace(found, provenance=replace(found.provenance, read=0))


@pytest.mark.parametrize("query", RUNS, ids=str)
def test_the_runs_are_those_of_the_spans(ran: tuple[audit.Source, audit.Source], query: dict[str, Any]):
    """Selection, findings, quantiles, groups, budgets, and the runs with all their spans."""
    expected, found = (list_of(source, query) for source in ran)

    same(expected, found)


def test_one_run_and_two_sets_of_runs(ran: tuple[audit.Source, audit.Source]):
    """By the ID of its trace or its span, or the beginning of either; runs of two times compared."""
    one = next(entry.run for entry in list_of(ran[0], {}).entries if entry.run.span_id is not None)
    for wanted in (one.trace_id, one.trace_id[:12], one.span_id or "", (one.span_id or "")[:15]):
        expected, found = (audit.one_run(audit.trace_source(source), audit.Query(), wanted) for source in ran)
        same(replace(expected, provenance=found.provenance), found)
        assert found.provenance.read == expected.provenance.read
    with pytest.raises(audit.NotFound, match="no run with the ID 'fffffff0'"):
        audit.one_run(audit.trace_source(ran[1]), audit.Query(), "fffffff0")
    middle = START + 2 * DAY
    expected, found = (
        audit.compare_runs(audit.Records(s, audit.Query(until=middle)), audit.Records(s, audit.Query(since=middle)))
        for s in ran
    )
    same(replace(expected, a=found.a, b=found.b), found)


def test_what_a_trace_repeats_and_many_pages(
    server: Server, ran: tuple[audit.Source, audit.Source], monkeypatch: pytest.MonkeyPatch
):
    """A span that was sent twice counts once, and pages may end in the middle of a trace."""
    for name, size in (("CHOSEN", 7), ("TOGETHER", 5), ("PAGE", 3)):
        monkeypatch.setattr(clickhouse_traces, name, size)
    made = many_traces(40)
    prepare(server, "pages", [])
    for some in (made, made[:10]):
        server.insert("pages.otel_traces", [span for trace in some for span in trace])

    found = list_of(_source(server, "pages"), {})

    expected = list_of(Traces(*made), {})
    same(replace(expected, provenance=replace(found.provenance)), found)
    assert found.provenance.repeated > 0


def test_each_shard_has_a_part_of_the_spans(server: Server, ran: tuple[audit.Source, audit.Source]):
    """Both shards are this server, so that every span comes twice, and counts once."""
    expected, found = list_of(ran[0], RUNS[1]), list_of(_source(server, "ran?cluster=groq"), RUNS[1])

    same(replace(expected, provenance=found.provenance), found)


def test_several_processes_read_a_share_each(ran: tuple[audit.Source, audit.Source]):
    """Each asks for its own traces."""
    source = ran[1]
    assert isinstance(source, ClickHouseSource)
    found = [
        {trace[0].trace_id for trace in share.traces(audit.ReadReport(), since=None, until=None)}
        for share in source.shares(3)
    ]

    assert all(found)
    assert sum(map(len, found)) == len(set().union(*found)) == 120
    assert source.requests_about() > 120


def test_every_question_by_the_command(server: Server, ran: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """What the local store is asked, a ClickHouse can be asked, in each form of output."""
    address = f"{server.address}ran"
    page = tmp_path / "page.html"
    for asked, expected in (
        (["--why"], "slow"),
        (["--by", "tag.feature"], "feature"),
        (["--tools"], "requests"),
        (["--slowest", "3", "--by", "queue"], "requests"),
        (["--budget", "ttfc.p95<10s", "--budget", "run.duration.p95<1h", "--goodput", "ttft:400"], "goodput"),
        (["--runs"], "runs"),
        (["--runs", "--why"], "runs"),
        (["--runs", "--where", "run.agent = 'planner' and ttfc > 1ms", "--order", "dearest"], "runs"),
        (["--runs", "--budget", "run.duration.p95<1h"], "run.duration"),
        (["--runs", "--json"], '"runs"'),
        (["--runs", "--csv"], "trace_id"),
        (["--runs", "--markdown"], "|"),
        (["--runs", "--html", str(page)], ""),
        (["--json"], '"models"'),
        (["--csv"], "trace_id"),
        (["--compare", "2026-09-01..2026-09-23", "2026-09-23.."], "change"),
        (["--runs", "--compare", "2026-09-01..2026-09-23", "2026-09-23.."], "change"),
    ):
        status = run(["audit", "--clickhouse", address, *asked])
        shown = capsys.readouterr()
        assert (status, shown.err) == (0, f"wrote {page}\n" if "--html" in asked else ""), asked
        assert expected in shown.out, asked
    trace_id = server.do("SELECT TraceId FROM ran.otel_traces WHERE SpanName = 'turn' LIMIT 1").strip()
    assert run(["audit", "--clickhouse", address, trace_id]) == 0
    assert "turn" in capsys.readouterr().out
    assert run(["audit", "--clickhouse", address, "--compare", "yesterday", "today"]) == 2
    assert "with --clickhouse or --tempo write two, FROM..TO as in --since" in capsys.readouterr().err


def test_every_record_comes_back_as_it_was(server: Server):
    """What is a text in the exporter's table has its type again; pages follow each other in order of start."""
    found = list(audit.load(clickhouse=f"{server.address}otel"))

    assert found == sorted(made(), key=lambda record: record.start_unix_ns)


def test_one_request_and_a_comparison(server: Server):
    """`audit ID` by the beginning of an ID, against what is usual; two times of one table compared."""
    written = made()
    wanted = "req_01k00000000000000000000007"
    middle = START + 3 * 10**11
    here, there = (audit.Records(s, audit.Query()) for s in (oracle(written, {}), _source(server)))
    sides = [
        [audit.Records(source, audit.Query(until=middle)), audit.Records(source, audit.Query(since=middle))]
        for source in (audit.MemorySource(written), _source(server))
    ]

    expected, found = here.request(wanted), there.request(wanted)
    same(replace(expected, provenance=found.provenance), found)
    with pytest.raises(audit.NotFound, match="no request with the ID 'nobody'"):
        there.request("nobody")
    expected, found = (audit.compare(*side) for side in sides)
    same(replace(expected, a=found.a, b=found.b), found)


def _source(server: Server, rest: str = "otel") -> audit.Source:
    return audit.source_of([], None, server.address + rest)


def storable(record: RequestRecord) -> RequestRecord:
    """Return a record as it can come from ClickHouse: it has no empty service, and calculates in 64 bits."""
    return replace(
        record,
        service=record.service or None,
        usage=replace(record.usage, output_tokens=_of_32_bits(record.usage.output_tokens)),
        generation_chunks=_of_32_bits(record.generation_chunks),
    )


def _of_32_bits(number: int | None) -> int | None:
    return None if number is None else number % 2**31


@settings(
    phases=(Phase.explicit, Phase.generate),
    deadline=None,
    max_examples=8,  # of some seconds each
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(
    st.lists(records.map(storable), max_size=5),
    st.integers(1, 200),
    st.integers(0, 2**32),
    st.sampled_from(QUERIES),
    st.randoms(use_true_random=False),
)
def test_any_records(
    server: Server, drawn: list[RequestRecord], count: int, seed: int, query: dict[str, Any], chance: Any
):
    """Records of every kind, as the exporter writes them."""
    written = [reasonable(record, number, chance) for number, record in enumerate([*drawn, *traffic(count, seed)])]
    prepare(server, "drawn", written)
    narrowed = {name: value for name, value in query.items() if name in {"since", "until"}}

    compare(overview(oracle(written, narrowed), **query), overview(_source(server, "drawn"), **query))


def test_what_the_exporter_repeats_counts_once(server: Server):
    """An exporter that was not sure sends again; the report says how many were repeats."""
    written = made()[:50]
    prepare(server, "twice", [*written, *written[:20]])

    found = overview(_source(server, "twice"))

    assert isinstance(found, audit.Audit)
    assert (found.total.requests, found.provenance.repeated) == (50, 20)
    compare(overview(oracle(written, {})), replace(found, provenance=replace(found.provenance, repeated=0)))


def test_each_shard_of_a_cluster_counts_its_own(server: Server):
    """Shards send counts, not rows: both of these are this server, so that each request is there twice."""
    written = made()
    once = overview(oracle(written, {}))

    found = overview(_source(server, "otel?cluster=groq"))

    assert isinstance(once, audit.Audit)
    assert isinstance(found, audit.Audit)
    assert found.total.requests == 2 * once.total.requests
    assert found.total.errors == 2 * once.total.errors
    assert found.total.duration.max == once.total.duration.max
    assert [m.model for m in found.models] == [m.model for m in once.models]
    assert found.total.cost == pytest.approx(2 * once.total.cost)


def test_collectors_write_by_a_distributed_table(server: Server):
    """The table over the shards takes what the exporter sends, and the shards' tables compute the columns."""
    server.do("DROP DATABASE IF EXISTS spread")
    server.run(TRACES, "spread")
    server.run(DISTRIBUTED.replace("groq, otel,", "groq, spread,"), "spread")
    server.run(REQUESTS, "spread")
    written = made()[:50]
    server.insert("spread.otel_traces_all", written)
    server.do("SYSTEM FLUSH DISTRIBUTED spread.otel_traces_all")

    compare(overview(oracle(written, {})), overview(_source(server, "spread")))


@needs("OTELCOL")
def test_the_collector_writes_what_the_audit_asks(server: Server, tmp_path: Path):
    """Through the real exporter, by its own table: with columns that are added before and after rows come."""
    layer = (ROOT / "stack/scale/collector-clickhouse.yaml").read_text(encoding="utf-8")
    (tmp_path / "layer.yaml").write_text(layer.replace("database: otel", "database: sent"), encoding="utf-8")
    written = [replace(r, trace_id=f"{n + 1:032x}", span_id=f"{n + 1:016x}") for n, r in enumerate(traffic(60))]
    # The driver reads blocks as they come over ClickHouse's own protocol, so that nothing is compressed here.
    environment = {
        "CLICKHOUSE_ENDPOINT": server.address,
        "CLICKHOUSE_USER": "default",
        "CLICKHOUSE_PASSWORD": "",
    }
    quick = {"exporters": {"clickhouse": {"compress": "none", "sending_queue": {"batch": {"flush_timeout": "200ms"}}}}}
    with collector(tmp_path / "collector", str(tmp_path / "layer.yaml"), quick, environment=environment) as up:
        for half in (written[:30], written[30:]):
            before = int(
                server.do("SELECT count() FROM sent.otel_traces WHERE SpanAttributes['groqscope.record'] = '1'")
            )
            spans = [span for record in half for span in family_of(record)]
            up.post("traces", encode_spans(spans).SerializeToString())
            wait_for(
                lambda before=before: (
                    int(
                        server.do("SELECT count() FROM sent.otel_traces WHERE SpanAttributes['groqscope.record'] = '1'")
                    )
                    == before + 30
                ),
                "the rows are there",
                seconds=60,
            )
            if half[0] is written[0]:
                server.run(REQUESTS, "sent")

    described = [
        server.do(f"SELECT name, type FROM system.columns WHERE database = '{one}' AND table = 'otel_traces'")
        for one in ("otel", "sent")
    ]
    assert described[0] == described[1]
    compare(overview(oracle(written, {})), overview(_source(server, "sent")))


ODD = (
    "x'; DROP TABLE otel.otel_traces; --",
    "{p0:String}$q0",
    "\\'\t\n\\",
    "\\N",
    "' OR true OR '",
    "\0",
    '"',
    "/*",
    "`",
    "ß%_𝄞",
)


@settings(
    phases=(Phase.explicit, Phase.generate),
    deadline=None,
    max_examples=3,  # of some seconds each
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(st.lists(st.sampled_from(ODD) | st.text(min_size=1, max_size=8), min_size=2, max_size=4).map("".join))
@example("".join(ODD))
@example("".join(ODD).replace('"', ""))
def test_nothing_is_injected(server: Server, text: str):
    """A text of an option, a condition, a budget, an ID or a field is a value, whatever is in it."""
    assume(text.isascii() or text.isprintable())
    mark = "'" if '"' in text else '"'
    quoted = f"{mark}{text}{mark}"
    made = [replace(r, model=text, user=text, service=text, tags=((text, text),)) for r in traffic(10)]
    written = [*made, *traffic(5, 1)]
    for number, record in enumerate(written):
        written[number] = replace(record, trace_id=f"{number + 1:032x}", span_id=f"{number + 1:016x}")
    prepare(server, "strange", written)
    source = _source(server, "strange")
    queries: list[dict[str, Any]] = [{"models": (text,), "services": (text,), "by": f"tag.{text}"}]
    with suppress(audit.AuditError):  # a text that cannot be written in an expression
        where = f"user = {quoted} or model ~ {quoted} or tags ~ {quoted}"
        audit.Query(where=where).predicate()
        queries.append({"where": where})
    for query in queries:
        with suppress(audit.AuditError):  # a name that no tag can have
            audit.Query(**query)
            compare(overview(oracle(written, query), **query), overview(source, **query))
    for wanted in (f"none{text}", text * 4):
        for ask in (
            audit.Records(source, audit.Query()).request,
            partial(audit.one_run, audit.trace_source(source), audit.Query()),
        ):
            with pytest.raises(audit.NotFound):
                ask(wanted)
    assert server.do("SELECT count() FROM strange.otel_traces").strip() == str(len(written))


def test_a_newer_form_and_a_missing_table(server: Server):
    """What is wrong at which address, and what to do."""
    written = made()[:20]
    prepare(server, "newer", written)
    server.do(
        "INSERT INTO newer.otel_traces (Timestamp, TraceId, SpanId, SpanAttributes) "
        "VALUES (now64(9), 'a', 'b', {'groqscope.record': '2'})"
    )
    found = overview(_source(server, "newer"))
    assert isinstance(found, audit.Audit)
    assert found.total.requests == 20
    assert "1 requests were written by a newer groqscope: update groqscope" in found.provenance.warnings[0]
    server.do("CREATE DATABASE IF NOT EXISTS bare")
    with pytest.raises(audit.SourceError, match=r"ClickHouse at http://.*/bare\.otel_traces: there is no such table"):
        overview(_source(server, "bare"))
    server.run(TRACES, "bare")
    with pytest.raises(audit.SourceError, match=r"the table lacks a column: stack/scale/clickhouse/requests\.sql"):
        overview(_source(server, "bare"))
    with pytest.raises(audit.SourceError, match="there is no such database"):
        overview(_source(server, "nowhere"))
    with pytest.raises(audit.SourceError, match="there is no such cluster"):
        overview(_source(server, "otel?cluster=other"))
