"""On GitHub: what only the real Grafana can answer. Skipped where no running stack is given."""

import json
import time
from typing import Any

import pytest
from stack_support import traffic
from stack_support.boards import STEP_S, Target, boards, filled, targets
from stack_support.given import ON_GITHUB, PASSWORD
from stack_support.stack import Stack
from support.waiting import wait_for

pytestmark = ON_GITHUB

WITHOUT_PASSWORD = pytest.mark.skipif(bool(PASSWORD), reason="of a stack that was started without a password")
WITH_PASSWORD = pytest.mark.skipif(not PASSWORD, reason="of a stack that was started with STACK_GRAFANA_PASSWORD")


def _values(result: dict[str, Any]) -> int:
    return sum(len(column) for frame in result["frames"] for column in frame["data"]["values"][1:])


def _may_be_empty(target: Target) -> bool:
    return target.panel in {"Alerts that fire", "Refused, failed, given up"}


@pytest.mark.parametrize("target", [t for t in targets() if "expr" in t.query], ids=str)
def test_a_query_of_a_panel_returns_data(target: Target, stack: Stack, seeded: Any):
    """Every PromQL query of every panel, through Grafana, has values, or an answer where it may be empty."""
    query = {**target.query, "expr": filled(target.query["expr"], range_s=3600), "refId": "A"}
    query |= {"intervalMs": STEP_S * 1000, "maxDataPoints": 100}

    def frames() -> dict[str, Any]:
        # What the services tell of themselves begins when they are scraped, which is after the traffic ended.
        end = time.time() if target.board == "groq-pipeline" else seeded.end_s
        return stack.ask_grafana(query, seeded.start_s, end)

    if _may_be_empty(target):
        assert "frames" in frames()
    else:
        wait_for(lambda: _values(frames()), query["expr"])


@pytest.mark.parametrize("target", [t for t in targets() if t.query.get("exemplar")], ids=str)
def test_the_dots_of_a_panel_lead_to_traces(target: Target, stack: Stack, seeded: Any):
    """A latency panel's own query, asked through Grafana, brings exemplars, and each names a trace that is there."""
    query = {**target.query, "expr": filled(target.query["expr"], range_s=3600), "refId": "A"}
    query |= {"intervalMs": STEP_S * 1000, "maxDataPoints": 100}
    frames = stack.ask_grafana(query, seeded.start_s, seeded.end_s)["frames"]
    ids = {
        value
        for frame in frames
        for field, values in zip(frame["schema"]["fields"], frame["data"]["values"], strict=True)
        if field["name"] == "trace_id"
        for value in values
    }

    assert ids
    assert all(stack.trace(i) for i in sorted(ids)[:3])


def _find(stack: Stack, query: str) -> list[Any]:
    """Search as Grafana's page does: Tempo's API through Grafana."""
    now = int(time.time())
    params = {"q": query, "limit": 50, "start": now - 7200, "end": now}
    answer = stack.http.get(f"{stack.grafana}/api/datasources/proxy/uid/groqscope-tempo/api/search", params=params)
    assert answer.status_code == 200, f"{query}\n{answer.text}"
    return answer.json()["traces"]


@pytest.mark.parametrize("target", [t for t in targets() if t.kind == "table" and "query" in t.query], ids=str)
def test_a_table_of_traces_has_rows(target: Target, stack: Stack, seeded: Any):
    """Every TraceQL query of the audit dashboard finds requests through Grafana."""
    ours = {s.name for s in traffic.SERVICES}
    found = wait_for(lambda: _find(stack, filled(target.query["query"], range_s=3600)), str(target))

    assert {t["traceID"].rjust(32, "0") for t in found if t["rootServiceName"] in ours} <= {
        r.trace_id for r in seeded.sent.records
    }


def test_the_trace_panel_shows_a_chosen_trace_and_nothing_before(stack: Stack, seeded: Any):
    """Grafana's own query for a trace gives its spans; the words in the field before one is chosen find none."""
    record = next(r for r in seeded.sent.ended if r.retries and r.stream)
    query = {"queryType": "traceId", "query": record.trace_id, "refId": "A", "datasource": {"uid": "groqscope-tempo"}}
    result = stack.ask_grafana(query, seeded.start_s, seeded.end_s)
    board = stack.get(f"{stack.grafana}/api/dashboards/uid/groq-audit")["dashboard"]
    before = next(v["query"] for v in board["templating"]["list"] if v["name"] == "trace")

    assert record.model in json.dumps(result)
    assert _find(stack, before) == []


@pytest.mark.parametrize("uid", boards())
def test_a_dashboard_is_provisioned_as_it_is_committed(uid: str, stack: Stack):
    """Grafana has each dashboard, with the panels and queries of the file."""
    board = stack.get(f"{stack.grafana}/api/dashboards/uid/{uid}")["dashboard"]
    expected = boards()[uid]

    assert [p["title"] for p in board["panels"]] == [p["title"] for p in expected["panels"]]
    for panel, committed in zip(board["panels"], expected["panels"], strict=True):
        shown = [t.get("expr", t.get("query")) for t in panel.get("targets", [])]
        assert shown == [t.get("expr", t.get("query")) for t in committed.get("targets", [])]


CHANGES = [
    ("POST", "dashboards/db", {"dashboard": {"title": "mine"}}),
    ("DELETE", "dashboards/uid/groq-overview", None),
    ("POST", "folders", {"title": "mine"}),
    ("POST", "datasources", {"name": "mine", "type": "prometheus", "access": "proxy", "url": "http://127.0.0.1:1"}),
    ("DELETE", "datasources/uid/groqscope-tempo", None),
    ("POST", "annotations", {"text": "mine", "dashboardUID": "groq-overview", "time": 1}),
    ("POST", "snapshots", {"dashboard": {"title": "mine"}}),
    ("POST", "playlists", {"name": "mine", "interval": "1m", "items": []}),
    ("POST", "library-elements", {"name": "mine", "model": {"type": "stat"}, "kind": 1}),
    ("POST", "v1/provisioning/alert-rules", {}),
    ("POST", "serviceaccounts", {"name": "mine"}),
    ("PUT", "org/preferences", {"theme": "light"}),
    ("PUT", "user/preferences", {"theme": "light"}),
    ("POST", "admin/users", {"login": "mine", "password": "mine"}),
]
"""What somebody who may write could do to Grafana."""


@pytest.mark.parametrize(("method", "path", "body"), CHANGES, ids=[f"{m} {p}" for m, p, _ in CHANGES])
def test_a_visitor_can_change_nothing(method: str, path: str, body: Any, stack: Stack):
    """Without a login every change is refused."""
    answer = stack.http.request(method, f"{stack.grafana}/api/{path}", json=body)

    assert answer.status_code in {401, 403}, answer.text


def test_a_visitor_can_look(stack: Stack):
    """Without a login dashboards open and cannot be saved; there is no well-known password."""
    assert stack.get(f"{stack.grafana}/api/dashboards/uid/groq-overview")["meta"]["canSave"] is False
    assert stack.http.get(f"{stack.grafana}/api/admin/stats", auth=("admin", "admin")).status_code == 401


@WITHOUT_PASSWORD
def test_without_a_password_nobody_can_log_in(stack: Stack):
    """There is no login form, and none of the passwords that are tried first is the admin's."""
    guesses = [
        stack.http.get(f"{stack.grafana}/api/admin/stats", auth=("admin", p)).status_code
        for p in ("admin", "", "only-for-this-test")
    ]

    assert guesses == [401, 401, 401]
    assert stack.get(f"{stack.grafana}/api/frontend/settings")["disableLoginForm"] is True


@WITH_PASSWORD
def test_the_users_password_makes_an_admin(stack: Stack):
    """With GROQSCOPE_GRAFANA_PASSWORD there is a login form, and the admin may write; visitors still may not."""
    folders = f"{stack.grafana}/api/folders"
    made = stack.http.post(folders, json={"title": "mine"}, auth=("admin", PASSWORD or ""))
    visitor = stack.http.post(folders, json={"title": "other"}).status_code

    assert stack.get(f"{stack.grafana}/api/frontend/settings")["disableLoginForm"] is False
    assert made.status_code == 200
    assert visitor == 403
