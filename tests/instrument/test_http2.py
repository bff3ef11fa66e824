"""HTTP/2: many requests share one connection, and its transport tells its steps by other names."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from support.both import Mode, both, each_mode
from support.http2 import CHUNK_S, HEADERS_S, WORDS, Http2, http2
from support.scope import ASK, STREAM, Exported

from groqscope import RequestRecord


@pytest.fixture(scope="module", name="server")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Http2]:
    with http2(tmp_path_factory.mktemp("http2")) as running:
        yield running


def client_of(server: Http2, mode: Mode, exported: Exported) -> Any:
    """An instrumented client that talks HTTP/2 to the server."""
    server.versions.clear()
    server.peers.clear()
    return exported.client(mode, server.url, http={"http2": True, "verify": server.client})


@both
async def twice(client: Any, body: dict[str, Any]) -> None:
    async with client:
        for _ in range(2):
            answer = await client.chat.completions.create(**body)
            if body.get("stream"):
                assert len([chunk async for chunk in answer]) == WORDS


def check(record: RequestRecord, *, streamed: bool) -> None:
    """Its phases are a partition, and the waits that the server made are where they belong."""
    phases = record.phases

    assert record.outcome == "completed"
    assert phases.total() == record.duration_ns
    assert phases.send is not None
    assert record.phases.wait is not None
    assert record.phases.wait >= HEADERS_S * 1e9
    assert phases.send < record.phases.wait
    if streamed:
        assert record.chunks == WORDS
        assert phases.receive is not None
        assert phases.receive >= (WORDS - 1) * CHUNK_S * 0.9e9


@each_mode
@pytest.mark.parametrize("body", [ASK, STREAM], ids=["whole", "streamed"])
@pytest.mark.wall_clock
def test_one_after_the_other(body: dict[str, Any], mode: Mode, server: Http2, exported: Exported) -> None:
    """The first request connects and shakes hands, the second uses the connection again; phases as over HTTP/1.1."""
    twice(mode, client_of(server, mode, exported), body)
    first, second = sorted(exported.records, key=lambda r: r.start_unix_ns)

    assert server.versions == ["2", "2"]
    assert len(set(server.peers)) == 1
    for record in (first, second):
        check(record, streamed="stream" in body)
    assert (first.connection_reused, second.connection_reused) == (False, True)
    assert None not in (first.phases.connect, first.phases.tls)
    assert (second.phases.connect, second.phases.tls) == (None, None)


@pytest.mark.wall_clock
def test_two_streams_at_once(server: Http2, exported: Exported) -> None:
    """Two streams over one connection: each has its own record, and none waits for the other."""

    async def one(client: Any) -> None:
        async for _ in await client.chat.completions.create(**STREAM):
            pass

    async def main() -> None:
        async with client_of(server, "async", exported) as client:
            await client.chat.completions.create(**ASK)
            await asyncio.gather(one(client), one(client))

    asyncio.run(main())
    _, *both_at_once = sorted(exported.records, key=lambda r: r.start_unix_ns)
    begin, end = zip(*((r.start_unix_ns, r.start_unix_ns + r.duration_ns) for r in both_at_once), strict=True)

    assert len(set(server.peers)) == 1
    assert max(begin) < min(end)
    for record in both_at_once:
        check(record, streamed=True)
        assert record.connection_reused is True
        assert not record.phases.pool_wait or record.phases.pool_wait < HEADERS_S * 1e9
