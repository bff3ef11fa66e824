"""Speech: when its first audio came, where the caller reads it as it comes."""

from collections.abc import Iterator

import httpx
import pytest
from support.both import Mode, each_mode
from support.scope import Exported, Pieces, Wire, groq_client

from groqscope.testing import ManualClock
from groqscope.timeline import RequestRecord

SPEECH = {"input": "hello", "model": "playai-tts", "voice": "Fritz-PlayAI", "response_format": "wav"}
MS = 1_000_000


class Spoken(Pieces):
    """A body of which each piece takes a second."""

    def __init__(self, clock: ManualClock, kind: str = "audio/wav") -> None:
        super().__init__([b"RIFF", b"more", b"end"])
        self.clock = clock
        self.kind = kind

    def __iter__(self) -> Iterator[bytes]:
        for piece in super().__iter__():
            self.clock.advance(1_000)
            yield piece

    async def __aiter__(self):
        async for piece in super().__aiter__():
            self.clock.advance(1_000)
            yield piece

    def __call__(self, _: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": self.kind}, stream=self)


async def spoken(mode: Mode, exported: Exported, kind: str = "audio/wav", *, streamed: bool = True) -> RequestRecord:
    clock = ManualClock()
    client = groq_client(mode, http={"transport": Wire(Spoken(clock, kind))})
    client = exported.instrument(client, clock=clock)
    if not streamed:
        answer = client.audio.speech.create(**SPEECH)
        await (await answer).read() if mode == "async" else answer.read()
    elif mode == "sync":
        with client.audio.speech.with_streaming_response.create(**SPEECH) as response:
            for _ in response.iter_bytes():
                clock.advance(1_000)
    else:
        async with client.audio.speech.with_streaming_response.create(**SPEECH) as response:
            async for _ in response.iter_bytes():
                clock.advance(1_000)
    return exported.records[-1]


@each_mode
async def test_the_first_audio(mode: Mode, exported: Exported) -> None:
    """The first bytes of a body that the caller reads as it comes are its first chunk."""
    record = await spoken(mode, exported)

    assert record.operation == "speech"
    assert record.ttfc_ns is not None
    assert 1_000 * MS <= record.ttfc_ns < 2_000 * MS
    assert record.duration_ns >= 6_000 * MS


@each_mode
@pytest.mark.parametrize(("kind", "streamed"), [("application/json", True), ("audio/wav", False)])
async def test_not_known(mode: Mode, kind: str, streamed: bool, exported: Exported) -> None:
    """What is no audio has none; of a body that is read at once, nobody saw the first bytes."""
    assert (await spoken(mode, exported, kind, streamed=streamed)).ttfc_ns is None
