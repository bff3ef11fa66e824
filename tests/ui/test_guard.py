"""Who is answered: this machine's browser and programs, elsewhere those with the token; never another site's page."""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from groqscope.ui.guard import Guard


async def answer(_: Request) -> PlainTextResponse:
    return PlainTextResponse("secret")


APP = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])


def client(token: str | None = None, host: str = "127.0.0.1:4318") -> TestClient:
    return TestClient(Guard(APP, hosts=["station"], token=token), base_url=f"http://{host}")


@pytest.mark.parametrize("host", ["127.0.0.1:4318", "localhost:1", "LOCALHOST", "[::1]:4318", "station:4318"])
def test_our_names(host: str) -> None:
    """The names of this machine are accepted, with any port, since it may be forwarded."""
    assert client().get("/", headers={"host": host}).text == "secret"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:4318", "10.0.0.1:4318", "", "[::2]:4318"])
def test_other_names(host: str) -> None:
    """Another name that resolves to this machine (DNS rebinding) is rejected."""
    assert client().get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"},
    ],
)
def test_other_pages(headers: dict[str, str]) -> None:
    """A request that another site's page makes is rejected, also one to the receiver."""
    assert client().get("/api/live", headers=headers).status_code == 403
    assert client().post("/v1/traces", headers=headers).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://127.0.0.1:4318"},
        {"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
    ],
)
def test_our_own_pages_and_links(headers: dict[str, str]) -> None:
    """Programs, our own page, and links to it from elsewhere are accepted."""
    assert client().get("/requests", headers=headers).text == "secret"


def test_headers() -> None:
    """Each answer, refusals too, has the headers that keep other sites out."""
    for got in (client().get("/"), client().get("/", headers={"host": "evil.example"})):
        assert "default-src 'none'" in got.headers["content-security-policy"]
        assert "unsafe" not in got.headers["content-security-policy"]
        assert got.headers["cross-origin-resource-policy"] == "same-origin"
        assert got.headers["x-frame-options"] == "DENY"
        assert "access-control-allow-origin" not in got.headers


def test_token() -> None:
    """Beyond the loopback each request needs the token: by cookie after the first visit, by header for programs."""
    page = client("s3cret", "10.0.0.1:4318")

    assert page.get("/requests?a=1").status_code == 401
    assert page.get("/requests?token=wrong").status_code == 401
    assert page.post("/v1/traces").status_code == 401
    assert page.post("/v1/traces", headers={"authorization": "Bearer s3cret"}).text == "secret"

    first = page.get("/requests?a=1&token=s3cret", follow_redirects=False)

    assert (first.status_code, first.headers["location"]) == (303, "/requests?a=1")
    assert "HttpOnly" in first.headers["set-cookie"]
    assert "samesite=strict" in first.headers["set-cookie"].lower()

    page.cookies.update(first.cookies)

    assert page.get("/requests?a=1").text == "secret"
    assert page.get("/", headers={"host": "evil.example"}).status_code == 421
