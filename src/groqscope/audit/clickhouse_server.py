"""A ClickHouse by its HTTP address: for each question an answer, limited in time and size, or a sentence why not.

The address names what is read: `http://user:password@host:8123/database?table=otel_traces&cluster=name`. The server is
told to change nothing, whatever is asked.
"""

import json
import os
import re
import weakref
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import parse_qsl, quote_plus, unquote, urlsplit

from groqscope._exchange import AnswerTooLongError, exchange, is_http
from groqscope._visible import visible
from groqscope.audit.errors import AuditError, SourceError

if TYPE_CHECKING:
    import httpx

DATABASE: Final = "default"
TABLE: Final = "otel_traces"
TIMEOUT: Final = 120.0
"""Seconds for one question, from the connection to the last byte of the answer."""
MAX_BYTES: Final = 256 * 1024 * 1024
"""Of one answer."""
MAX_URL: Final = 60_000
"""Of the parameters, which are part of the URL."""
_ERROR: Final = re.compile(r"Code: (\d{1,9})\. DB::Exception: (.*)", re.DOTALL)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SETTINGS: Final[Mapping[str, str]] = {
    "readonly": "2",  # nothing can be written, whatever is asked
    "wait_end_of_query": "1",  # an error comes as an error, not at the end of half an answer
    "default_format": "JSONCompact",
    "output_format_json_quote_64bit_integers": "0",
    "output_format_json_named_tuples_as_objects": "1",
    "max_query_size": "4194304",
    "max_ast_elements": "1000000",
    "max_expanded_ast_elements": "10000000",
    "enable_named_columns_in_function_tuple": "0",
    # What the questions mean by SQL.
    "cast_keep_nullable": "1",
    "aggregate_functions_null_for_empty": "1",
    "join_use_nulls": "1",
    "prefer_column_name_to_alias": "1",
    "distributed_product_mode": "global",
}
_OF_A_CLUSTER: Final[Mapping[str, str]] = {
    # Shards and the node that asks them would otherwise call the same sum by different names.
    "aggregate_functions_null_for_empty": "0",
    "optimize_rewrite_aggregate_function_with_if": "0",
}
_KINDS: Final = {"Float64": float, "Nullable(Float64)": float}
"""What JSON does not tell from whole numbers."""
_SCHEMA: Final = "stack/scale/clickhouse/requests.sql makes it (`groqscope stack init` writes that file)"
_SAYS: Final[Mapping[int, str]] = {
    60: "there is no such table: the collector's exporter makes it, or name another one with ?table=",
    81: "there is no such database: write its name after the address, as in http://127.0.0.1:8123/otel",
    47: f"the table lacks a column: {_SCHEMA}",
    10: f"the table lacks a column: {_SCHEMA}",
    46: "it lacks a function: update ClickHouse (26.9 is tested)",
    115: "it lacks a setting: update ClickHouse (26.9 is tested)",
    159: "it takes too long: ask for less with --since",
    160: "it would take too long: ask for less with --since",
    164: "the user may not change settings: give it a profile with readonly = 2",
    192: "it does not know the user: write http://user:password@…, or set CLICKHOUSE_USER and CLICKHOUSE_PASSWORD",
    193: "the password is wrong: write http://user:password@…, or set CLICKHOUSE_USER and CLICKHOUSE_PASSWORD",
    194: "it asks for a password: write http://user:password@…, or set CLICKHOUSE_USER and CLICKHOUSE_PASSWORD",
    241: "it has too little memory for that: ask for less with --since",
    497: "the user may not read the table: GRANT SELECT on it",
    516: "user or password is wrong: write http://user:password@…, or set CLICKHOUSE_USER and CLICKHOUSE_PASSWORD",
    701: "there is no such cluster: leave ?cluster= out, or name one of system.clusters",
}


class Server:
    """A ClickHouse, and the table in it."""

    def __init__(self, url: str, *, client: "httpx.Client | None" = None, timeout: float = TIMEOUT) -> None:
        parts = urlsplit(url) if is_http(url) else None
        options = dict(parse_qsl(parts.query, keep_blank_values=True)) if parts else {}
        if parts is None or not options.keys() <= {"table", "cluster"}:
            raise SourceError(
                f"--clickhouse {visible(url)!r} is not an address: write for example "
                "http://127.0.0.1:8123/otel?table=otel_traces"
            )
        self.address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/"
        database = parts.path.strip("/") or DATABASE
        self.table, self.cluster = f"{database}.{options.get('table', TABLE)}", options.get("cluster")
        for name in (*self.table.split("."), self.cluster or TABLE):
            if _NAME.fullmatch(name) is None:
                raise SourceError(f"--clickhouse: {visible(name)!r} is no name of a database, table or cluster")
        user = unquote(parts.username or "") or os.environ.get("CLICKHOUSE_USER", "")
        password = unquote(parts.password or "") or os.environ.get("CLICKHOUSE_PASSWORD", "")
        self.headers = {"X-ClickHouse-User": user, "X-ClickHouse-Key": password} if user or password else {}
        self._client = client
        self._timeout = timeout

    @property
    def name(self) -> str:
        """The address and the table, without its password."""
        return f"ClickHouse at {self.address}{self.table}"

    @property
    def everywhere(self) -> str:
        """The table, on all shards of the cluster if one is named."""
        if self.cluster is None:
            return self.table
        database, _, table = self.table.partition(".")
        return f"cluster('{self.cluster}', {database}, {table})"

    def garbled(self) -> SourceError:
        """Return the error that what answers is no ClickHouse."""
        return SourceError(f"{self.name} did not answer as ClickHouse does: is the address right?")

    @contextmanager
    def understood(self) -> Generator[None]:
        """Say so when an answer is none to what was asked: another number of rows, or other values in them.

        Raises:
            SourceError: it is not.
        """
        try:
            yield
        except AuditError:
            raise
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise self.garbled() from error

    def ask(self, query: str, values: Mapping[str, Any]) -> list[list[Any]]:
        """Return the rows of a query in ClickHouse's SQL.

        Raises:
            SourceError: ClickHouse does not answer, or not as ClickHouse.
        """
        import httpx

        name = self.name
        parameters = {**_SETTINGS, **(_OF_A_CLUSTER if self.cluster else {})} | {
            "max_execution_time": f"{self._timeout:g}"
        }
        parameters |= {f"param_{one}": _parameter(value) for one, value in values.items()}
        if sum(len(quote_plus(value)) for value in parameters.values()) > MAX_URL:
            raise SourceError(f"{name}: the selection is too long: {MAX_URL:,} characters can be sent")
        try:
            client = self._connected()
            request = client.build_request(
                "POST", self.address, params=parameters, headers=self.headers, content=query.encode()
            )
            answer = exchange(client, request, seconds=self._timeout, max_bytes=MAX_BYTES)
        except httpx.TimeoutException:
            raise SourceError(f"{name} did not answer in {self._timeout:g} s: ask for less with --since") from None
        except AnswerTooLongError as error:
            raise SourceError(f"{name}: {error}: ask for less with --since; is it a ClickHouse?") from None
        except (httpx.ReadError, httpx.RemoteProtocolError) as error:
            raise SourceError(
                f"{name} ended the connection ({_reason(error)}): ask again; is it the HTTP port, 8123 by default?"
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise SourceError(
                f"{name} cannot be reached ({_reason(error)}): is it running, and the address right?"
            ) from error
        if not answer.is_success:
            raise SourceError(f"{name}: {_said(answer)}")
        try:
            document = json.loads(answer.content.decode(errors="replace"))
            kinds = [column["type"] for column in document["meta"]]
            return [_typed(row, kinds) for row in document["data"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            if (failed := _ERROR.search(answer.text)) is not None:  # in the middle of an answer
                raise SourceError(f"{name}: {_meant(failed)}") from None
            raise self.garbled() from None

    def ask_together(self, queries: Sequence[str], values: Mapping[str, Any]) -> list[list[tuple[Any, ...]]]:
        """Return the rows of each of several queries, sent as one.

        Raises:
            SourceError: ClickHouse does not answer, or not as ClickHouse.
        """
        if len(queries) == 1:
            return [[tuple(row) for row in self.ask(queries[0], values)]]
        every = (
            f"SELECT {place} AS place, toJSONString(tuple(*)) AS row, toTypeName(tuple(*)) AS kinds FROM ({query})"
            for place, query in enumerate(queries)
        )
        found: list[list[tuple[Any, ...]]] = [[] for _ in queries]
        try:
            for place, row, kinds in self.ask(" UNION ALL ".join(every), values):
                found[place].append(tuple(_typed(json.loads(row), _members(kinds))))
        except (ValueError, IndexError, TypeError, RecursionError):
            raise self.garbled() from None
        return found

    def _connected(self) -> "httpx.Client":
        """Return the client of all questions, whose connections are closed when nobody has this object any more."""
        import httpx

        if self._client is None:
            self._client = httpx.Client(timeout=self._timeout)
            weakref.finalize(self, self._client.close)
        return self._client


def _typed(row: Sequence[Any], kinds: Sequence[str]) -> list[Any]:
    known = (_KINDS.get(kind) for kind in kinds)
    return [v if kind is None or v is None else kind(v) for kind, v in zip(known, row, strict=True)]


@lru_cache(maxsize=64)
def _members(kind: str) -> list[str]:
    """Return the types of the members of a tuple without names."""
    members = [""]
    depth = 0
    for character in kind.removeprefix("Tuple(").removesuffix(")"):
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            members.append("")
        else:
            members[-1] += character
    return [member.strip() for member in members]


def _parameter(value: object) -> str:
    """Write a value as a query parameter, in which a backslash begins an escape."""
    if value is None:
        return "\\N"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):  # of IDs, in which nothing has to be escaped
        return str(cast("list[str]", value))
    if not isinstance(value, str):
        return repr(value)
    return (
        value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r").replace("\0", "\\0")
    )


def _reason(error: Exception) -> str:
    return visible(re.sub(r"^\[Errno -?\d+\] ", "", str(error)).lower(), limit=200)


def _said(answer: "httpx.Response") -> str:
    """Return what an error of ClickHouse means, and what to do."""
    if (found := _ERROR.match(answer.text.lstrip())) is not None:
        return _meant(found)
    said = visible(answer.text.strip().replace("\n", " "), limit=200)
    return f"answered {answer.status_code}{f': {said}' if said else ''}: is it the HTTP port of a ClickHouse?"


def _meant(found: "re.Match[str]") -> str:
    code, said = int(found[1]), visible(" ".join(found[2].split()), limit=200)
    return f"{_SAYS[code]} ({said})" if code in _SAYS else f"it answers: {said}"
