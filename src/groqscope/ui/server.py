"""The live page as an object: a server in this thread, or in one of its own."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from uvicorn import Config
from uvicorn import Server as Uvicorn

from groqscope._serving import EVERYWHERE, LOOPBACK, listen, names_of_this_machine
from groqscope.ui.app import Application, make_app
from groqscope.ui.collection import KEPT, Collection
from groqscope.ui.receiver import Receiver

PORT: Final = 4318
"""The port to which OTLP/HTTP is sent by default."""
_KEEP_ALIVE: Final = 30
_GRACE: Final = 2
"""Seconds that open requests have to end when the server stops."""


class Server:
    """`with Server(directory) as server: ...` serves the page on `server.url`."""

    def __init__(
        self,
        path: Path | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = PORT,
        token: str | None = None,
        read_only: bool = False,
        kept: int = KEPT,
    ) -> None:
        """Configure a server; `start` makes it listen.

        Args:
            path: A directory or a file to follow; by default the local store.
            host: Address to listen on; one that is not loopback needs a token.
            port: 0 takes a free one.
            token: What every request needs to be answered.
            read_only: Refuse telemetry; a file is never written to.
            kept: Greatest number of requests in memory.

        Raises:
            SourceError: there is no place for the local store.
            ValueError: other machines could read it, and there is no token.
        """
        if token is None and host not in LOOPBACK:
            raise ValueError(f"{host} is not loopback: a token is needed")
        self._host, self._port, self._token = host, port, token
        self.collection = Collection(path, kept=kept)
        receives = not read_only and not self.collection.path.is_file()
        self._receiver = Receiver(self.collection.path if receives else None)
        self._server: _Uvicorn | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address of the server, which `OTEL_EXPORTER_OTLP_ENDPOINT` takes."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104 - what was bound
        return self._url(host)

    @property
    def urls_elsewhere(self) -> list[str]:
        """The addresses of the server for other machines, of which those that reach this one can use some."""
        if self._host in LOOPBACK:
            return []
        return list(map(self._url, names_of_this_machine() if self._host in EVERYWHERE else [self._host]))

    @property
    def address(self) -> str:
        """The page's address, with the token where one is needed."""
        return self.page(self.url)

    def page(self, url: str) -> str:
        """Return the page's address at one of the server's addresses."""
        return url + (f"/?token={self._token}" if self._token is not None else "/")

    def _url(self, host: str) -> str:
        return f"http://{f'[{host}]' if ':' in host else host}:{self._port}"

    def run(self, announce: Callable[[], object]) -> None:
        """Serve in this thread until Ctrl-C; `announce` is called once it listens.

        Raises:
            OSError: the port is taken, or the address is not this machine's.
            KeyboardInterrupt: on Ctrl-C, after everything was closed.
        """
        listener, self._port = listen(self._host, self._port)
        self._server = self._make()
        self._server.on_ready = announce
        self._server.run([listener])

    def start(self) -> Self:
        """Listen in a thread, and return once requests are answered.

        Raises:
            OSError: the port is taken, or the address is not this machine's.
        """
        listener, self._port = listen(self._host, self._port)
        server = self._server = self._make()
        ready = threading.Event()
        server.on_ready = ready.set
        self._thread = threading.Thread(target=server.run, args=([listener],), name="groqscope-ui-http", daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def stop(self) -> None:
        """Close every connection and end the threads."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
        self._server = self._thread = None

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def _make(self) -> "_Uvicorn":
        application = Application(self.collection, self._receiver)
        hosts = {self._host, socket.gethostname(), "host.docker.internal"} if self._token is not None else ()
        return _Uvicorn(application, make_app(application, hosts=hosts, token=self._token))


class _Uvicorn(Uvicorn):
    """Calls back when it listens, and ends live events when it stops."""

    def __init__(self, application: Application, app: Any) -> None:
        config = Config(
            app,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_GRACE,
        )
        super().__init__(config)
        self._application = application
        self.on_ready: Callable[[], object] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.on_ready is not None:
            self.on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._application.stopping.set()
        await super().shutdown(sockets)
