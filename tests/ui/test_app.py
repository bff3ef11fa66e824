"""Every address of the server: pages, data, assets, exports and events; errors are sentences, nothing is written."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from support.files import write_store
from support.report_samples import many, streamed
from support.spans import span_of
from support.ui import numbered
from support.waiting import wait_for

from groqscope.audit.reports.palette import PHASES
from groqscope.ui import Server, server
from groqscope.ui.app import PAGES

STATIC = Path(server.__file__).parent / "static"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Server]:
    write_store(tmp_path, numbered(many(40)))
    with Server(tmp_path, port=0) as running:
        wait_for(lambda: not running.collection.loading)
        yield running


@pytest.fixture
def get(served: Server) -> Iterator[Callable[..., httpx.Response]]:
    with httpx.Client(base_url=served.url) as client:
        yield client.get


def test_pages(get: Callable[..., httpx.Response]) -> None:
    """Each page is the same document, which loads nothing but files of the page itself."""
    for path in PAGES:
        page = get(path.replace("{id}", "abc"))

        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")

    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)

    assert any(address.startswith("/assets/") for address in loaded)
    for address in loaded:
        if address.startswith("/assets/"):
            assert get(address).status_code == 200, address
        else:
            assert address.startswith(("/", "data:,", "#"))


def test_assets(get: Callable[..., httpx.Response]) -> None:
    """Every file is served with its type, also what modules import; no other file on the disk is."""
    types = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".txt": "text/plain"}
    for path in STATIC.iterdir():
        found = get(f"/assets/{path.name}")

        assert found.headers["content-type"].startswith(types[path.suffix])
        for name in re.findall(r'from "\./([\w.-]+)"', found.text if path.suffix == ".js" else ""):
            assert get(f"/assets/{name}").status_code == 200, name

    assert all(f".phase-{name}" in get("/assets/report.css").text for name in PHASES)
    for name in ("nothing.js", "..%2f__init__.py", "%2e%2e%2fapp.py", "", "uplot.js%00"):
        assert get(f"/assets/{name}").status_code == 404


def test_data(get: Callable[..., httpx.Response]) -> None:
    """Each view's data is JSON; a mistake in the address is a sentence, with its position where there is one."""
    known = get("/api/requests").json()["requests"][0]["id"]
    for path in ("live", "requests", "density", f"requests/{known}", "overview", "groups?by=model", "why", "words"):
        assert "problem" not in get(f"/api/{path}").json(), path

    assert get("/api/check?where=ttfc+%3E+1s").json() == {"ok": True}
    assert get("/api/check?where=ttfc+%3E+1s+and+retrie+%3E+0").json()["at"] == 14
    assert "unknown field 'retrie'" in get("/api/overview?where=retrie").json()["problem"]
    assert get("/api/runs").json()["kind"] == "nothing"
    assert get("/api/requests/nobody").json()["kind"] == "missing"
    assert "not a time" in get("/api/overview?since=yesterday").json()["problem"]
    assert "larger than chance explains" in get("/api/compare?a.model=llama&b.model=llama").json()["html"]


def test_exports(get: Callable[..., httpx.Response]) -> None:
    """A view can be downloaded as a file; one that does not exist cannot."""
    overview = get("/export/overview.json?where=failed")

    assert overview.headers["content-disposition"] == 'attachment; filename="groqscope-overview.json"'
    assert overview.json()["total"]["requests"] == overview.json()["total"]["errors"]
    assert len(get("/export/requests.csv").text.splitlines()) == 41
    assert "<!doctype html>" in get("/export/requests.html").text
    assert get("/export/requests.exe").status_code == 404
    assert get("/export/nonsense.json").status_code == 404
    assert get("/export/runs.json").status_code == 404


def test_only_the_receiver_accepts_data(served: Server) -> None:
    """No other address has a method besides GET."""
    paths = [*PAGES, "/api/live", "/api/requests", "/api/events", "/export/requests.csv", "/assets/ui.js"]
    for path in paths:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert httpx.request(method, served.url + path.replace("{id}", "x")).status_code == 405
    assert httpx.get(f"{served.url}/v1/traces").status_code == 405


def events(served: Server) -> Iterator[dict[str, Any]]:
    with httpx.stream("GET", f"{served.url}/api/events", timeout=30) as response:
        for line in response.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line[6:])


def test_live_events(served: Server) -> None:
    """Pages that follow are told what is received."""
    stream = events(served)
    first = next(stream)
    body = encode_spans([span_of(numbered([streamed()], start=900)[0])]).SerializeToString()
    httpx.post(f"{served.url}/v1/traces", content=body, headers={"content-type": "application/x-protobuf"})
    later = next(event for event in stream if event["total"] != first["total"])

    assert (first["total"], later["total"]) == (40, 41)
    assert later["list"]["requests"][0]["id"].endswith("900")


def test_stopping_ends_streams(tmp_path: Path) -> None:
    """A page that follows does not delay the end of the server, and its stream ends."""
    running = Server(tmp_path, port=0).start()
    stream = events(running)
    next(stream)
    running.stop()

    assert list(stream) == []


def test_streams_are_limited(served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a limited number of pages can follow at a time."""
    monkeypatch.setattr("groqscope.ui.app.MAX_STREAMS", 1)
    stream = events(served)
    next(stream)

    assert httpx.get(f"{served.url}/api/events").status_code == 503


def test_a_file_is_only_read(tmp_path: Path) -> None:
    """A file is shown, and never written to."""
    file = write_store(tmp_path, numbered(many(3)))
    with Server(file, port=0) as running:
        wait_for(lambda: running.collection.total == 3)
        answer = httpx.post(f"{running.url}/v1/traces", json={}, headers={"content-type": "application/json"})

        assert answer.status_code == 403
        assert httpx.get(f"{running.url}/api/overview").json()["provenance"]


def test_beyond_loopback_without_a_token() -> None:
    """Without a token nothing is served beyond the loopback."""
    with pytest.raises(ValueError, match="a token is needed"):
        Server(host="0.0.0.0")


def test_the_address_has_the_token(tmp_path: Path) -> None:
    """The address that is printed opens the page; without the token there is no data."""
    with Server(tmp_path, host="0.0.0.0", port=0, token="s3cret") as running:
        assert httpx.get(f"{running.url}/api/live").status_code == 401
        assert httpx.get(running.address, follow_redirects=True).status_code == 200
