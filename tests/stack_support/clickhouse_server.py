"""ClickHouse's HTTP interface, answered by its engine in this process (chdb): `clickhouse_server.py PORT DIRECTORY`.

It understands what groqscope's audit and the collector's exporter send: a query in the body with parameters
in the URL, or a query in the URL with rows in the native format.
"""

import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from chdb import ChdbError, session  # pyright: ignore[reportMissingImports] - in a folder of its own, $CHDB

CLUSTER = "groq"
_CONFIG = f"""<clickhouse><tcp_port>9000</tcp_port><remote_servers><{CLUSTER}>
<shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard>
<shard><replica><host>localhost</host><port>9000</port></replica></shard>
</{CLUSTER}></remote_servers></clickhouse>"""
_REVISION = 54453
"""What this server says it speaks: the last revision in which blocks carry nothing but their columns."""
_ONE_BY_ONE = threading.Lock()
"""A session's settings are those of one question."""
_NO_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"
_NOT_OURS = {"query", "database", "default_format", "client_protocol_version", "wait_end_of_query", "async_insert"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine: session.Session
    folder: Path

    def do_POST(self) -> None:
        given = {
            name: values[0] for name, values in parse_qs(urlsplit(self.path).query, keep_blank_values=True).items()
        }
        body = self._body()
        query = given.get("query") or body.decode()
        try:
            with _ONE_BY_ONE:
                answer, status = self._answer(query, given, body if "query" in given else b""), 200
        except (ChdbError, RuntimeError) as error:
            answer, status = str(error).encode(), 500
        self.send_response(status)
        self.send_header("content-length", str(len(answer)))
        self.send_header("x-clickhouse-timezone", "UTC")
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST  # noqa: N815 - http.server's name

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, query: str, given: dict[str, str], rows: bytes) -> bytes:
        if "displayName()" in query:
            return _hello()
        if query.startswith("DESCRIBE"):
            described = json.loads(self.engine.query(query, "JSON").bytes())
            return _texts({one["name"]: [row[one["name"]] for row in described["data"]] for one in described["meta"]})
        if rows:
            file = self.folder / "rows.native"
            file.write_bytes(rows)
            head = re.split(r"\s+(?:FORMAT\s+Native|VALUES)", query, flags=re.IGNORECASE)[0]
            query = f"{head} SELECT * FROM file('{file}', 'Native')"
        parameters = {name.removeprefix("param_"): value for name, value in given.items() if name.startswith("param_")}
        settings = {name: value for name, value in given.items() if name not in _NOT_OURS and name not in parameters}
        chosen = ", ".join(
            f"{n} = '{v}'" for n, v in settings.items() if not n.startswith("param_") and n != "readonly"
        )
        if chosen and not rows:
            self.engine.query(f"SET {chosen}")
        return self.engine.query(query, given.get("default_format", "TSV"), params=parameters).bytes() or b""


def _texts(columns: dict[str, list[str]], flag: bytes = b"") -> bytes:
    """Return columns of texts as a block; the driver's first question expects a flag before each column's values."""
    rows = max(map(len, columns.values()))
    block = _NO_INFO + _number(len(columns)) + _number(rows)
    for name, values in columns.items():
        block += b"".join(map(_text, (name, "String"))) + flag + b"".join(map(_text, values))
    return block


def _number(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + _number(value >> 7)


def _text(value: str) -> bytes:
    return _number(len(value.encode())) + value.encode()


def _hello() -> bytes:
    """Return what the driver asks first: name, version, revision and time zone."""
    names = _texts({"displayName()": ["chdb"], "version()": ["26.9.2.1"], "timezone()": ["UTC"]}, b"\x00")
    revision = _text("revision()") + _text("UInt32") + b"\x00" + _REVISION.to_bytes(4, "little")
    return names.replace(_NO_INFO + b"\x03", _NO_INFO + b"\x04").replace(
        _text("timezone()"), revision + _text("timezone()")
    )


def main(port: int, directory: str) -> None:
    """Answer until the process ends."""
    config = Path(directory, "config.xml")
    config.write_text(_CONFIG)
    Handler.folder = Path(directory)
    Handler.engine = session.Session(f"{directory}/data?config-file={config}")
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
