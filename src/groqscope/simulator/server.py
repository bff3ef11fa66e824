"""The simulator as an object: a server in its own thread, on a local port."""

import ssl
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

from groqscope import _serving
from groqscope._serving import listen
from groqscope.simulator.hub import Hub
from groqscope.simulator.library import Library, Recording, RecordingError, read_recordings
from groqscope.simulator.prompt_cache import PromptCache
from groqscope.simulator.script import Connection, Pace, Script
from groqscope.simulator.served import Served

if TYPE_CHECKING:
    from groqscope.simulator.uvicorn import UvicornServer

MAX_BODY = 32 * 1024 * 1024
"""Limit of a request's body in bytes; Groq accepts audio of 25 MB."""
BODY_TIMEOUT = 60.0
"""Seconds for the body to arrive."""


class Simulator:
    """A Groq-compatible server for tests and the demo.

    `with Simulator(script) as sim: Groq(base_url=sim.base_url, api_key="test")`. Start and stop may be called instead.
    """

    def __init__(
        self,
        script: Script | None = None,
        *,
        replay: Path | str | Sequence[Recording] | None = None,
        pace: Pace | None = None,
        prompt_cache: PromptCache | None = None,
        connections: Sequence[Connection] = (),
        tls: bool | ssl.SSLContext = False,
        host: str = "127.0.0.1",
        port: int = 0,
        keep_alive: float = 60.0,
        max_body: int = MAX_BODY,
        body_timeout: float = BODY_TIMEOUT,
    ) -> None:
        """Configure a server; `start` makes it listen.

        Args:
            script: what to answer; see `groqscope.simulator`. The replay answers requests that it does not.
            replay: a directory of recordings, or recordings.
            pace: how fast recordings are replayed; by default as Groq reported.
            prompt_cache: what is remembered of prompts, and so reported as cached; by default nothing.
            connections: how the n-th connection is accepted; the last one repeats.
            tls: True makes a certificate (needs trustme); pass `client_tls` to clients so that they trust it.
            host: address to listen on; other addresses than loopback are open to the network.
            port: 0 chooses a free one.
            keep_alive: seconds an idle connection stays open.
            max_body: largest request body in bytes; a larger one gets a 413.
            body_timeout: seconds for a body to arrive; a slower one gets a 408.

        Raises:
            RecordingError: there is nothing to replay. Errors of single files are in `recording_errors` instead.
            MissingExtraError: starlette or uvicorn is missing.
        """
        require_extra()
        self.recording_errors: list[RecordingError] = []
        self.client_tls: ssl.SSLContext | None = None
        """What a client needs to trust this server: `httpx.Client(verify=sim.client_tls)`."""
        self._host, self._port = host, port
        self._keep_alive, self._max_body, self._body_timeout = keep_alive, max_body, body_timeout
        self._hub = Hub(
            script=script,
            library=self._library(replay),
            pace=pace or Pace(),
            connections=connections,
            tls=self._tls(tls),
            prompt_cache=prompt_cache,
        )
        self._thread: threading.Thread | None = None
        self._server: UvicornServer | None = None

    def start(self) -> Self:
        """Listen, and return once requests are answered.

        Raises:
            OSError: the port is taken, or the address is not this machine's.
        """
        if self._server is None:
            listener, self._port = listen(self._host, self._port)
            self._server = self._make_server()
            self._thread = threading.Thread(target=self._server.run, args=([listener],), name="simulator", daemon=True)
            self._thread.start()
            self._server.ready.wait()
        return self

    def stop(self) -> None:
        """Stop listening and close open connections."""
        if self._server is not None and self._thread is not None:
            self._server.stop()
            self._thread.join()
        self._server = self._thread = None

    def run(self, announce: Callable[[str], None], on_served: Callable[[Served], None] | None = None) -> None:
        """Serve in this thread until Ctrl+C.

        Args:
            announce: called with the address once the server listens.
            on_served: called with each request when it is done; it is not kept in `served`.

        Raises:
            OSError: the port is taken, or the address is not this machine's.
            KeyboardInterrupt: on Ctrl+C, after everything was closed.
        """

        def done(served: Served) -> None:
            self.forget()
            if on_served is not None:
                on_served(served)

        listener, self._port = listen(self._host, self._port)
        self._hub.on_served = done
        server = self._make_server()
        # Only once uvicorn handles Ctrl+C; earlier it would interrupt imports or a half-built event loop.
        server.on_ready = lambda: announce(self.base_url)
        server.run([listener])

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    @property
    def base_url(self) -> str:
        """What `Groq(base_url=…)` takes."""
        scheme = "http" if self._hub.tls is None else "https"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{scheme}://{host}:{self._port}"

    @property
    def served(self) -> list[Served]:
        """The ground truth: every request in order of arrival, those still being served included."""
        return list(self._hub.served)

    def settle(self, timeout: float = 10.0) -> list[Served]:
        """Wait until no request is being served, and return `served`.

        Raises:
            TimeoutError: a request is still being served after `timeout` seconds.
        """
        if not self._hub.settle(timeout):
            raise TimeoutError(f"the simulator is still serving a request after {timeout:g} s")
        return self.served

    def forget(self) -> None:
        """Remove finished requests from `served`, for a simulator that many tests share."""
        self._hub.forget()

    @property
    def recordings(self) -> Sequence[Recording]:
        """The recordings that are replayed."""
        return () if self._hub.library is None else self._hub.library.recordings

    def play(self, script: Script | None) -> None:
        """Replace the script, starting with the next request."""
        self._hub.play(script)

    def take(self, connections: Sequence[Connection]) -> None:
        """Replace how connections are accepted, starting with the next one."""
        self._hub.take(connections)

    def _make_server(self) -> "UvicornServer":
        from groqscope.simulator.uvicorn import UvicornServer

        return UvicornServer(
            self._hub, keep_alive=self._keep_alive, max_body=self._max_body, body_timeout=self._body_timeout
        )

    def _library(self, replay: Path | str | Sequence[Recording] | None) -> Library | None:
        if replay is None:
            return None
        if isinstance(replay, Path | str):
            replay, self.recording_errors = read_recordings(Path(replay))
        return Library(replay)

    def _tls(self, tls: bool | ssl.SSLContext) -> ssl.SSLContext | None:  # noqa: FBT001 - as the option is
        if isinstance(tls, ssl.SSLContext):
            return tls
        if not tls:
            return None
        made = make_local_tls()
        self.client_tls = made.client
        return made.server


def require_extra() -> None:
    """Check that the packages of the extra `simulator` are installed.

    Raises:
        MissingExtraError: they are not; the message contains the command that installs them.
    """
    _serving.require_extra("simulator", "the simulator")


class LocalTls(NamedTuple):
    """The contexts of a TLS server and of a client that trusts it."""

    server: ssl.SSLContext
    client: ssl.SSLContext


def make_local_tls() -> LocalTls:
    """Make a certificate authority and a certificate for localhost, kept in memory only.

    Raises:
        ImportError: `trustme` is not installed.
    """
    try:
        import trustme
    except ImportError as error:
        raise ImportError("Simulator(tls=True) needs trustme: pip install trustme") from error
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return LocalTls(server, client)
