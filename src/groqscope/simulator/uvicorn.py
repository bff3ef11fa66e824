"""uvicorn, running in a thread, which stops without waiting for open streams."""

import asyncio
import socket
import threading
from collections.abc import Callable
from types import FrameType

from uvicorn import Config, Server

from groqscope.simulator.app import make_app
from groqscope.simulator.connection import SimulatorProtocol
from groqscope.simulator.hub import Hub

BACKLOG = 4096
"""Connections that may wait to be accepted."""
_HEADERS = 256 * 1024


class UvicornServer(Server):
    """Signals when it is ready, and stops without waiting for open streams."""

    def __init__(self, hub: Hub, *, keep_alive: float, max_body: int, body_timeout: float) -> None:
        """Configure a server that adds nothing to the answers."""
        app = make_app(hub, max_body=max_body, body_timeout=body_timeout)
        config = Config(
            app,
            http=SimulatorProtocol,
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            backlog=BACKLOG,
            h11_max_incomplete_event_size=_HEADERS,
        )
        super().__init__(config)
        # uvicorn declares an int, but passes it to the event loop, which accepts fractions
        config.timeout_keep_alive = keep_alive  # pyright: ignore[reportAttributeAccessIssue]
        self.ready = threading.Event()
        self.on_ready: Callable[[], None] | None = None
        """Called in the server's thread when it listens and can be stopped."""
        self._stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then set `ready` and call `on_ready`."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.ready.set()
        if self.on_ready is not None:
            self.on_ready()

    async def main_loop(self) -> None:
        """Wait for `stop` instead of polling ten times a second."""
        await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close every connection, also those of streams that a test left open."""
        for listening in [*self.servers, *(sockets or [])]:
            listening.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=1.0)
        await self.lifespan.shutdown()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop on Ctrl+C."""
        super().handle_exit(sig, frame)
        self.stop()

    def stop(self) -> None:
        """Stop, from any thread."""
        self.should_exit = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopping.set)
