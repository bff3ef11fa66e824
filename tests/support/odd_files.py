"""Files of OTLP JSON as others write them: each of these holds the same two requests."""

import base64
import gzip
import json
from dataclasses import replace
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from groqscope.delivery.transcode import to_protobuf
from groqscope.store.exporters import encode_span_line
from support.full_records import ordinary_record
from support.spans import family_of

RECORDS = [replace(ordinary_record(), span_id=f"{n + 1:016x}", start_unix_ns=10**18 + n) for n in range(2)]
LINES = [line for line in (encode_span_line(family_of(record)) for record in RECORDS) if line]
DOCUMENTS: list[Any] = [json.loads(line) for line in LINES]
WHOLE: Any = {"resourceSpans": [r for d in DOCUMENTS for r in d["resourceSpans"]]}
LINE = json.dumps(WHOLE)


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


def prefixed(*messages: bytes) -> bytes:
    return b"".join(len(m).to_bytes(4, "big") + m for m in messages)


INDENTED = json.dumps(WHOLE, indent=2)
_PROTOBUF = [to_protobuf(line, "traces") for line in LINES]
FILES: dict[str, bytes] = {
    "a document a line": b"\n".join(LINES) + b"\n",
    "no last newline": b"\n".join(LINES),
    "CRLF": b"\r\n".join(LINES),
    "CR only": b"\r".join(LINES),
    "byte order mark": b"\xef\xbb\xbf" + b"\n".join(LINES),
    "files put together, each with a mark": b"\n".join(b"\xef\xbb\xbf" + line for line in LINES),
    **{name: LINE.encode(name) for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")},
    "utf-16, indented, CRLF": INDENTED.replace("\n", "\r\n").encode("utf-16"),
    "indented": INDENTED.encode(),
    "indented, blank line first": b"\n\n" + INDENTED.encode(),
    "indented by tabs": json.dumps(WHOLE, indent="\t").encode(),
    "indented by nothing": json.dumps(WHOLE, indent=0).encode(),
    "indented, CR only": INDENTED.replace("\n", "\r").encode(),
    "several indented": "\n".join(json.dumps(d, indent=4) for d in DOCUMENTS).encode(),
    "brace and key in the first line": INDENTED.replace("{\n", "{ ", 1).encode(),
    "a span a line": LINE.replace('{"traceId"', '\n{"traceId"').encode(),
    "array": json.dumps(DOCUMENTS).encode(),
    "indented array": json.dumps(DOCUMENTS, indent=2).encode(),
    "array, a document a line": b"[\n" + b",\n".join(LINES) + b"\n]\n",
    "nothing between documents": b"".join(LINES),
    "record separators": b"".join(b"\x1e" + line + b"\n" for line in LINES),
    "gzip": gzip.compress(b"\n".join(LINES)),
    "gzip, several members": b"".join(gzip.compress(line + b"\n") for line in LINES) + bytes(512),
    "gzip of UTF-16": gzip.compress(LINE.encode("utf-16")),
    "protobuf": TracesData.FromString(b"".join(_PROTOBUF)).SerializeToString(),
    "lengths and protobuf": prefixed(*_PROTOBUF),
    "lengths and JSON": prefixed(*LINES),
    "docker": _docker(LINE),
    "kubernetes": _cri(LINE),
    "docker compose": b"".join(b"otel-collector-1  | " + line + b"\n" for line in LINES),
    "base64 ids": json.dumps(_walk(WHOLE, _base64)).encode(),
    "ids in capitals": json.dumps(_walk(WHOLE, lambda k, v: v.upper() if k in {"traceId", "spanId"} else v)).encode(),
    "numbers as numbers": json.dumps(_walk(WHOLE, _number)).encode(),
    "numbers as text": json.dumps(_walk(WHOLE, lambda k, v: str(v) if k == "doubleValue" else v)).encode(),
    "snake case": json.dumps(_names(WHOLE, _snake)).encode(),
    "before OTLP 0.9": LINE.replace("scopeSpans", "instrumentationLibrarySpans").encode(),
    "Tempo, v1": json.dumps({"batches": WHOLE["resourceSpans"]}).encode(),
    "Tempo, v2": json.dumps({"trace": WHOLE, "metrics": {}}).encode(),
    "one resource a line": b"\n".join(json.dumps(r).encode() for r in WHOLE["resourceSpans"]),
    "nulls": b'{"resourceSpans":null}\n{}\nnull\n' + LINE.encode(),
    "nulls inside": b'{"resourceSpans":[{"resource":null,"scopeSpans":null}]}\n' + LINE.encode(),
    "the first name null": json.dumps({"resourceSpans": None, "batches": WHOLE["resourceSpans"]}).encode(),
    "the first name empty": json.dumps(
        {
            "resourceSpans": [
                {**r, "scopeSpans": [], "instrumentationLibrarySpans": r["scopeSpans"]} for r in WHOLE["resourceSpans"]
            ]
        }
    ).encode(),
    "protobuf's name inside": LINE.replace("scopeSpans", "scope_spans").encode(),
    "protobuf's names in the spans": json.dumps(_walk_spans(WHOLE, lambda span: _names(span, _snake))).encode(),
    "an array of arrays": json.dumps([[document] for document in DOCUMENTS]).encode(),
    "gzip of gzip": gzip.compress(gzip.compress(LINE.encode())),
    "form feeds": b"\f" + b"\n\f".join(LINES),
    "a hole at the beginning": bytes(4096) + LINE.encode(),
    "a hole in the middle": LINES[0] + b"\n" + bytes(4096) + LINES[1],
    "other signals between": b'{"resourceMetrics":[]}\n' + b'\n{"resourceLogs":[]}\n'.join(LINES),
}
