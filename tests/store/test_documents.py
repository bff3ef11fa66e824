"""Files as others write them: each of these holds the same two requests."""

import base64
import gzip
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from support.full_records import ordinary_record
from support.spans import family_of

from groqscope.delivery.transcode import to_protobuf
from groqscope.store import ReadReport, read_records
from groqscope.store.exporters import encode_span_line

_RECORDS = [replace(ordinary_record(), span_id=f"{n + 1:016x}", start_unix_ns=10**18 + n) for n in range(2)]
_LINES = [line for line in (encode_span_line(family_of(record)) for record in _RECORDS) if line]
_DOCUMENTS: list[Any] = [json.loads(line) for line in _LINES]
_WHOLE: Any = {"resourceSpans": [r for d in _DOCUMENTS for r in d["resourceSpans"]]}
_LINE = json.dumps(_WHOLE)


def _walk(node: Any, change: Any, key: str = "") -> Any:
    if isinstance(node, dict):
        return {k: _walk(v, change, k) for k, v in node.items()}
    return [_walk(v, change) for v in node] if isinstance(node, list) else change(key, node)


def _names(node: Any, rename: Any) -> Any:
    if isinstance(node, dict):
        return {rename(k): _names(v, rename) for k, v in node.items()}
    return [_names(v, rename) for v in node] if isinstance(node, list) else node


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


def _base64(key: str, value: Any) -> Any:
    return base64.b64encode(bytes.fromhex(value)).decode() if key in {"traceId", "spanId"} else value


def _number(key: str, value: Any) -> Any:
    return int(value) if key.endswith(("Nano", "intValue")) else value


def _walk_spans(whole: Any, change: Any) -> Any:
    return {
        "resourceSpans": [
            {**r, "scopeSpans": [{**s, "spans": [change(span) for span in s["spans"]]} for s in r["scopeSpans"]]}
            for r in whole["resourceSpans"]
        ]
    }


def _docker(text: str) -> bytes:
    pieces = [text[at : at + 1000] for at in range(0, len(text), 1000)]
    pieces[-1] += "\n"
    entries = [{"log": piece, "stream": "stdout", "time": "2026-11-28T10:00:00Z"} for piece in pieces]
    return "".join(json.dumps(entry) + "\n" for entry in entries).encode()


def _cri(text: str) -> bytes:
    pieces = [text[at : at + 1000] for at in range(0, len(text), 1000)]
    flags = ["P"] * (len(pieces) - 1) + ["F"]
    return "".join(f"2026-11-28T10:00:00Z stdout {f} {p}\n" for f, p in zip(flags, pieces, strict=True)).encode()


def _prefixed(*messages: bytes) -> bytes:
    return b"".join(len(m).to_bytes(4, "big") + m for m in messages)


_INDENTED = json.dumps(_WHOLE, indent=2)
_PROTOBUF = [to_protobuf(line, "traces") for line in _LINES]
FILES: dict[str, bytes] = {
    "a document a line": b"\n".join(_LINES) + b"\n",
    "no last newline": b"\n".join(_LINES),
    "CRLF": b"\r\n".join(_LINES),
    "CR only": b"\r".join(_LINES),
    "byte order mark": b"\xef\xbb\xbf" + b"\n".join(_LINES),
    "files put together, each with a mark": b"\n".join(b"\xef\xbb\xbf" + line for line in _LINES),
    **{name: _LINE.encode(name) for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")},
    "utf-16, indented, CRLF": _INDENTED.replace("\n", "\r\n").encode("utf-16"),
    "indented": _INDENTED.encode(),
    "indented, blank line first": b"\n\n" + _INDENTED.encode(),
    "indented by tabs": json.dumps(_WHOLE, indent="\t").encode(),
    "indented by nothing": json.dumps(_WHOLE, indent=0).encode(),
    "indented, CR only": _INDENTED.replace("\n", "\r").encode(),
    "several indented": "\n".join(json.dumps(d, indent=4) for d in _DOCUMENTS).encode(),
    "brace and key in the first line": _INDENTED.replace("{\n", "{ ", 1).encode(),
    "a span a line": _LINE.replace('{"traceId"', '\n{"traceId"').encode(),
    "array": json.dumps(_DOCUMENTS).encode(),
    "indented array": json.dumps(_DOCUMENTS, indent=2).encode(),
    "array, a document a line": b"[\n" + b",\n".join(_LINES) + b"\n]\n",
    "nothing between documents": b"".join(_LINES),
    "record separators": b"".join(b"\x1e" + line + b"\n" for line in _LINES),
    "gzip": gzip.compress(b"\n".join(_LINES)),
    "gzip, several members": b"".join(gzip.compress(line + b"\n") for line in _LINES) + bytes(512),
    "gzip of UTF-16": gzip.compress(_LINE.encode("utf-16")),
    "protobuf": TracesData.FromString(b"".join(_PROTOBUF)).SerializeToString(),
    "lengths and protobuf": _prefixed(*_PROTOBUF),
    "lengths and JSON": _prefixed(*_LINES),
    "docker": _docker(_LINE),
    "kubernetes": _cri(_LINE),
    "docker compose": b"".join(b"otel-collector-1  | " + line + b"\n" for line in _LINES),
    "base64 ids": json.dumps(_walk(_WHOLE, _base64)).encode(),
    "ids in capitals": json.dumps(_walk(_WHOLE, lambda k, v: v.upper() if k in {"traceId", "spanId"} else v)).encode(),
    "numbers as numbers": json.dumps(_walk(_WHOLE, _number)).encode(),
    "numbers as text": json.dumps(_walk(_WHOLE, lambda k, v: str(v) if k == "doubleValue" else v)).encode(),
    "snake case": json.dumps(_names(_WHOLE, _snake)).encode(),
    "before OTLP 0.9": _LINE.replace("scopeSpans", "instrumentationLibrarySpans").encode(),
    "Tempo, v1": json.dumps({"batches": _WHOLE["resourceSpans"]}).encode(),
    "Tempo, v2": json.dumps({"trace": _WHOLE, "metrics": {}}).encode(),
    "one resource a line": b"\n".join(json.dumps(r).encode() for r in _WHOLE["resourceSpans"]),
    "nulls": b'{"resourceSpans":null}\n{}\nnull\n' + _LINE.encode(),
    "nulls inside": b'{"resourceSpans":[{"resource":null,"scopeSpans":null}]}\n' + _LINE.encode(),
    "the first name null": json.dumps({"resourceSpans": None, "batches": _WHOLE["resourceSpans"]}).encode(),
    "the first name empty": json.dumps(
        {
            "resourceSpans": [
                {**r, "scopeSpans": [], "instrumentationLibrarySpans": r["scopeSpans"]} for r in _WHOLE["resourceSpans"]
            ]
        }
    ).encode(),
    "protobuf's name inside": _LINE.replace("scopeSpans", "scope_spans").encode(),
    "protobuf's names in the spans": json.dumps(_walk_spans(_WHOLE, lambda span: _names(span, _snake))).encode(),
    "an array of arrays": json.dumps([[document] for document in _DOCUMENTS]).encode(),
    "gzip of gzip": gzip.compress(gzip.compress(_LINE.encode())),
    "form feeds": b"\f" + b"\n\f".join(_LINES),
    "a hole at the beginning": bytes(4096) + _LINE.encode(),
    "a hole in the middle": _LINES[0] + b"\n" + bytes(4096) + _LINES[1],
    "other signals between": b'{"resourceMetrics":[]}\n' + b'\n{"resourceLogs":[]}\n'.join(_LINES),
}


def _read(data: bytes, directory: Path) -> tuple[list[Any], ReadReport]:
    path = directory / "file.json"
    path.write_bytes(data)
    report = ReadReport()
    return list(read_records([path], report=report)), report


@pytest.mark.parametrize("name", FILES)
def test_files_as_others_write_them(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two requests are read, without a warning, from a file and from standard input."""
    found, report = _read(FILES[name], tmp_path)

    assert found == _RECORDS
    assert report.warnings == []
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(FILES[name])))
    assert list(read_records(["-"])) == _RECORDS


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x28\xb5\x2f\xfd" + bytes(200), "compressed with zstd"),
        (_prefixed(b"\x28\xb5\x2f\xfd" + bytes(200)), "set `compression: none`"),
        (b"PK\x03\x04" + bytes(200), "a ZIP archive"),
        (b"BZh9" + bytes(200), "compressed with bzip2"),
        (b"\xfd7zXZ\x00" + bytes(200), "compressed with xz"),
        (b"PAR1" + bytes(200), "a Parquet file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "neither text nor OTLP protobuf"),
        (b'{"data":[{"traceID":"a","spans":[]}]}', "Jaeger"),
        (b'[{"traceId":"a","id":"b"},{"traceId":"a","id":"c"}]', "Zipkin"),
        (b'{"traceID":"a","spanID":"b","operationName":"x"}', "Jaeger"),
        (b'{"name":"x","context":{"trace_id":"0x1"},"start_time":"2026"}', "console exporter"),
        (b'{"traceEvents":[]}', "Chrome"),
        (b'{"schema_version":1,"kind":"overview"}', "a report of groqscope"),
        (bytes(257) + b"ustar" + bytes(250), "a tar archive"),
        (gzip.compress(bytes(257) + b"ustar" + bytes(250), mtime=0), "a tar archive"),
        (len(_LINE).to_bytes(4, "little") + _LINE.encode(), "neither text nor OTLP protobuf"),
        (b"var spans = " + _LINE[:40].encode() + b"};", "not JSON"),
    ],
)
def test_what_is_not_read_is_refused_by_name(data: bytes, words: str, tmp_path: Path) -> None:
    """One sentence says what it is."""
    found, report = _read(data, tmp_path)

    assert found == []
    (warning,) = report.warnings
    assert words in warning.reason
    assert "torn" not in warning.reason


def test_gzip_with_something_behind_it(tmp_path: Path) -> None:
    """What is compressed is read, also its last line without a newline; what follows is said."""
    found, report = _read(gzip.compress(_LINE.encode()) + b"garbage", tmp_path)

    assert found == _RECORDS
    assert "data that is not gzip follows" in report.warnings[0].reason


def test_a_document_cut_off_in_the_middle_of_a_file(tmp_path: Path) -> None:
    """A writer that was killed and began anew costs the one document, in the same line or in the next."""
    for between in (b"", b"\n"):
        found, report = _read(_LINES[0][:700] + between + b"\n".join(_LINES), tmp_path)

        assert found == _RECORDS
        assert "torn" in report.warnings[0].reason
        assert len(report.warnings) == 1


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_torn_document_costs_what_is_torn(tmp_path: Path, *, wrapped: bool) -> None:
    """Wherever a document ends, the spans before are read, and no half of one; that is no damage."""
    text = (_INDENTED if wrapped else _LINE).encode()
    seen: set[int] = set()
    for at in range(1, len(text) - 1, 211):
        found, report = _read(text[:at], tmp_path)
        seen.add(len(found))

        assert found == _RECORDS[: len(found)], at
        assert [w.reason[:4] for w in report.warnings] == ["torn"], (at, report.warnings)
        assert not report.damaged

    assert {0, 1} <= seen


@pytest.mark.parametrize("part", ["spans", "span"])
def test_parts_that_a_filter_left(part: str, tmp_path: Path) -> None:
    """Lists of spans, and spans alone, as a filter leaves them; the resource they had is not known."""
    scopes = [scope for r in _WHOLE["resourceSpans"] for scope in r["scopeSpans"]]
    lines = scopes if part == "spans" else [span for scope in scopes for span in scope["spans"]]
    found, report = _read("\n".join(map(json.dumps, lines)).encode(), tmp_path)

    assert found == [replace(record, service=None) for record in _RECORDS]
    assert report.warnings == []


def test_only_what_is_torn_is_called_so(tmp_path: Path) -> None:
    """The last line of a file that is something else is not torn."""
    wrong = (b"[" + _LINE.encode() + b",]", b"var x = " + _LINE.encode() + b";")
    for data in (*wrong, b"hello", b"<html>", b"{nonsense", b"a,b,c\n1,2,3", b"[1, 2", b"\xff\xfe"):
        _, report = _read(data, tmp_path)

        assert all(("torn" in w.reason) == (data == b"[1, 2") for w in report.warnings), data
