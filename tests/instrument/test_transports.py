"""Whatever carries the bytes: own clients, transports, hooks, proxies, TLS, aiohttp, a trace callback of one's own."""

import asyncio
import contextlib
import gc
import gzip
import select
import socket
import socketserver
import threading
from collections.abc import Iterator
from typing import Any

import groq
import httpx
import pytest
from groq import DefaultAioHttpClient
from support.both import Mode, both, each_mode
from support.callers import read_chunks, whole
from support.scope import ASK, STREAM, Exported, Pieces, Wire, groq_client, http_client, sse
from support.transports import retrying

from groqscope.simulator import Answer, Connection, Delays, Failure, Hang, Response, Simulator

UNSEEN = ("pool_wait", "connect", "tls", "send")
TEXT = Answer(["a", "b"])
HTTPX: Any = httpx
"""A module, which counts as not hashable for type checkers."""


@both
async def twice(client: Any) -> Any:
    async with client:
        for _ in range(2):
            await client.chat.completions.create(**ASK)


@both
async def lines(client: Any) -> Any:
    async with client, client.chat.completions.with_streaming_response.create(**STREAM) as response:
        return [line async for line in response.iter_lines()]


@both
async def read_as_json(client: Any) -> Any:
    async with client, client.chat.completions.with_streaming_response.create(**ASK) as response:
        return await response.json()


class Wrapped(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport around httpx's own, as users write them."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._inner.handle_request(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._inner.handle_async_request(request)

    def close(self) -> None:
        self._inner.close()

    async def aclose(self) -> None:
        await self._inner.aclose()


@each_mode
def test_a_transport_around_httpxs(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """What the inner transport tells is heard."""
    sim.play(TEXT)
    inner = httpx.HTTPTransport(verify=False) if mode == "sync" else httpx.AsyncHTTPTransport(verify=False)
    read_chunks(mode, exported.client(mode, sim.base_url, http={"transport": Wrapped(inner)}))
    record, _ = exported.only()

    assert record.phases_unseen == ()
    assert record.phases.connect is not None
    assert record.connection_reused is False


@each_mode
@pytest.mark.parametrize("ask", [read_chunks, whole], ids=lambda s: s.name)
def test_a_transport_that_tells_nothing(ask: Any, mode: Mode, exported: Exported) -> None:
    """Its time folds into the wait, and the record says which phases were not seen."""
    body = b'{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[]}'
    answers = {
        read_chunks: lambda _: sse(b'data: {"choices":[]}\n\n', b"data: [DONE]\n\n"),
        whole: lambda _: httpx.Response(200, headers={"content-type": "application/json"}, content=body),
    }
    ask(mode, exported.client(mode, http={"transport": Wire(answers[ask])}))
    record, _ = exported.only()

    assert record.phases_unseen == UNSEEN
    assert record.connection_reused is None
    assert [getattr(record.phases, name) for name in UNSEEN] == [None] * 4
    assert record.phases.network is not None
    assert record.phases.finish is not None
    assert record.phases.total() == record.duration_ns
    assert record.response_size == (None if ask is read_chunks else len(body))


@each_mode
def test_a_transport_that_fails(mode: Mode, exported: Exported) -> None:
    """An exception of the transport's is the caller's, wrapped as the SDK does."""
    with pytest.raises(groq.APIConnectionError) as raised:
        read_chunks(mode, exported.client(mode, http={"transport": Wire(OSError("theirs"))}, max_retries=0))
    record, _ = exported.only()

    assert isinstance(raised.value.__cause__, OSError)
    assert (record.outcome, record.error_type, record.status) == ("error", "APIConnectionError", None)
    assert record.phases_unseen == UNSEEN
    assert record.phases.total() == record.duration_ns


@each_mode
def test_event_hooks(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """Hooks of the caller's run as without us, also one that reads the body of a stream before it is read."""
    sim.play(TEXT)
    seen: list[str] = []

    async def on_request(request: httpx.Request) -> None:
        seen.append(request.method)

    async def on_response(response: httpx.Response) -> None:
        await response.aread()
        seen.append(str(response.status_code))

    hooks: dict[str, Any] = {"request": [on_request], "response": [on_response]}
    if mode == "sync":
        hooks = {
            "request": [lambda request: seen.append(request.method)],
            "response": [lambda response: (response.read(), seen.append(str(response.status_code)))],
        }
    chunks = read_chunks(mode, exported.client(mode, sim.base_url, http={"event_hooks": hooks}))
    record, _ = exported.only()

    assert seen == ["POST", "200"]
    assert len(chunks) == 4
    assert (record.outcome, record.chunks) == ("completed", 4)
    assert record.phases.total() == record.duration_ns


@each_mode
@pytest.mark.parametrize("raising", [False, True])
def test_a_trace_callback_that_is_there_already(raising: bool, mode: Mode, sim: Simulator, exported: Exported) -> None:
    """It gets every event, as without us; when it raises, its exception has the effect it has without us."""
    sim.play(TEXT)
    plain, observed = [], []

    def client(seen: list[str], made: Any) -> Any:
        def note(name: str, _: Any) -> None:
            seen.append(name)
            if raising and name == "http11.send_request_headers.started":
                raise LookupError("theirs")

        async def note_async(name: str, info: Any) -> None:
            note(name, info)

        class Traced(type(made)):  # type: ignore[misc] - of either kind
            def build_request(self, *args: Any, **kwargs: Any) -> httpx.Request:
                request = super().build_request(*args, **kwargs)
                request.extensions["trace"] = note if mode == "sync" else note_async
                return request

        return Traced(trust_env=False, verify=False)

    for seen, make in ((plain, groq_client), (observed, exported.client)):
        with contextlib.suppress(groq.APIConnectionError):
            whole(mode, make(mode, sim.base_url, http_client=client(seen, http_client(mode)), max_retries=0))

    assert observed == plain
    assert len(plain) > 2
    assert exported.only()[0].outcome == ("error" if raising else "completed")


@each_mode
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_trace_callback_of_the_wrong_kind(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """A plain callback on an async client, or the other way round, fails as without us."""
    sim.play(TEXT)

    def plain(_name: str, _info: Any) -> None:
        return None

    async def asynchronous(_name: str, _info: Any) -> None:
        return None

    class Traced(httpx.Client if mode == "sync" else httpx.AsyncClient):  # type: ignore[misc] - of either kind
        def build_request(self, *args: Any, **kwargs: Any) -> httpx.Request:
            request = super().build_request(*args, **kwargs)
            request.extensions["trace"] = asynchronous if mode == "sync" else plain
            return request

    for make in (groq_client, exported.client):
        made = make(mode, sim.base_url, http_client=Traced(trust_env=False, verify=False), max_retries=0)
        with pytest.raises(groq.APIConnectionError) as raised:
            whole(mode, made)
        assert isinstance(raised.value.__cause__, TypeError)
        del raised
        gc.collect()  # what was never awaited says so here


@each_mode
def test_redirects(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """A redirect is one request of two attempts, neither of which failed."""
    sim.play([Response(b"", status=307, headers={"location": "/openai/v1/chat/completions"}), TEXT])
    client = exported.client(mode, sim.base_url, http={"follow_redirects": True})
    read_chunks(mode, client)
    record, _ = exported.only()

    assert (record.outcome, record.status, record.retries) == ("completed", 200, 0)
    assert [(a.status, a.error_type) for a in record.attempts] == [(307, None), (200, None)]
    assert record.phases.total() == record.duration_ns


@each_mode
def test_retries_below_the_sdk(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """What a transport tries again is attempts of the request, each with its span; the SDK's own come on top."""
    sim.play([Failure(429, retry_after=1), Failure(503), TEXT])
    read_chunks(
        mode, exported.client(mode, sim.base_url, http={"transport": retrying(HTTPX)(mode, 0.02, verify=False)})
    )
    record, span = exported.only()

    assert [(a.status, a.error_type, a.retry_after) for a in record.attempts] == [
        (429, "429", 1.0),
        (503, "503", None),
        (200, None, None),
    ]
    assert (record.retries, record.phases.total()) == (2, record.duration_ns)
    assert (record.phases.retry or 0) >= sum(a.backoff_ns or 0 for a in record.attempts) >= 40_000_000
    assert [s.attributes["http.response.status_code"] for s in exported.children(span) if s.name == "POST"] == [
        429,
        503,
        200,
    ]


@each_mode
def test_a_request_that_is_sent_once_more_by_hand(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """What somebody does with the request of an answer, after it ended, is not the record's."""
    sim.play([TEXT, TEXT])
    client = exported.client(mode, sim.base_url)
    resend(mode, client)
    record, _ = exported.only()

    assert [a.status for a in record.attempts] == [200]


@both
async def resend(client: Any) -> Any:
    async with client:
        raw = await client.chat.completions.with_raw_response.create(**ASK)
        await client._client.send(raw.http_response.request)


@each_mode
@pytest.mark.parametrize("ask", [read_chunks, whole, lines, read_as_json], ids=lambda s: s.name)
def test_compressed_answers(ask: Any, mode: Mode, exported: Exported) -> None:
    """A compressed body is read as any other, by our streams and beside the caller's reading."""
    chunk = (
        b'{"id":"c","object":"chat.completion.chunk","created":1,"model":"m",'
        b'"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}'
    )
    body = (
        b'{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[],'
        b'"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}'
    )
    streamed = ask in (read_chunks, lines)
    packed = gzip.compress(b"data: " + chunk + b"\n\ndata: [DONE]\n\n" if streamed else body)
    headers = {"content-type": "text/event-stream" if streamed else "application/json", "content-encoding": "gzip"}

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=headers, stream=Pieces([packed[:9], packed[9:]]))

    ask(mode, exported.client(mode, http={"transport": Wire(answer)}))
    record, _ = exported.only()

    assert (record.outcome, record.chunks, record.usage.input_tokens) == (
        ("completed", 1, None) if streamed else ("completed", None, 3)
    )


@pytest.fixture(scope="module")
def secure() -> Iterator[Simulator]:
    """A simulator behind TLS."""
    with Simulator(TEXT, tls=True) as simulator:
        yield simulator


@each_mode
def test_tls(mode: Mode, secure: Simulator, exported: Exported) -> None:
    """A handshake is a phase of its own, once per connection."""
    secure.take(())
    twice(mode, exported.client(mode, secure.base_url, http={"verify": secure.client_tls}))
    first, second = exported.records

    assert first.phases.tls is not None
    assert first.attempts[0].tls_ns == first.phases.tls
    assert (second.phases.connect, second.phases.tls) == (None, None)
    assert [first.connection_reused, second.connection_reused] == [False, True]


class _Proxy(socketserver.BaseRequestHandler):
    """Forwards requests for absolute addresses, and tunnels CONNECT."""

    def handle(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.request.recv(65536)
        line, _, rest = head.partition(b"\r\n")
        method, target, _ = line.split(b" ")
        self.server.seen.append(method.decode())  # type: ignore[attr-defined] - our server's
        if method == b"CONNECT":
            host, port = target.split(b":")
            upstream = socket.create_connection((host.decode(), int(port)))
            self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            url = httpx.URL(target.decode())
            upstream = socket.create_connection((url.host, url.port or 80))
            upstream.sendall(method + b" " + url.raw_path + b" HTTP/1.1\r\n" + rest)
        with upstream:
            self._pump(upstream)

    def _pump(self, upstream: socket.socket) -> None:
        while True:
            for ready in select.select([self.request, upstream], [], [])[0]:
                data = ready.recv(65536)
                if not data:
                    return
                (upstream if ready is self.request else self.request).sendall(data)


@pytest.fixture
def proxy() -> Iterator[Any]:
    """An HTTP proxy on this machine."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Proxy) as server:
        server.daemon_threads = True
        server.seen = []  # type: ignore[attr-defined] - for the handler
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@each_mode
def test_a_proxy(mode: Mode, proxy: Any, sim: Simulator, exported: Exported) -> None:
    """A forwarding proxy is a connection like any other; server.address stays Groq's."""
    sim.play(TEXT)
    url = f"http://127.0.0.1:{proxy.server_address[1]}"
    read_chunks(mode, exported.client(mode, sim.base_url, http={"proxy": url}))
    record, _ = exported.only()

    assert proxy.seen == ["POST"]
    assert (record.outcome, record.chunks) == ("completed", 4)
    assert record.server_port == httpx.URL(sim.base_url).port
    assert record.phases.connect is not None
    assert record.phases.total() == record.duration_ns


@pytest.mark.wall_clock
@each_mode
def test_a_tunnel(mode: Mode, proxy: Any, secure: Simulator, exported: Exported) -> None:
    """A proxy's CONNECT is part of connecting; the handshake behind it is TLS; the request is sent once."""
    secure.take([Connection(tls_delay=0.05)])
    url = f"http://127.0.0.1:{proxy.server_address[1]}"
    read_chunks(mode, exported.client(mode, secure.base_url, http={"proxy": url, "verify": secure.client_tls}))
    record, _ = exported.only()

    assert proxy.seen == ["CONNECT"]
    assert (record.outcome, record.chunks) == ("completed", 4)
    assert record.phases.connect is not None
    assert record.phases.tls is not None
    # The server's delay begins when it has accepted, which on a busy machine is before the client knows.
    assert record.phases.connect + record.phases.tls > 45_000_000
    assert record.phases.tls > record.phases.connect
    assert record.phases.send is not None
    assert record.phases.send < 40_000_000
    assert record.phases.total() == record.duration_ns


def test_aiohttp(sim: Simulator, exported: Exported) -> None:
    """With the aiohttp transport everything is seen but its connection phases; the record says so."""
    sim.play([Failure(429, retry_after=0.001), TEXT, TEXT, Answer(["a"], delays=Delays(before_first=0.05))])

    async def run() -> list[int]:
        async with exported.client("async", sim.base_url, http_client=DefaultAioHttpClient(trust_env=False)) as client:
            found = [len([c async for c in await client.chat.completions.create(**STREAM)])]
            await client.chat.completions.create(**ASK)
            async with await client.chat.completions.create(**STREAM) as opened:
                async for _ in opened:
                    break
            return found

    assert asyncio.run(run()) == [4]
    streamed, answered, closed = exported.records

    assert [r.outcome for r in (streamed, answered, closed)] == ["completed", "completed", "closed"]
    assert [a.status for a in streamed.attempts] == [429, 200]
    assert answered.usage.input_tokens is not None
    assert {r.phases_unseen for r in (streamed, answered, closed)} == {UNSEEN}
    assert closed.phases.network is not None
    assert closed.phases.network > 45_000_000
    assert all(r.phases.total() == r.duration_ns for r in (streamed, answered, closed))


def test_aiohttp_that_fails(sim: Simulator, exported: Exported) -> None:
    """A time-out of aiohttp's is a time-out."""
    sim.play(Hang())

    async def run() -> None:
        http = DefaultAioHttpClient(trust_env=False, timeout=0.05)
        async with exported.client("async", sim.base_url, http_client=http, max_retries=0, timeout=0.05) as client:
            await client.chat.completions.create(**ASK)

    with pytest.raises(groq.APITimeoutError):
        asyncio.run(run())
    record, _ = exported.only()

    assert (record.outcome, record.error_type, record.phases_unseen) == ("error", "timeout", UNSEEN)
    assert record.phases.total() == record.duration_ns
