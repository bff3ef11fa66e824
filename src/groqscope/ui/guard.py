"""Who may talk to the page: this machine's own browser and programs, and, elsewhere, whoever has the token.

A page of another site cannot read anything: its requests carry an `Origin` or a `Sec-Fetch-Site` of its own, or, when
its name is made to point here, a `Host` that is not ours. What a response may load is the page's own files.
"""

import hmac
import http.cookies
import ipaddress
from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from groqscope._serving import LOOPBACK

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}


class Guard:
    """Refuses what the application must not see."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str] = (), token: str | None = None) -> None:
        """Protect an application.

        Args:
            app: What answers if nothing is wrong.
            hosts: Names by which the machine may be called, besides those of loopback.
            token: What every request needs; `None` where only this machine can reach the port.
        """
        self._app = app
        self._hosts = LOOPBACK | {host.lower() for host in hosts}
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request or pass it on; either way the answer has headers that keep other sites out."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await (self._refusal(scope) or self._app)(scope, receive, protected)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._knows(host):
            return PlainTextResponse(f"unknown host {_printable(host)}\n", 421)
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return PlainTextResponse("requests from other sites are refused\n", 403)
        site = headers.get("sec-fetch-site", "none")
        visits = headers.get("sec-fetch-mode") == "navigate" and scope["method"] == "GET"
        if site not in ("same-origin", "none") and not visits:
            return PlainTextResponse("requests from other sites are refused\n", 403)
        return None if self._token is None else self._without_token(scope, headers, self._token)

    def _knows(self, host: str) -> bool:
        name = _name(host)
        if name in self._hosts:
            return True
        if self._token is None:
            return False
        try:
            ipaddress.ip_address(name)  # an address has no name that could be made to point elsewhere
        except ValueError:
            return False
        return True

    def _without_token(self, scope: Scope, headers: Headers, token: str) -> Response | None:
        cookie = f"groqscope-{(scope.get('server') or ('', 0))[1]}"
        given = _cookie(headers.get("cookie", ""), cookie)
        if _same(given, token) or _same(headers.get("authorization", "").removeprefix("Bearer "), token):
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if any(name == "token" and _same(value, token) for name, value in query):
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            response = RedirectResponse(scope["path"] + (f"?{rest}" if rest else ""), 303)
            response.set_cookie(cookie, token, httponly=True, samesite="strict")
            return response
        return PlainTextResponse("a token is needed: open the address that `groqscope ui` printed\n", 401)


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def _cookie(header: str, name: str) -> str:
    try:
        found = http.cookies.SimpleCookie(header).get(name)
    except http.cookies.CookieError:
        return ""
    return "" if found is None else found.value


def _name(host: str) -> str:
    """Return the name of a `Host` header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _printable(host: str) -> str:
    return ascii(host[:100])
