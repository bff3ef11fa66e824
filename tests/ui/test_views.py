"""What the views show is what `groqscope audit` prints of the same requests."""

import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.datastructures import QueryParams
from support.files import write_store
from support.report_samples import SAMPLES, broken, many, queued, retried, streamed, stretched
from support.run_samples import slow_answer
from support.runs import write_traces
from support.ui import numbered
from support.waiting import wait_for

from groqscope.audit import AuditError, NotFound, Query, Records, compare, one_request, overview, source_of
from groqscope.audit.reports import HtmlRenderer
from groqscope.audit.reports.json import to_data
from groqscope.cli.app import run
from groqscope.history import compact
from groqscope.ui.collection import CollectedSource
from groqscope.ui.parameters import Asked, Page, asked, command, page
from groqscope.ui.views import Views

Collect = Callable[..., Any]
NAMES = sorted(set(SAMPLES) - {"empty"})

requests = st.lists(
    st.tuples(st.sampled_from(NAMES), st.floats(0.2, 5), st.integers(0, 3_000)), min_size=1, max_size=25
).map(
    lambda drawn: numbered(
        stretched(SAMPLES[name](), factor, service=f"service {number % 3}") for name, factor, number in drawn
    )
)
WHERE = ("", "failed", "ttfc > 100ms and not failed", "retries > 0 or outcome = 'abandoned'", "cost = none")


@pytest.mark.slow
@given(records=requests, where=st.sampled_from(WHERE), by=st.sampled_from(["", "service"]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_numbers_are_those_of_the_command_line(
    records: list[Any], where: str, by: str, collect: Collect, tmp_path_factory: Any, capsys: Any
) -> None:
    """For any store and selection the export is what `--json` prints; memory gives the same as the files."""
    directory = tmp_path_factory.mktemp("store")
    views = Views(collect(directory, records))
    selection = Asked(where=where, by=by)
    options = [*(["--where", where] if where else []), *(["--by", by] if by else [])]
    status = run(["audit", str(directory), "--json", *options])
    printed = capsys.readouterr().out
    if status:
        with pytest.raises(AuditError):
            views.overview(selection)
        return

    assert json.loads(views.export("overview", "json", {"asked": selection})) == json.loads(printed)

    query = selection.query()
    ours = overview(Records(CollectedSource(views.collection), query), listed=1000, why=True, timelines=False)
    theirs = overview(Records(source_of([directory]), query), listed=1000, why=True, timelines=False)

    assert to_data(ours) == to_data(theirs)
    assert views.requests(selection, Page())["total"] == theirs.total.requests
    assert sum(views.density(selection, Page())["all"]) == theirs.total.requests
    assert views.groups(selection)["html"] == ("" if theirs.groups is None else HtmlRenderer().fragment(theirs.groups))


def printed(capsys: Any, *arguments: str) -> Any:
    """Return what the command prints as JSON, or the exit status and what it says."""
    status = run(["audit", *arguments, "--json"])
    out, said = capsys.readouterr()
    return json.loads(out) if not status else said.strip()


@pytest.mark.slow
@given(records=requests, where=st.sampled_from(WHERE[:4]), chosen=st.integers(0, 24), runs=st.integers(0, 3))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_page_has_the_numbers_of_the_command_line(
    records: list[Any], where: str, chosen: int, runs: int, collect: Collect, tmp_path_factory: Any, capsys: Any
) -> None:
    """Of any store: causes, comparison, runs, a run and a request are what the command prints, or it says the same."""
    directory = tmp_path_factory.mktemp("store")
    write_traces(
        directory, [slow_answer(f"{number:032x}", after=number * 10_000) for number in range(1000, 1000 + runs)]
    )
    views = Views(collect(directory, records))
    selection, options = Asked(where=where), ["--where", where] if where else []
    one = records[chosen % len(records)]

    def shown(kind: str, **given: Any) -> Any:
        try:
            return json.loads(views.export(kind, "json", given))
        except AuditError as error:
            return f"groqscope: {error}"

    assert shown("why", asked=selection) == printed(capsys, str(directory), "--why", *options)
    assert shown("runs", asked=Asked(), order="slowest") == printed(
        capsys, str(directory), "--runs", "--order", "slowest"
    )
    for kind, wanted, more in (("request", one.request_id, ()), ("run", one.trace_id, ("--runs",))):
        assert shown(kind, id=wanted) == printed(capsys, str(directory), wanted, *more)

    sides = [Asked(services=(name,), where=where) for name in ("service 0", "service 1")]
    a, b = (Records(source_of([directory]), side.query()) for side in sides)
    try:
        expected = to_data(compare(a, b))
    except AuditError as error:
        expected = f"groqscope: {error}"

    assert shown("compare", a=sides[0], b=sides[1]) == expected


def test_a_request_is_that_of_the_command_line(collect: Collect, tmp_path: Path) -> None:
    """Verdict, waterfall, figures and export of one request are those of `groqscope audit ID`."""
    records = numbered([*many(60), retried()])
    views = Views(collect(tmp_path, records))
    wanted = records[-1].request_id or ""
    expected = one_request(Records(source_of([tmp_path]), Query()), wanted)
    shown = views.request(wanted)

    assert shown["verdict"] == expected.verdict.sentence
    assert [cause[1] for cause in shown["causes"]] == [cause.advice for cause in expected.verdict.causes]
    assert shown["density"]
    assert dict(shown["attributes"])["gen_ai.request.model"] == records[-1].model
    exported = json.loads(views.export("request", "json", {"id": wanted}))

    assert exported["record"] == to_data(expected)["record"]
    assert exported["verdict"] == to_data(expected)["verdict"]
    assert exported["usual"] == to_data(expected)["usual"]


def test_content_is_shown_only_if_it_was_recorded(collect: Collect, tmp_path: Path) -> None:
    """It stands apart from the other attributes."""
    record = numbered([streamed()])[0]
    views = Views(collect(tmp_path, [record]))

    assert views.request(record.request_id or "")["content"] == []

    file = next(tmp_path.glob("traces-*"))
    said = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "hello <b>"}]}])
    document = json.loads(file.read_text())
    span = document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    span["attributes"].append({"key": "gen_ai.input.messages", "value": {"stringValue": said}})
    file.write_text(json.dumps(document) + "\n")
    shown = views.request(record.request_id or "")

    assert [name for name, _ in shown["content"]] == ["gen_ai.input.messages"]
    assert "hello <b>" in shown["content"][0][1]
    assert "gen_ai.input.messages" not in dict(shown["attributes"])


def test_list(collect: Collect, tmp_path: Path) -> None:
    """The list is sorted by any column or field, unknown values last; it is searched, and comes in parts."""
    records = numbered([streamed(), retried(), SAMPLES["broken"](), SAMPLES["tool_calls"]()])
    views = Views(collect(tmp_path, records))

    def ids(**given: Any) -> list[str]:
        return [row["id"][-1] for row in views.requests(Asked(), Page(**given))["requests"]]

    assert ids() == ["4", "3", "2", "1"]
    assert ids(descending=False) == ["1", "2", "3", "4"]
    assert ids(sort="total")[0] == "2"
    assert ids(sort="cost", descending=False)[-1] == ids(sort="cost")[-1] == "3"
    assert ids(offset=1, limit=2) == ["3", "2"]
    assert ids(search="GET_weather oss") == ["4"]
    assert ids(search="nothing of the kind") == []
    assert ids(sort="model") == ids(sort="model", descending=False)[::-1]
    with pytest.raises(AuditError, match=r"sorted by one of time, model, .*, not by 'nonsense'"):
        ids(sort="nonsense")


def test_a_list_stays_what_it_was(collect: Collect, tmp_path: Path) -> None:
    """Later parts of a list are of the same requests, whatever arrives meanwhile; a new list has all."""
    views = Views(collect(tmp_path, numbered(many(12))))
    whole = views.requests(Asked(), Page())
    begun = {"upto": whole["upto"], "at": whole["at"]}
    write_store(tmp_path, numbered(many(3), start=70, ago_ns=0))
    wait_for(lambda: views.collection.total == 15)
    part = views.requests(Asked(), Page(offset=4, limit=3, **begun))

    assert part["total"] == 12
    assert part["requests"] == whole["requests"][4:7]
    assert views.requests(Asked(where="duration > 0"), Page(**begun))["total"] == 12
    assert views.requests(Asked(where="duration > 0"), Page())["total"] == 15


@pytest.mark.parametrize("written", ["csv", "json", "html"])
def test_an_export_is_what_is_shown(collect: Collect, tmp_path: Path, written: str) -> None:
    """A list's export has the requests of its search and condition, in its order, and says so."""
    views = Views(collect(tmp_path, numbered([*many(60), retried(), broken()])))
    selection, shown = Asked(where="not failed"), Page(search="oss", sort="total", limit=500)
    ids = [row["id"] for row in views.requests(selection, shown)["requests"]]
    text = views.export("requests", written, {"asked": selection, "page": shown})

    assert 2 < len(ids) < 60
    if written == "json":
        data = json.loads(text)

        assert [entry["record"]["request_id"] for entry in data["entries"]] == ids
        assert data["total"]["requests"] == data["provenance"]["requests"] == len(ids)
        assert data["provenance"]["selection"]["words"] == ["where not failed", "search oss"]
        assert data["entries"][0]["record"]["timeline_us"]
    elif written == "csv":
        assert list(dict.fromkeys(re.findall(r"req_\d{26}", text))) == ids
    else:
        assert "Sorted requests by total, descending" in text
        assert list(dict.fromkeys(re.findall(r"req_\d{26}", text))) == ids


def test_list_of_a_cause(collect: Collect, tmp_path: Path) -> None:
    """A cause leads to the slow requests in which it was named."""
    usual = [replace(streamed(), duration_ns=10**9) for _ in range(20)]
    views = Views(collect(tmp_path, numbered([*usual, queued(), retried()])))
    cause = views.why(Asked())["causes"]
    found = views.requests(Asked(), Page(cause="queue"))

    assert "queue" in cause
    assert {row["id"] for row in found["requests"]} == set(cause["queue"])
    exported = json.loads(views.export("requests", "json", {"asked": Asked(), "page": Page(cause="queue")}))

    assert {entry["record"]["request_id"] for entry in exported["entries"]} == set(cause["queue"])
    assert exported["provenance"]["selection"]["words"] == ["slow by queue"]


def test_ids(collect: Collect, tmp_path: Path) -> None:
    """A request is found by the beginning of any of its IDs; too short, unknown or ambiguous is a sentence."""
    views = Views(collect(tmp_path, numbered(many(12))))

    assert views.request(f"{7:016x}")["id"].endswith("07")
    with pytest.raises(NotFound, match="too short"):
        views.request("req")
    with pytest.raises(NotFound, match="12 requests have the ID 'req_00000'"):
        views.request("req_00000")
    with pytest.raises(NotFound, match="no request with the ID 'nobody' among the 12 known"):
        views.request("nobody")


def test_a_new_request_is_in_every_view(collect: Collect, tmp_path: Path) -> None:
    """Results that were computed before are not shown after something was added."""
    views = Views(collect(tmp_path, numbered(many(6))))
    before = views.overview(Asked()), views.requests(Asked(), Page())["total"]
    write_store(tmp_path, numbered(many(2), start=70, ago_ns=0))
    wait_for(lambda: views.collection.total == 8)

    assert views.overview(Asked()) != before[0]
    assert views.requests(Asked(), Page())["total"] == before[1] + 2 == 8


def test_compare(collect: Collect, tmp_path: Path) -> None:
    """Two services are compared as the command line compares two files."""
    calm = [replace(record, service="calm") for record in many(60)]
    slow = [replace(stretched(record, 1.5), service="slow") for record in many(60)]
    views = Views(collect(tmp_path, numbered([*calm, *slow])))
    shown = views.compare(Asked(services=("calm",)), Asked(services=("slow",)))

    assert "slower" in shown["html"]
    assert "service calm" in " ".join(shown["sides"][0])


def test_compare_models(collect: Collect, tmp_path: Path) -> None:
    """Two models are compared though their names differ."""
    old = [replace(record, model="old") for record in many(60)]
    new = [replace(stretched(record, 0.5), model="new") for record in many(60)]
    views = Views(collect(tmp_path, numbered([*old, *new])))
    shown = views.compare(Asked(models=("old",)), Asked(models=("new",)))

    assert "new instead of old is faster: duration median -50%" in shown["html"]
    assert "only in" not in shown["html"]


def test_live(collect: Collect, tmp_path: Path) -> None:
    """The live view has the figures of the last minutes, the newest first, and what is left of the limits."""
    views = Views(collect(tmp_path, numbered(many(30), ago_ns=10**9)))
    shown = views.live("15m")
    tiles = {label: (value, more) for label, value, more, _ in shown["tiles"]}

    assert tiles["requests/s"] == ("0.0", "30 requests")
    assert tiles["in flight"] == ("-", "not reported")
    assert sum(row[1] for row in shown["buckets"]) == 30
    assert shown["list"]["requests"][0]["id"].endswith("30")
    assert shown["limits"]
    with pytest.raises(AuditError, match="there is no window"):
        views.live("1y")


@pytest.mark.parametrize(
    ("number", "ago", "shown"),
    [(3, 40, ("3", "reported 40 s ago")), (0, 2, ("0", "reported 2 s ago")), (0, 40, ("-", "0 reported 40 s ago"))],
)
def test_in_flight(collect: Collect, tmp_path: Path, number: int, ago: int, shown: tuple[str, str]) -> None:
    """The number is shown with its age; a 0 that later requests contradict is not shown."""
    now = int(time.time())
    point = {"asInt": str(number), "timeUnixNano": str((now - ago) * 10**9)}
    metric = {"name": "groqscope.requests.active", "sum": {"dataPoints": [point]}}
    said = {"resourceMetrics": [{"resource": {}, "scopeMetrics": [{"metrics": [metric]}]}]}
    record = replace(numbered([streamed()])[0], start_unix_ns=(now - 11) * 10**9, duration_ns=10**9)
    views = Views(collect(tmp_path, [record]))
    (tmp_path / "metrics-1.jsonl").write_text(json.dumps(said) + "\n")
    wait_for(views.collection.active.now)

    assert views.in_flight(now) == shown


def test_addresses() -> None:
    """An address has the options of the command, and the command is shown."""
    given = asked(QueryParams("since=1h&model=llama&model=qwen&where=ttfc+%3E+1s&by=service&b.since=2h"))

    assert given == Asked(since="1h", models=("llama", "qwen"), where="ttfc > 1s", by="service")
    assert command(given) == "groqscope audit --since 1h --model llama --model qwen --where 'ttfc > 1s' --by service"
    assert asked(QueryParams("since=1h&b.since=2h"), "b.") == Asked(since="2h")
    assert page(QueryParams("sort=cost&order=asc&offset=3&limit=9999")) == Page(
        sort="cost", descending=False, offset=3, limit=500
    )
    with pytest.raises(AuditError, match="offset 'x' is not a number"):
        page(QueryParams("offset=x"))
    with pytest.raises(AuditError, match="where is too long"):
        asked(QueryParams({"where": "x" * 3000}))


def summed(data: Any) -> Any:
    """Return data whose numbers do not tell in which order they were summed: by an engine, in any."""
    if isinstance(data, dict):
        return {name: summed(value) for name, value in data.items()}
    if isinstance(data, list):
        return [summed(value) for value in data]
    return float(f"{data:.12g}") if isinstance(data, float) else data


@pytest.mark.parametrize("kept", [1_000, 40])
def test_a_compacted_store(collect: Collect, tmp_path: Path, capsys: Any, kept: int) -> None:
    """Of a store of Parquet and of lines, every view has what the command prints, however much is at hand."""
    records = numbered(many(90))
    write_store(tmp_path, records[:60])
    compact(tmp_path, now_ns=time.time_ns() + 10**15)
    views = Views(collect(tmp_path, records[60:], kept=kept))

    assert views.collection.path.joinpath("history").is_dir()
    assert 0.9 * min(kept, 90) <= views.requests(Asked(), Page())["total"] <= min(kept, 90)
    for selection, options in (
        (Asked(), []),
        (Asked(where="not failed", by="model"), ["--where", "not failed", "--by", "model"]),
    ):
        expected = printed(capsys, str(tmp_path), *options)

        assert summed(json.loads(views.export("overview", "json", {"asked": selection}))) == summed(expected)
        assert expected["sentence"] in unescape(views.overview(selection)["html"])

    wanted = records[3].request_id or ""
    shown, expected = (
        json.loads(views.export("request", "json", {"id": wanted})),
        printed(capsys, str(tmp_path), wanted),
    )

    assert shown["record"] == expected["record"]
    assert shown["verdict"] == expected["verdict"]


def test_a_store_that_is_compacted_meanwhile(collect: Collect, tmp_path: Path) -> None:
    """What becomes Parquet while the page is open is there once, in lists and in what reaches back further."""
    records = numbered(many(60))
    views = Views(collect(tmp_path, records, kept=20))
    compact(tmp_path, now_ns=time.time_ns() + 10**15)
    write_store(tmp_path, numbered(many(2), start=100, ago_ns=0))
    wait_for(lambda: views.collection.total == 62)

    assert views.groups(Asked(by="model", where="duration >= 0"))["html"].count("62")
