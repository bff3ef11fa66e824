"""Reads the JSON documents of a file, in every layout that writers use.

These are: one document per line; one or several documents over several lines, with any indentation; arrays of
documents; lines wrapped by a log collector (`docker`, `kubectl`, CRI); UTF-8, UTF-16 and UTF-32, with or without a byte
order mark; gzip; the collector's files of length-prefixed messages; protobuf. Any other format is rejected with one
warning that names it.
"""

import codecs
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator
from math import isfinite
from typing import Any, BinaryIO, Final, cast

import msgspec

from groqscope.store.report import TORN

MAX_DOCUMENT: Final = 256 * 1024 * 1024
"""Longest document in bytes; a longer one is skipped."""
MAX_PROTOBUF: Final = 64 * 1024 * 1024
"""Longest message in bytes; converting a message to JSON takes ten times its size in memory."""
BUFFER: Final = 1024 * 1024
_BLOCK: Final = 256 * 1024
_HEAD: Final = 512
"""How many of the first bytes determine the format of a file."""
_GZIP: Final = b"\x1f\x8b"
_GZIP_LAYERS: Final = 2
"""Some files are compressed a second time on their way."""
_TAR: Final = b"ustar"
_TAR_AT: Final = 257
_TAR_REFUSED: Final = "a tar archive, which groqscope does not read: unpack it first"
_HOLE: Final = re.compile(rb"\0{8,}")
"""Zeros that some file systems leave where a write did not reach the disk."""
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_PREFIX: Final = 4
"""Size of a length prefix in bytes."""
_REFUSED: Final = {
    _ZSTD: "compressed with zstd, which groqscope does not read: decompress it first, `zstd -d FILE`",
    b"PK\x03\x04": "a ZIP archive, which groqscope does not read: unpack it first",
    b"BZh": "compressed with bzip2, which groqscope does not read: decompress it first, `bunzip2 FILE`",
    b"\xfd7zXZ": "compressed with xz, which groqscope does not read: decompress it first, `unxz FILE`",
    b"\x04\x22\x4d\x18": "compressed with LZ4, which groqscope does not read: decompress it first, `lz4 -d FILE`",
    b"PAR1": "a Parquet file, which groqscope does not read: export OTLP JSON",
    b"SQLite format 3": "an SQLite database, which groqscope does not read: export OTLP JSON",
    b"%PDF": "a PDF, which groqscope does not read: export OTLP JSON",
}
_COLLECTOR_ZSTD: Final = (
    "messages of the collector's file exporter, compressed with zstd, which groqscope does not read: "
    "set `compression: none` there"
)
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"?')
_TOP: Final = re.compile(rb'\{\s*"(?:resource_?[Ss]pans|resource_?[Mm]etrics|resource_?[Ll]ogs|batches|trace)"')
_TOP_TEXT: Final = re.compile(_TOP.pattern.decode())
_BRACKET: Final = re.compile(r'"spans"\s*:\s*\[|"(?:[^"\\]|\\.)*"|[\[\]{}]')
"""The start of a list of spans, a string, or another bracket."""
_CUT_VALUE: Final = re.compile(rb"(?<=[\[,:])\s*(?:-|-?\d+(?:\.\d*)?(?:[eE][+-]?\d*)?|tr?u?|fa?l?s?|nu?l?|Na?)$")
_CUT_VALUE_TEXT: Final = re.compile(_CUT_VALUE.pattern.decode())
"""A number or literal at the end that may be incomplete."""
_INTO: Final = 2
"""A document that was cut off inside a string takes these characters, `{"`, from the document after it."""
_CRI: Final = re.compile(rb"\S+ (?P<stream>stdout|stderr) (?P<flag>[FP])\S* ?")
_AROUND: Final = b" \t\r\n\f\x00\x1e\xef\xbb\xbf"
"""What may surround a document: whitespace, a record separator, a byte order mark."""
_AROUND_TEXT: Final = " \t\r\n\f\x00\x1e\ufeff"
_LONGEST_NUMBER: Final = 400
"""Most digits of a number; a longer one stays a string, which no field accepts."""

Document = tuple[int, bytes, bool]
"""The number of its first line (or message), its bytes, and whether it is complete."""


class _DockerLine(msgspec.Struct):
    log: str
    stream: str = ""


_decode_docker: Final = msgspec.json.Decoder(_DockerLine).decode


def documents(file: BinaryIO, warn: Callable[[int | None, str], None]) -> Iterator[Document]:
    """Yield the documents of an open file; call `warn` with a line number and the reason for what is skipped."""
    opened = cast("io.BufferedReader", file)
    for _ in range(_GZIP_LAYERS):
        if opened.peek(2)[:2] == _GZIP:
            opened = _buffered(_gunzipped(opened, warn))
    head = opened.peek(_HEAD)[:_HEAD]
    refused = next((sentence for magic, sentence in _REFUSED.items() if head.startswith(magic)), None)
    refused = _TAR_REFUSED if head[_TAR_AT:].startswith(_TAR) else refused
    if refused is not None:
        warn(None, refused)
        return
    if _has_lengths(head):
        yield from _messages(opened, warn)
        return
    text = head.lstrip(b"\0") if _HOLE.match(head) else head
    encoding = json.detect_encoding(text) if text else "utf-8"
    if encoding not in {"utf-8", "utf-8-sig"}:
        opened = _buffered(_as_utf8(opened, encoding))
    elif _is_binary(head):
        data = opened.read(MAX_PROTOBUF + 1)
        converted = _from_protobuf(data) if head[:1] == b"\n" and len(data) <= MAX_PROTOBUF else None
        if converted is None:
            warn(None, "neither text nor OTLP protobuf; not read")
        else:
            yield 1, converted, True
        return
    yield from _assembled(_unwrapped(_lines(opened, warn)))


def split(data: bytes) -> tuple[list[bytes], list[str]]:
    """Split and repair what msgspec rejects as one document; return the documents, and warnings.

    Repaired are: several documents in one line, `NaN`, lone surrogates, texts that were cut inside a UTF-8 sequence,
    numbers beyond a double.
    """
    text = data.decode("utf-8", "replace").strip(_AROUND_TEXT)
    found: list[bytes] = []
    said: list[str] = []
    at = 0
    while at < len(text):
        try:
            value, end = _tolerant.raw_decode(text, at)
        except RecursionError:
            said.append("not JSON: nested too deeply")
            break
        except ValueError as error:
            # A document may be preceded by another one that was cut off.
            following = next((match.start() for match in _TOP_TEXT.finditer(text, at + 1)), len(text))
            torn = _torn_at(text, following, error)
            said.append(f"{TORN if torn else 'not JSON'}; what is complete beside it was read")
            if torn and (whole := _whole_spans(text[at:following])) is not None:
                found.append(whole)
            at = following
            continue
        written = json.dumps(value, ensure_ascii=False)
        if _has_broken_text(text[at:end], written):
            said.append("a text is not valid UTF-8 or JSON: its unreadable characters were replaced")
        found.append(written.encode("utf-8", "replace"))
        at = len(text) - len(text[end:].lstrip(_AROUND_TEXT + ","))
    return found, list(dict.fromkeys(said))


def _torn_at(text: str, following: int, error: ValueError) -> bool:
    """Return whether a document was cut off, at the end of the text or at the start of another document."""
    at = getattr(error, "pos", 0)
    value = _CUT_VALUE_TEXT.search(text)
    end = len(text) if value is None else value.start()
    return "Unterminated" in str(error) or at >= end or following <= at <= following + _INTO


def _whole_spans(text: str) -> bytes | None:
    """Return a document that was cut off, up to its last complete span; `None` when it has none."""
    open_: list[str] = []
    lists: list[int] = []
    end, closing = 0, ""
    for match in _BRACKET.finditer(text):
        bracket = match.group()[-1]
        if bracket == '"':
            continue
        if bracket in "{[":
            open_.append("}" if bracket == "{" else "]")
            if len(match.group()) > 1:
                lists.append(len(open_))
        elif open_:
            open_.pop()
            if lists and len(open_) == lists[-1]:
                end, closing = match.end(), "".join(reversed(open_))
            elif lists and len(open_) < lists[-1]:
                lists.pop()
    whole = text[:end] + closing
    try:
        json.loads(whole)
    except (ValueError, RecursionError):
        return None
    return whole.encode("utf-8", "replace")


class _Blocks(io.RawIOBase):
    """A file made from an iterator of blocks of bytes."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride] - any buffer
        while not self._left:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._left = memoryview(block)
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


def _buffered(blocks: Iterator[bytes]) -> io.BufferedReader:
    return io.BufferedReader(_Blocks(blocks), BUFFER)


def _gunzipped(file: BinaryIO, warn: Callable[[int | None, str], None]) -> Iterator[bytes]:
    """Yield the decompressed gzip members, up to the first damage."""
    inflate, data = zlib.decompressobj(31), file.read(BUFFER)
    while data:
        try:
            yield inflate.decompress(data, BUFFER)
        except zlib.error as error:
            warn(None, f"the compressed file is damaged: {error}; read up to that point")
            return
        data = inflate.unconsumed_tail or (inflate.unused_data if inflate.eof else b"") or file.read(BUFFER)
        if inflate.eof and data:
            data = data.lstrip(b"\0") or file.read(BUFFER).lstrip(b"\0")
            if data and not data.startswith(_GZIP[: len(data)]):
                warn(None, "data that is not gzip follows the compressed part; read up to that point")
                return
            inflate = zlib.decompressobj(31) if data else inflate
    if not inflate.eof:
        warn(None, "the compressed file is damaged or truncated: its end is missing; read up to that point")


def _as_utf8(file: BinaryIO, encoding: str) -> Iterator[bytes]:
    decode = codecs.getincrementaldecoder(encoding)("replace").decode
    while block := file.read(BUFFER):
        yield decode(block).encode("utf-8", "replace")
    yield decode(b"", final=True).encode("utf-8", "replace")


def _has_lengths(head: bytes) -> bool:
    """Return whether the file begins with a length prefix and a message in JSON, protobuf or zstd."""
    length, message = int.from_bytes(head[:_PREFIX], "big"), head[_PREFIX:]
    return (
        0 < length <= MAX_DOCUMENT
        and head[0] not in b"\t\n\r"
        and (message[:1] in {b"{", b"["} or message.startswith(_ZSTD) or (message[:1] == b"\n" and not head[0]))
    )


def _messages(file: BinaryIO, warn: Callable[[int | None, str], None]) -> Iterator[Document]:
    number = 0
    while prefix := file.read(_PREFIX):
        number += 1
        length = int.from_bytes(prefix, "big")
        if len(prefix) == _PREFIX and length > MAX_DOCUMENT:
            warn(number, f"a message of {length >> 20:,} MiB, or an invalid length prefix; read up to that point")
            return
        message = file.read(length)
        if len(prefix) < _PREFIX or len(message) < length:
            warn(number, f"{TORN}; skipped")
            return
        if message.startswith(_ZSTD):
            warn(number, _COLLECTOR_ZSTD)
            return
        if message[:1] in {b"{", b"["}:
            yield number, message, True
        elif (converted := _from_protobuf(message)) is not None:
            yield number, converted, True
        else:
            warn(number, "a message that is neither OTLP JSON nor protobuf; skipped")


def _from_protobuf(data: bytes) -> bytes | None:
    """Return protobuf traces as JSON; `None` when it is something else."""
    from google.protobuf import json_format
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

    try:
        return json_format.MessageToJson(TracesData.FromString(data), indent=None).encode()
    except (DecodeError, UnicodeError, json_format.Error):
        return None


def _is_binary(head: bytes) -> bool:
    return any(byte < 0x20 and byte not in b"\t\n\r\f\x1e" for byte in _HOLE.sub(b"", head))  # the control characters


def _lines(file: io.BufferedReader, warn: Callable[[int | None, str], None]) -> Iterator[tuple[int, bytes]]:
    """Yield lines with their numbers. `readline` takes five times as long for lines of megabytes, as the store has."""
    number, size = 1, 0
    begun: list[bytes] = []
    while block := file.read1(_BLOCK):
        start = 0
        while start < len(block):
            end = block.find(b"\n", start) + 1
            part = block[start : end or len(block)]
            start += len(part)
            size += len(part)
            if size <= MAX_DOCUMENT:
                begun.append(part)
            else:
                begun.clear()
            if end:
                yield from _line(number, begun, warn)
                number, size = number + 1, 0
                begun.clear()
    if size:
        yield from _line(number, begun, warn)


def _line(number: int, parts: list[bytes], warn: Callable[[int | None, str], None]) -> Iterator[tuple[int, bytes]]:
    if parts:
        yield number, b"".join(parts)
    else:
        warn(number, f"a line longer than {MAX_DOCUMENT >> 20} MiB; skipped")


def _unwrapped(lines: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Yield lines without what Docker's and Kubernetes' logs add; join lines that these split at 16 KiB."""
    parts: dict[bytes, list[bytes]] = {}
    for number, line in lines:
        if line[:1] == b"{":
            if not line.startswith(b'{"log":'):
                yield number, line
                continue
            try:
                entry = _decode_docker(line)
            except (msgspec.DecodeError, UnicodeError):
                yield number, line
                continue
            stream, text = entry.stream.encode(), entry.log.encode("utf-8", "replace")
            ends = text.endswith(b"\n")
        elif (cri := _CRI.match(line)) is not None:
            stream, text, ends = cri["stream"], line[cri.end() :], cri["flag"] == b"F"
            text = text if ends else text.rstrip(b"\r\n")
        else:
            yield number, line
            continue
        begun = parts.setdefault(stream, [])
        begun.append(text)
        if ends or sum(map(len, begun)) > MAX_DOCUMENT:
            yield number, b"".join(parts.pop(stream))
    for begun in parts.values():
        yield 0, b"".join(begun)


def _assembled(lines: Iterator[tuple[int, bytes]]) -> Iterator[Document]:
    """Join the lines of documents that span several lines."""
    begun: list[bytes] = []
    first = depth = size = 0
    for number, given in lines:
        line = given.lstrip(_AROUND) if given[:1] in _STARTS else given
        if begun:
            if _TOP.match(line) and begun[0][:1] == b"{" and given[:1] == b"{":
                yield first, b"".join(begun).rstrip(), False  # it was cut off, and its writer started again
                begun, depth, size = [], 0, 0
            else:
                depth += _deeper(line)
                size += len(line)
                if size <= MAX_DOCUMENT:
                    begun.append(line)
                if depth <= 0:
                    yield first, b"".join(begun), True
                    begun, depth, size = [], 0, 0
                continue
        if not line:
            continue
        if line[:1] not in _OPENING:
            at = line.find(b"{")
            yield number, line if at < 0 or not line.rstrip().endswith(b"}") else line[at:], line.endswith(b"\n")
        elif _looks_whole(line) or (depth := _deeper(line)) <= 0 or not _may_go_on(line):
            depth = 0
            yield number, line, True
        else:
            begun, first, size = [line], number, len(line)
    if begun:
        yield first, b"".join(begun).rstrip(), False


_STARTS: Final = frozenset(_AROUND[at : at + 1] for at in range(len(_AROUND)))
_OPENING: Final = frozenset({b"{", b"["})
_LONG: Final = 4096
"""A line longer than this is not part of an indented document."""


def _looks_whole(line: bytes) -> bool:
    """Return whether a line is probably a whole document: its brackets are closed, or it is too long to be indented."""
    if len(line) > _LONG:
        return line.endswith((b"}\n", b"]\n")) or line.rstrip().endswith((b"}", b"]"))
    return line.count(b"{") == line.count(b"}") and line.count(b"[") == line.count(b"]")


def _may_go_on(line: bytes) -> bool:
    """Return whether it is valid as far as it goes, and only its end is missing."""
    try:
        msgspec.json.decode(line.rstrip(), type=msgspec.Raw)
    except msgspec.DecodeError as error:
        return "truncated" in str(error) or _CUT_VALUE.search(line.rstrip()) is not None
    except RecursionError:
        return False
    return True


def _deeper(line: bytes) -> int:
    """Return how many more brackets a line opens than it closes, outside of strings, which cannot span lines."""
    if b'"' in line:
        line = _STRING.sub(b"", line)
    return line.count(b"{") + line.count(b"[") - line.count(b"}") - line.count(b"]")


def _has_broken_text(given: str, written: str) -> bool:
    """Return whether strings had to be repaired; repaired numbers are reported where their fields are read."""
    try:
        json.loads(given)
        written.encode()
    except (ValueError, RecursionError):
        return True
    return "\ufffd" in given


def _number(text: str) -> Any:
    if len(text) > _LONGEST_NUMBER:
        return text
    number = float(text)
    return number if isfinite(number) else text


_tolerant: Final = json.JSONDecoder(
    strict=False,
    parse_constant=str,
    parse_float=_number,
    parse_int=lambda text: int(text) if len(text) <= _LONGEST_NUMBER else text,
)
