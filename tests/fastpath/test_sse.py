"""Server-sent events: the SDK's, for any bytes and any cutting of them."""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from groq._streaming import ServerSentEvent
from groq._streaming import SSEDecoder as SDKDecoder
from hypothesis import given
from hypothesis import strategies as st
from support.recordings import Recording, cut_at, streams

from groqscope.fastpath import SSEDecoder

Seen = list[tuple[str | None, str]]
"""Name and data of each event; what was raised after them stands last, with no data."""


def _fed(pieces: Iterable[bytes]) -> Seen:
    return _all(_decoded(pieces))


def _decoded(pieces: Iterable[bytes]) -> Iterator[tuple[str | None, str]]:
    decoder = SSEDecoder()
    for piece in pieces:
        yield from map(_plain, decoder.feed(piece))
    yield from map(_plain, decoder.end())


def _plain(event: bytes | ServerSentEvent) -> tuple[str | None, str]:
    if isinstance(event, bytes):
        return None, (b"data: " + event).decode()[6:]  # as the streams do, so that an error says the same
    return event.event, event.data


def _by_the_sdk(pieces: Iterable[bytes]) -> Seen:
    return _all((e.event, e.data) for e in SDKDecoder().iter_bytes(iter(pieces)))


def _all(events: Iterator[tuple[str | None, str]]) -> Seen:
    seen: Seen = []
    try:
        for event in events:
            seen.append(event)
    except UnicodeDecodeError as error:
        seen.append((str(error), ""))
    return seen


@pytest.mark.parametrize("recording", streams(), ids=lambda r: r.name)
def test_recorded_streams(recording: Recording) -> None:
    """A recorded stream gives its payloads: whole, byte by byte, and in the pieces a network would make."""
    expected = _by_the_sdk([recording.body])

    assert [data for _, data in expected] == list(recording.payloads)
    for size in (1, 7, 61, 1_460, 16_384, len(recording.body)):
        pieces = (recording.body[i : i + size] for i in range(0, len(recording.body), size))

        assert _fed(pieces) == expected, size


def test_every_cut_of_one_stream() -> None:
    """Two pieces, cut at every byte: within UTF-8 sequences, within line ends, within field names."""
    body = 'data: {"a":"ø😀"}\n\n: ping\n\nevent: error\ndata: {"error":1}\n\ndata: [DONE]\n\n'.encode()
    for data in (body, body.replace(b"\n", b"\r\n")):
        expected = [(None, '{"a":"ø😀"}'), ("error", '{"error":1}'), (None, "[DONE]")]
        for i in range(len(data)):
            assert _fed([data[:i], data[i:]]) == expected, i


@given(cuts=st.lists(st.integers(0, 100_000), max_size=40), recording=st.sampled_from(streams()))
def test_any_cutting_of_a_recording(cuts: list[int], recording: Recording) -> None:
    """However a recorded stream is cut, its events are the same."""
    assert _fed(cut_at(recording.body, cuts)) == _by_the_sdk([recording.body])


_data = st.sampled_from(
    [b"{}", b'{"a": "\xc3\xb8"}', b"[DONE]", b"", b" two blanks", b"x: y", b"\xff", b"\xe2\x80\xa8"]
)
_line = st.one_of(
    st.builds(lambda d: b"data: " + d, _data),
    st.builds(lambda d: b"data:" + d, _data),
    st.sampled_from(
        [
            b"data",
            b":",
            b": keep-alive",
            b"event: error",
            b"event:",
            b"id: 7",
            b"id: \x00",
            b"retry: 100",
            b"retry: soon",
        ]
    ),
    st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"").replace(b"\r", b"")),
)


def _stream(events: list[list[bytes]], end: bytes, rest: bytes) -> bytes:
    return b"".join(b"".join(line + end for line in event) + end for event in events) + rest


_events = st.lists(st.lists(_line, max_size=4), max_size=8)
_cuts = st.lists(st.integers(0, 400), max_size=12)


@given(
    events=_events, end=st.sampled_from([b"\n", b"\r\n", b"\r"]), rest=st.sampled_from([b"", b"data: cut"]), cuts=_cuts
)
def test_any_cutting_of_any_stream(events: list[list[bytes]], end: bytes, rest: bytes, cuts: list[int]) -> None:
    """Comments, keep-alives, names, ids, retries, several data lines, `[DONE]` and more after it, invalid UTF-8."""
    data = _stream(events, end, rest)
    expected = _by_the_sdk([data])

    assert _fed([data]) == expected
    assert _fed(cut_at(data, cuts)) == expected


@given(
    lines=st.lists(st.tuples(_line, st.sampled_from([b"\n", b"\r\n", b"\r", b"\n\n", b"\r\r", b"\r\n\r\n"]))),
    cuts=_cuts,
)
def test_mixed_line_ends(lines: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    """Line ends of every kind in one stream: whatever the SDK makes of the same pieces."""
    pieces = cut_at(b"".join(line + end for line, end in lines), cuts)

    assert _fed(pieces) == _by_the_sdk(pieces)


@given(data=st.binary(max_size=200) | st.text("data: \n\r[]{}", max_size=60).map(str.encode), cuts=_cuts)
def test_any_bytes(data: bytes, cuts: list[int]) -> None:
    """Noise gives what it gives with the SDK, and nothing else is raised."""
    pieces = cut_at(data, cuts)

    assert _fed(pieces) == _by_the_sdk(pieces)


def test_plain_events_stay_bytes() -> None:
    """The events Groq writes are handed out undecoded, so that they are decoded once."""
    assert SSEDecoder().feed(b'data: {"a":1}\n\ndata: {"b":2}\n\n') == [b'{"a":1}', b'{"b":2}']


def test_unfinished_event_is_none() -> None:
    """An event without its blank line is dropped at the end, as the SDK drops it."""
    decoder: Any = SSEDecoder()

    assert decoder.feed(b"data: {}\n") == []
    assert decoder.end() == []


def test_events_before_an_error_are_given_first() -> None:
    """Invalid UTF-8 in a comment does not swallow the events of the same read; then it is raised, every time."""
    decoder = SSEDecoder()

    assert decoder.feed(b"data: 1\n\n: \xff\n\ndata: 2\n\n") == [b"1"]
    for again in (lambda: decoder.feed(b"data: 3\n\n"), decoder.end):
        with pytest.raises(UnicodeDecodeError):
            again()
