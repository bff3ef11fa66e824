"""What is fuzzed: everything that reads bytes somebody else wrote. Each target takes any input and must not raise.

A target knows which errors are its answer to bad input; whatever else is raised is a bug.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cache
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, Final

import msgspec
import openai
from groq._streaming import SSEDecoder as SdkDecoder

from groqscope.audit.budgets import parse_budget
from groqscope.audit.errors import AuditError
from groqscope.audit.expression import compile_where
from groqscope.codec import encode
from groqscope.fastpath import ChunkTemplate, Models, SSEDecoder, learn_template
from groqscope.instrument import families
from groqscope.instrument.headers import rate_limits, retry_after
from groqscope.simulator import BUNDLED, RecordingError, read_recording
from groqscope.store import decode_traces
from groqscope.timeline import RequestRecord

Target = Callable[[bytes], None]

_RECORD: Final = RequestRecord(start_unix_ns=1, duration_ns=2)


class Differs(AssertionError):
    """Two readers that must agree do not."""


def sse(data: bytes) -> None:
    """Our decoder, fed in two pieces, against the SDK's."""
    cut = data[0] % (len(data) + 1) if data else 0
    pieces = [data[:cut], data[cut:]]
    ours, theirs = _ours(pieces), _theirs(pieces)
    if ours != theirs:
        raise Differs(f"{ours!r} is not {theirs!r}")


def _ours(pieces: list[bytes]) -> list[Any]:
    decoder, events = SSEDecoder(), list[Any]()
    try:
        for given in chain(map(decoder.feed, pieces), iter(decoder.end, list[Any]())):
            for event in given:
                plain = isinstance(event, bytes)
                events.append((None, event.decode("utf-8")) if plain else (event.event, event.data))
    except UnicodeDecodeError:
        events.append("invalid UTF-8")
    return events


def _theirs(pieces: list[bytes]) -> list[Any]:
    events: list[Any] = []
    try:
        events.extend((event.event, event.data) for event in SdkDecoder().iter_bytes(iter(pieces)))
    except UnicodeDecodeError:
        events.append("invalid UTF-8")
    return events


def chunk(data: bytes) -> None:
    """What the fast decoder of chunks and completions does not understand it leaves to the SDK; so do templates."""
    for models in _models():
        models.decode_chunk(data)
        models.decode_completion(data)
        for template in _templates(models):
            built = template(data, 0, len(data))
            if built is not None and built != _constructed(data, models.chunk):
                raise Differs(repr(built))


def _constructed(data: bytes, model: type) -> Any:
    sdk = import_module(f"{model.__module__.partition('.')[0]}._models")
    return sdk.construct_type(value=json.loads(data), type_=model)


@cache
def _models() -> tuple[Models, ...]:
    """Of Groq's SDK and of openai's."""
    assert openai.AsyncOpenAI  # imported: else there is Groq's family alone
    return families.each(lambda family: family.models)


@cache
def _templates(models: Models) -> tuple[ChunkTemplate, ...]:
    """What is learned from each recorded chunk that inputs begin with."""
    decoded = ((models.decode_chunk(payload), payload) for payload in seeds("chunk"))
    found = (learn_template(given, payload) for given, payload in decoded if given is not None)
    return tuple(template for _, template in filter(None, found))


def otlp(data: bytes) -> None:
    """The reader of OTLP JSON gives records that can be written again, and warnings."""
    try:
        for record in decode_traces(data):
            json.dumps(encode(record))
    except (msgspec.DecodeError, RecursionError):
        pass  # said as a warning with file and line, by whoever reads lines


def where(data: bytes) -> None:
    """The language of `--where` and of budgets: a predicate, or a sentence about what was wrong."""
    text = data.decode("utf-8", "replace")
    try:
        compile_where(text)(_RECORD)
    except AuditError as error:
        str(error)
    try:
        parse_budget(text)
    except AuditError as error:
        str(error)


class _Memory:
    """A file that is none."""

    name = "fuzz.json"
    stem = "fuzz"

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read_bytes(self) -> bytes:
        return self._data


def recording(data: bytes) -> None:
    """The loader of recordings: a recording, or its own error."""
    file: Any = _Memory(data)
    try:
        read_recording(file)
    except RecordingError as error:
        str(error)


def headers(data: bytes) -> None:
    """Headers of an answer, one a line."""
    lines = [line.partition(":") for line in data.decode("latin-1").split("\n")]
    found = {name.strip().lower(): value.strip() for name, _, value in lines}
    for value in asdict(rate_limits(found)).values():
        if value is not None and not value >= 0:  # type: ignore[operator] - whole numbers and seconds alike
            raise Differs(repr(value))
    seconds = retry_after(found, 1.0)
    if seconds is not None and not 0 <= seconds < float("inf"):
        raise Differs(repr(seconds))


TARGETS: Final[dict[str, Target]] = {
    "sse": sse,
    "chunk": chunk,
    "otlp": otlp,
    "where": where,
    "recording": recording,
    "headers": headers,
}


def seeds(name: str) -> Iterator[bytes]:
    """Good inputs to begin with, short ones: what Groq wrote, what we write, what the guides show."""
    yield b""
    if name in ("sse", "chunk"):
        for path in sorted(Path(BUNDLED).glob("*.json")):
            for text in json.loads(path.read_bytes())["response"].get("sse", ())[:3]:
                yield text.encode() if name == "chunk" else b"data: " + text.encode() + b"\n\n"
        yield b'event: error\nid: 1\nretry: 5\ndata: {"error":\ndata: {}}\r\n\r\n: comment\r\rdata: [DONE]\n\n'
    elif name == "otlp":
        yield from _otlp_seeds()
    elif name == "where":
        for text in (
            "ttfc > 1s and retries > 0", "not (phase.queue >= 5ms or failed)", "model ~ 'llama' and cost < 0.01",
            "outcome in ('error', 'truncated')", "start > '2026-11-22T14:03'", "ttfc.p95 < 400ms where model = 'a'",
            "errors < 1%", "tpot = none", "share.queue > 50%", "goodput > 95%", '"a" = outcome', "1e9 < input_tokens",
        ):  # fmt: skip
            yield text.encode()
    elif name == "recording":
        yield b'{"source":"a","request":{"body":{"model":"m"}},"response":{"status":200,"headers":{"a":"b"},"body":{}}}'
        yield b'{"request":{"body":{}},"response":{"status":200,"sse":["{}","[DONE]"],"sse_event_names":{"0":"error"}}}'
    else:
        yield b"x-ratelimit-limit-requests: 14400\nx-ratelimit-reset-tokens: 2m59.56s\nx-ratelimit-remaining-tokens: 0"
        yield b"retry-after: 1.5\nretry-after-ms: 26\nx-ratelimit-reset-requests: 6d3h1m2.5s"
        yield b"retry-after: Wed, 21 Oct 2026 07:28:00 GMT"


def _otlp_seeds() -> Iterator[bytes]:
    attributes, events = encode(
        RequestRecord(start_unix_ns=1, duration_ns=5, model="m", stream=True, ttfc_ns=3, timeline_us=(1, 2), cost=0.5)
    )
    span = {
        "traceId": "01" * 16,
        "spanId": "02" * 8,
        "name": "chat m",
        "startTimeUnixNano": "1",
        "endTimeUnixNano": "6",
        "attributes": [{"key": key, "value": _value(value)} for key, value in attributes.items()],
        "events": [{"name": name, "timeUnixNano": str(at)} for name, at, _ in events],
    }
    yield json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
    foreign = {**span, "attributes": [{"key": "gen_ai.provider.name", "value": {"stringValue": "groq"}}]}
    yield json.dumps({"batches": [{"scopeSpans": [{"spans": [foreign]}]}]}).encode()


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, tuple):
        return {"arrayValue": {"values": [_value(v) for v in value]}}
    return {"stringValue": value}
