"""An HTTP proxy on loopback, for tests of how a connection to Groq is established."""

import asyncio
import socket
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_HEAD = b"\r\n\r\n"
_PIECE = 65_536


@dataclass(slots=True)
class Passage:
    """One connection through the proxy; monotonic nanoseconds."""

    target: str
    """The requested host and port."""
    accepted_ns: int
    asked_ns: int
    """When the head of the request had arrived."""
    answered_ns: int | None = None
    """When the tunnel was established, or the plain request forwarded."""


class Proxy:
    """Tunnels `CONNECT` and forwards plain requests, both after a delay.

    `with Proxy(delay=0.05) as proxy: httpx.Client(proxy=proxy.url)`. A plain connection serves one request: the proxy
    sends `connection: close`.
    """

    def __init__(self, *, delay: float = 0.0, refuse: int | None = None) -> None:
        """Describe a proxy.

        Args:
            delay: seconds before a request to the proxy is answered.
            refuse: answer every request with this HTTP status instead.
        """
        self.passages: list[Passage] = []
        """The ground truth, in order of arrival."""
        self._delay = delay
        self._refuse = refuse
        self._listener: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread
        self._stopping = asyncio.Event()
        self._open: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """What `httpx.Client(proxy=…)` takes."""
        if self._listener is None:
            raise RuntimeError("the proxy is not started: use it in a `with` block")
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        """Listen."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="simulator-proxy", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop, and close the connections that are still open."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._take, sock=self._listener)
        await self._stopping.wait()
        server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._pass(reader, writer, time.monotonic_ns()))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, accepted_ns: int) -> None:
        try:
            head = await reader.readuntil(_HEAD)
            method, target, version = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
            address = target if method == "CONNECT" else urlsplit(target).netloc
            passage = Passage(address, accepted_ns, time.monotonic_ns())
            self.passages.append(passage)
            await asyncio.sleep(passage.asked_ns / 1e9 + self._delay - self._loop.time())
            if self._refuse is not None:
                writer.write(f"HTTP/1.1 {self._refuse} Refused\r\ncontent-length: 0\r\n\r\n".encode())
                await writer.drain()
                return
            host, _, port = address.rpartition(":")
            upstream = await asyncio.open_connection(host.strip("[]"), int(port))
            passage.answered_ns = time.monotonic_ns()
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                upstream[1].write(_origin_form(head, target, version))
            await asyncio.gather(_pipe(reader, upstream[1]), _pipe(upstream[0], writer))
        except (OSError, ValueError, asyncio.IncompleteReadError):
            pass  # the client or the target disconnected
        finally:
            writer.close()


def _origin_form(head: bytes, target: str, version: str) -> bytes:
    path = target.split("/", 3)[-1]
    method, rest = head.split(b" ", 1)[0], head.split(b"\r\n", 1)[1]
    return method + f" /{path} {version}\r\nconnection: close\r\n".encode() + rest


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
    finally:
        writer.close()
