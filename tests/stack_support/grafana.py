"""The part of Grafana that `groqscope stack check` asks, in front of services that are asked for real."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from groqscope.stack.checks import PROMETHEUS_UID, TEMPO_UID
from stack_support.boards import boards

_PROXIED = f"/api/datasources/proxy/uid/{TEMPO_UID}"


@contextmanager
def serving(prometheus: str, tempo: str, port: int) -> Iterator[None]:
    """Answer as a Grafana with the provisioned data sources and the committed dashboards."""
    uids = set(boards())

    def answer(method: str, path: str, body: bytes) -> int:
        if path == "/metrics" or (method == "GET" and path == "/api/health"):
            return 200
        if method == "GET" and path.startswith("/api/dashboards/uid/"):
            return 200 if path.rpartition("/")[2] in uids else 404
        if method == "GET" and path.startswith(_PROXIED + "/"):
            return _reached(f"{tempo}{path.removeprefix(_PROXIED)}")
        if method == "POST" and path == "/api/ds/query":
            asked = json.loads(body)
            if not asked.get("queries") or not {"from", "to"} <= asked.keys():
                return 400
            known = all(q["refId"] and q["datasource"]["uid"] == PROMETHEUS_UID for q in asked["queries"])
            expressions = [q["expr"] for q in asked["queries"]]
            return _reached(f"{prometheus}/api/v1/query", query=expressions[0]) if known else 404
        return 404

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(answer(self.command, self.path.partition("?")[0], body))
            self.send_header("content-type", "text/plain; version=0.0.4")
            self.send_header("content-length", "0")
            self.end_headers()

        do_GET = do_POST = _answer  # noqa: N815 - the base class's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _reached(url: str, **params: str) -> int:
    """What a data source answers through Grafana: its own status, 502 when nobody is there."""
    try:
        return httpx.get(url, params=params, trust_env=False).status_code
    except httpx.TransportError:
        return 502
