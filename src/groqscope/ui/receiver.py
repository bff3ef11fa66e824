"""The OTLP/HTTP receiver: writes what it receives to the store before it answers.

It takes protobuf and JSON, plain or gzip. Size, time, concurrency and rate are limited, each with the answer that OTLP
defines, so that exporters retry what was refused for the moment and drop what cannot be read.
"""

import asyncio
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from groqscope.delivery import Signal, line_of_json, line_of_protobuf
from groqscope.store import METRICS_SHARE, SEGMENT_BYTES, TOTAL_BYTES, SegmentWriter

MAX_BODY: Final = 16 * 1024 * 1024
"""The limit of bytes in a request's body, compressed and uncompressed."""
BODY_TIMEOUT: Final = 10.0
"""Seconds in which a body has to arrive."""
AT_ONCE: Final = 8
"""How many requests are read at the same time, which limits the bodies in memory; others wait."""
RATE: Final = 64 * 1024 * 1024
"""The limit of bytes per second, on average."""
PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"


class Refused(Exception):
    """A request is refused, with this status and reason."""

    def __init__(self, status: int, reason: str, *, retry_after: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


class Allowance:
    """A limit of bytes per second on average, with bursts of twice as many."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock = rate, clock
        self._left, self._at = 2 * rate, clock()

    def take(self, size: int) -> bool:
        """Use part of the allowance; return whether any was left."""
        now = self._clock()
        self._left = min(2 * self._rate, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left <= 0:
            return False
        self._left -= size
        return True


class Receiver:
    """Receives exports of programs and collectors, and writes them to a store's directory."""

    def __init__(
        self,
        directory: Path | None,
        *,
        max_body: int = MAX_BODY,
        body_timeout: float = BODY_TIMEOUT,
        rate: float = RATE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Write to a directory; `None` refuses everything."""
        self._max_body, self._body_timeout = max_body, body_timeout
        self._allowance = Allowance(rate, clock)
        self._places = asyncio.Semaphore(AT_ONCE)
        self._writers: dict[Signal, SegmentWriter] = {}
        if directory is not None:
            self._writers = {
                "traces": SegmentWriter(directory, "traces"),
                "metrics": SegmentWriter(
                    directory,
                    "metrics",
                    segment_bytes=SEGMENT_BYTES // METRICS_SHARE,
                    total_bytes=TOTAL_BYTES // METRICS_SHARE,
                ),
            }

    def close(self) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()

    async def traces(self, request: Request) -> Response:
        """Receive spans."""
        return await self._receive(request, "traces")

    async def metrics(self, request: Request) -> Response:
        """Receive metrics."""
        return await self._receive(request, "metrics")

    async def _receive(self, request: Request, signal: Signal) -> Response:
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            await self._wait_for_a_place()
            try:
                await self._take(request, signal, content_type)
            finally:
                self._places.release()
        except Refused as refused:
            return _refusal(refused, content_type)
        return Response(b"{}" if content_type == JSON else b"", media_type=content_type)

    async def _wait_for_a_place(self) -> None:
        try:
            async with asyncio.timeout(self._body_timeout):
                await self._places.acquire()
        except TimeoutError:
            # 503 rather than 429: every exporter tries that again
            raise Refused(503, f"too many requests at once: {AT_ONCE} are being read", retry_after=1) from None

    async def _take(self, request: Request, signal: Signal, content_type: str) -> None:
        writer = self._writers.get(signal)
        if writer is None:
            raise Refused(403, "this server only reads (--read-only)")
        if content_type not in (PROTOBUF, JSON):
            raise Refused(415, f"expected {PROTOBUF} or {JSON}")
        body = await self._body(request)
        if not self._allowance.take(len(body)):
            raise Refused(503, "too many bytes in one second", retry_after=1)
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        await run_in_threadpool(self._write, writer, body, encoding, content_type, signal)

    async def _body(self, request: Request) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_timeout):
                async for part in request.stream():
                    body += part
                    if len(body) > self._max_body:
                        raise Refused(413, f"a body has at most {self._max_body:,} bytes")
        except TimeoutError:
            raise Refused(408, f"the body did not arrive within {self._body_timeout:g} s") from None
        except ClientDisconnect:
            raise Refused(400, "the body ended early") from None
        return bytes(body)

    def _write(self, writer: SegmentWriter, body: bytes, encoding: str, content_type: str, signal: Signal) -> None:
        plain = self._decoded(body, encoding)
        try:
            line = (line_of_json if content_type == JSON else line_of_protobuf)(plain, signal)
        except ValueError as error:
            raise Refused(400, str(error)) from error
        if line is not None and not writer.write(line):
            raise Refused(503, "the store cannot be written", retry_after=5)

    def _decoded(self, body: bytes, encoding: str) -> bytes:
        if encoding == "identity":
            return body
        if encoding != "gzip":
            raise Refused(415, "expected gzip, or no encoding")
        inflate = zlib.decompressobj(wbits=31)
        try:
            plain = inflate.decompress(body, self._max_body + 1)
        except zlib.error as error:
            raise Refused(400, f"not gzip: {error}") from error
        if len(plain) > self._max_body:
            raise Refused(413, f"a body has at most {self._max_body:,} bytes, unpacked")
        if not inflate.eof:
            raise Refused(400, "not gzip: it ends early")
        return plain


def _refusal(refused: Refused, content_type: str) -> Response:
    headers = {"retry-after": str(refused.retry_after)} if refused.retry_after is not None else {}
    headers["connection"] = "close"  # the unread rest of the body would be parsed as the next request
    if content_type == PROTOBUF:
        return Response(_status(refused.reason), refused.status, headers, PROTOBUF)
    return Response(f"{refused.reason}\n", refused.status, headers, "text/plain")


def _status(reason: str) -> bytes:
    """Return a `google.rpc.Status` with only its message, field 2."""
    text = reason.encode()[:1000]
    size = len(text)
    return b"\x12" + (bytes([size]) if size < 0x80 else bytes([size & 0x7F | 0x80, size >> 7])) + text
