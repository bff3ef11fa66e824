"""A server of HTTP/2 on loopback that answers as Groq does, with delays that are known."""

import asyncio
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme
from hypercorn.asyncio import serve
from hypercorn.config import Config

from support.exits import CHUNK
from support.scope import COMPLETION

WORDS = 3
"""Chunks of a stream."""
HEADERS_S, CHUNK_S = 0.15, 0.05
"""Before the headers of an answer, and before each chunk."""


@dataclass
class Http2:
    """The server, and what it saw."""

    url: str
    client: ssl.SSLContext
    versions: list[str] = field(default_factory=list[str])
    peers: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    """The client's end of the connection of each request."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
        self.versions.append(scope["http_version"])
        self.peers.append(tuple(scope["client"]))
        streamed = json.loads(body).get("stream", False)
        await asyncio.sleep(HEADERS_S)
        kind = b"text/event-stream" if streamed else b"application/json"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        if streamed:
            for _ in range(WORDS):
                await asyncio.sleep(CHUNK_S)
                await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
            await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})
        else:
            await send({"type": "http.response.body", "body": json.dumps(COMPLETION).encode()})


@contextmanager
def http2(directory: Path) -> Iterator[Http2]:
    """Run the server; its certificate lies in the directory."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(directory / "pem")
    client = ssl.create_default_context()
    authority.configure_trust(client)
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.certfile = config.keyfile = str(directory / "pem")
    config.alpn_protocols = ["h2"]
    config.errorlog = config.accesslog = None
    (listening,) = config.create_sockets().secure_sockets
    running = Http2(f"https://127.0.0.1:{listening.getsockname()[1]}", client)
    config.bind = [f"fd://{listening.detach()}"]
    loop = asyncio.new_event_loop()
    over = asyncio.Event()
    thread = threading.Thread(
        target=loop.run_until_complete, args=(serve(running, config, shutdown_trigger=over.wait),), daemon=True
    )
    thread.start()
    try:
        yield running
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(20)
        loop.close()
