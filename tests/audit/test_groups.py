"""`--by`: requests and runs by what they have in common, with sums that equal the total."""

import csv
import io
import json
import pickle
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.runs import request, span, write_traces
from support.traffic import traffic

from groqscope.audit import MemorySource, Query, Records, overview
from groqscope.audit.errors import AuditError
from groqscope.audit.fields import find, groupable
from groqscope.audit.groups import MAX_GROUPS, Grouping
from groqscope.audit.model import Groups
from groqscope.audit.reports import (
    CsvRenderer,
    HtmlRenderer,
    JsonRenderer,
    Look,
    MarkdownRenderer,
    TerminalRenderer,
    unit_of,
)
from groqscope.audit.reports.tables import groups, short_ids
from groqscope.audit.table import RecordTable
from groqscope.cli.app import run
from groqscope.runs import runs_of
from groqscope.store import store_directory
from groqscope.timeline import RequestRecord, Usage

COUNTS = ("runs", "requests", "errors", "retries", "input_tokens", "cached_tokens", "output_tokens", "cost_unknown")


def tagged(number: int, feature: str | None, *, tokens: int | None = None, cost: float | None = None) -> RequestRecord:
    return RequestRecord(
        trace_id=f"{number:032x}",
        span_id=f"{number:016x}",
        start_unix_ns=number + 1,
        duration_ns=1_000 + number,
        model="a" if number % 2 else "b",
        user=f"u{number % 3}",
        tags=() if feature is None else (("feature", feature),),
        usage=Usage(input_tokens=tokens, output_tokens=tokens),
        cost=cost,
        outcome="completed",
    )


def grouped(records, by: str) -> Groups:
    groups = overview(Records(MemorySource(records), Query(by=by)), why=False).groups
    assert groups is not None
    return groups


def summed(groups: Groups, name: str) -> float:
    every = [*groups.groups, *([groups.others] if groups.others is not None else [])]
    return sum(getattr(group, name) or 0 for group in every)


RECORDS = st.lists(
    st.builds(
        tagged,
        st.integers(0, 10**6),
        st.none() | st.sampled_from(["search", "chat", ""]),
        tokens=st.none() | st.integers(0, 10**6),
        cost=st.none() | st.floats(0, 1e3),
    ),
    min_size=1,
    unique_by=lambda record: record.span_id,
)


@pytest.mark.parametrize("by", ["tag.feature", "user", "model", "agent", "failed"])
@given(records=RECORDS)
def test_the_sums_equal_the_total(by, records):
    """Every request is in exactly one group."""
    groups = grouped(records, by)

    for name in COUNTS:
        assert summed(groups, name) == getattr(groups.total, name)
    assert summed(groups, "cost") == pytest.approx(groups.total.cost or 0, abs=1e-9)
    assert groups.total.requests == len(records)
    assert groups.total.cost == pytest.approx(sum(r.cost for r in records if r.cost is not None)) or all(
        r.cost is None for r in records
    )
    assert sum(group.duration.n for group in groups.groups) == len(records)


def test_the_dearest_first():
    """Groups are listed by cost; a request without the tag is in the group without a value."""
    records = [
        tagged(1, "search", cost=0.1),
        tagged(2, "chat", cost=0.5),
        tagged(3, "search", cost=0.2),
        tagged(4, None),
    ]

    groups = grouped(records, "tag.feature").groups

    assert [(g.value, g.requests) for g in groups] == [("chat", 1), ("search", 2), (None, 1)]
    assert all((a.cost or 0) >= (b.cost or 0) for a, b in pairwise(groups))
    assert groups[2].cost is None


def test_values_without_end():
    """Beyond 10,000 values the rest share one group, and the sums still equal the total."""
    records = [
        replace(tagged(number, None, tokens=1, cost=0.001), user=f"u{number}") for number in range(MAX_GROUPS + 7)
    ]

    groups = grouped(records, "user")

    assert len(groups.groups) == MAX_GROUPS
    assert groups.others is not None
    assert groups.others.requests == 7
    assert summed(groups, "input_tokens") == groups.total.input_tokens == MAX_GROUPS + 7


def test_counted_in_several_processes():
    """What another process counted arrives, and adds up to the same."""
    records = [tagged(number, "search" if number % 2 else None, tokens=3, cost=0.001) for number in range(9)]
    here, there = Grouping(find("tag.feature")), Grouping(find("tag.feature"))
    for number, record in enumerate(records):
        (here if number < 4 else there).add(RecordTable([record]))

    here.merge(pickle.loads(pickle.dumps(there)))

    assert here.result() == grouped(records, "tag.feature")


def agent(number: int, feature: str, requests: int):
    top = f"{number:015x}a"
    spans = [span(top, 1_000, 3_000, attributes={"groqscope.run": "answer", "groqscope.tag.feature": feature})]
    for index in range(requests):
        made = request(f"{number:014x}b{index}", 1_000 + 100 * index, top, receive=100, tokens=10)
        assert made.record is not None
        spans.append(replace(made, record=replace(made.record, cost=0.01, model="ab"[index % 2])))
    return [replace(one, trace_id=f"{number + 1:032x}") for one in spans]


def test_runs():
    """Runs are grouped by their own values; by those of their requests where a run has none."""
    grouping, by_model = Grouping(find("tag.feature")), Grouping(find("model"))
    for number, (feature, requests) in enumerate([("search", 2), ("chat", 1), ("search", 1)]):
        for one in runs_of(agent(number, feature, requests)):
            grouping.add_run(one)
            by_model.add_run(one)

    groups = grouping.result()
    assert [(g.value, g.runs, g.requests, g.cost) for g in groups.groups] == [
        ("search", 2, 3, 0.03),
        ("chat", 1, 1, 0.01),
    ]
    assert [(g.value, g.runs) for g in by_model.result().groups] == [("a", 2), ("a, b", 1)]
    assert groups.groups[0].duration.max == 2_000 * 10**6


@pytest.mark.parametrize(("by", "why"), [("tags", "a list of texts"), ("start", "a time"), ("tag", "unknown field")])
def test_what_cannot_be_grouped_by(by, why):
    """A request is in one group, so there is none by what has several values."""
    with pytest.raises(AuditError, match=why):
        Query(by=by)


def test_slowest_of_a_grouping():
    """With `--slowest`, a text groups, and the duration sorts."""
    audit = overview(Records(MemorySource(traffic(30)), Query(by="model", slowest=2)))

    assert audit.groups is not None
    assert len(audit.entries) == 2
    assert audit.provenance.selection.by == "duration"


@pytest.mark.parametrize("runs", [True, False])
def test_every_report(runs, capsys):
    """The command shows the groups in each form, and only them in the terminal and as CSV."""
    write_traces(store_directory(), [agent(0, "search", 2), agent(1, "<b>chat", 1)])
    arguments = ["audit", *(["--runs"] if runs else []), "--by", "tag.feature" if runs else "model"]

    def out(*more: str) -> str:
        assert run([*arguments, *more]) == 0
        return capsys.readouterr().out

    first = "search" if runs else "a"
    assert "\ntag.feature " in out() if runs else "\nmodel " in out()
    assert next(csv.DictReader(io.StringIO(out("--csv"))))["value"] == first
    assert json.loads(out("--json"))["groups"]["groups"][0]["value"] == first
    assert f"| {first} |" in out("--markdown")


def test_drawn():
    """What does not fit into the list is one row, and the last row is the total."""
    records = [replace(tagged(number, None, tokens=1), user=f"u{number}") for number in range(60)]
    audit = overview(Records(MemorySource(records), Query(by="user")))

    for width in (60, 100, 160):
        text = TerminalRenderer(Look(width=width)).render(audit, "groups")
        assert "20 more" in text
        assert max(map(len, text.splitlines())) <= width
    assert "By user" in HtmlRenderer().render(audit)
    assert "20 more" in MarkdownRenderer().render(audit, "groups")
    assert len(CsvRenderer().render(audit, "groups").splitlines()) == 61
    assert json.loads(JsonRenderer().render(audit, "groups"))["kind"] == "groups"


@given(
    requests=st.lists(
        st.tuples(st.sampled_from([None, "search", "chat"]), st.one_of(st.none(), st.floats(0, 10))), max_size=40
    ),
    by=st.sampled_from(["model", "service", "tag.feature", "model,service,tag.feature", "tag.feature, model"]),
)
def test_dollars_by_any_fields_sum_to_the_total_exactly(
    requests: list[tuple[str | None, float | None]], by: str
) -> None:
    """Decimals written out, added up, and compared: no cent is lost, and requests without a cost are counted."""
    records = [
        replace(tagged(number, feature, cost=cost), cost_estimate=cost, cache_saved=cost, cache_lost=cost)
        for number, (feature, cost) in enumerate(requests)
    ]
    grouping = Grouping(groupable(by))
    grouping.add(RecordTable(records))
    found = grouping.result()

    for name in ("cost", "cost_estimate", "cache_saved", "cache_lost"):
        parts = [getattr(group, name) for group in found.groups]
        total = getattr(found.total, name)
        assert sum(round(part * 10**12) for part in parts if part is not None) == round((total or 0) * 10**12)
        assert (total is None) == all(part is None for part in parts)
    unknown = sum(cost is None for _, cost in requests)
    assert found.total.cost_unknown == unknown == sum(group.cost_unknown for group in found.groups)


def test_several_fields_are_grouped_by_together() -> None:
    """What one of them lacks is said; one that cannot be grouped by is refused."""
    records = [tagged(1, "search"), tagged(3, None), tagged(2, "search")]
    found = overview(Records(MemorySource(records), Query(by="model,tag.feature"))).groups
    assert found is not None
    assert {group.value for group in found.groups} == {"a, search", "a, (none)", "b, search"}
    assert {group.values for group in found.groups} == {("a", "search"), ("a", None), ("b", "search")}
    assert [column.title for column in groups(found, unit_of(found)).columns][:2] == ["model", "tag.feature"]
    with pytest.raises(AuditError, match="nothing can be grouped"):
        Query(by="model,duration")


def test_a_short_id_leads_to_its_request_though_others_are_not_listed() -> None:
    """Groq's IDs begin with the time: those of one second share eight characters, those of one millisecond ten."""
    listed = ["req_01m8k8cr17a6s82dkxtqcfrxn4"]
    hidden = ["req_01m8k8cr17b6s82dkxtqcfrxn4", "req_01m8k8cr0kkcwecv6cncs4t77h"]
    (short,) = short_ids(listed)
    assert short == "req_01m8k8cr17a6"
    assert not any(name.startswith(short) for name in hidden)
    assert len(set(short_ids([*listed, "req_01m8k8cr17a6t82dkxtqcfrxn4"]))) == 2, "more, where that is not enough"


def test_a_damaged_cost_ends_no_audit() -> None:
    """A cost that becomes infinite in the unit of the sums is shown as one that is very large."""
    found = overview(Records(MemorySource([tagged(1, "a", cost=1e300), tagged(2, "b", cost=0.5)]), Query(by="model")))
    assert found.groups is not None
    assert found.groups.total.cost == found.total.cost == pytest.approx(1e26)
