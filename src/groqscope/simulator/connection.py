"""One TCP connection of the simulator: uvicorn's HTTP/1.1 protocol, plus what a script does below the HTTP layer."""

import asyncio
import socket
import struct
import time
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from groqscope.simulator.hub import Hub
from groqscope.simulator.script import Connection
from groqscope.simulator.served import ConnectionFacts


class SimulatorProtocol(H11Protocol):
    """Accepts a connection as the script says, and records when bytes arrive."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Make the connection available to its requests, as `scope["state"]["connection"]`."""
        super().__init__(config, server_state, app_state | {"connection": self}, _loop)
        self.hub: Hub = app_state["hub"]
        self.lost: asyncio.Future[None] = self.loop.create_future()
        """Resolved once the connection is lost."""
        self._sleeper: asyncio.Future[None] | None = None
        self.facts: ConnectionFacts
        self.last_read_ns = 0
        self._opened = False
        self._early = b""
        self._opening: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - as uvicorn has it
        """Start reading, at once or after the script's delays."""
        # asyncio sets TCP_NODELAY only on sockets with an explicit protocol; without it a small write may wait 40 ms
        accepted = cast("socket.socket", transport.get_extra_info("socket"))
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.facts, plan = self.hub.connect(time.monotonic_ns())
        if plan == Connection() and self.hub.tls is None:
            self._open(transport)
            return
        transport.pause_reading()
        self.transport = transport
        self.connections.add(self)
        self._opening = self.loop.create_task(self._open_later(transport, plan))

    def data_received(self, data: bytes) -> None:
        """Record the time; bytes that arrive with the last TLS handshake message are processed after the handshake."""
        self.last_read_ns = time.monotonic_ns()
        if self._opened:
            super().data_received(data)
        else:
            self._early += data
            self._handshake_ended(self.last_read_ns)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake the task that waits to write."""
        if self._opening is not None:
            self._opening.cancel()
        self.connections.discard(self)
        if self._opened:
            super().connection_lost(exc)
        wake(self.lost)
        if self._sleeper is not None:
            wake(self._sleeper)

    def shutdown(self) -> None:
        """Close the connection at once when the server stops."""
        self.transport.abort()

    def on_lost(self, sleeper: "asyncio.Future[None]") -> None:
        """Wake this future when the connection is lost; there is only one, as HTTP/1.1 serves one request at a time."""
        self._sleeper = sleeper

    def reset(self) -> None:
        """End the connection with a TCP RST, and discard what is still unsent."""
        raw = cast("socket.socket", self.transport.get_extra_info("socket"))
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _open(self, transport: asyncio.Transport) -> None:
        self.facts.opened_ns = self.facts.tls_done_ns or time.monotonic_ns()
        super().connection_made(transport)
        self._opened = True
        if self._early:
            super().data_received(self._early)
            self._early = b""

    async def _open_later(self, transport: asyncio.Transport, plan: Connection) -> None:
        begin = self.facts.accepted_ns / 1e9
        await self._sleep_until(begin + plan.accept_delay)
        if self.hub.tls is not None:
            await self._sleep_until(begin + plan.accept_delay + plan.tls_delay)
        if plan.reset:
            self.reset()
            return
        if self.hub.tls is None:
            transport.resume_reading()
            self._open(transport)
            return
        self.facts.tls_started_ns = time.monotonic_ns()
        try:
            secured = await self.loop.start_tls(transport, self, self.hub.tls, server_side=True)
        except OSError:  # the client rejected the certificate or disconnected; ssl.SSLError is an OSError
            transport.abort()
            return
        self._handshake_ended(time.monotonic_ns())
        if secured is not None:
            self._open(secured)

    def _handshake_ended(self, now_ns: int) -> None:
        if self.facts.tls_done_ns is None:
            self.facts.tls_done_ns = now_ns

    async def _sleep_until(self, when: float) -> None:
        await asyncio.sleep(when - self.loop.time())


def wake(sleeper: "asyncio.Future[None]") -> None:
    """Resolve the future unless it is done already."""
    if not sleeper.done():
        sleeper.set_result(None)
