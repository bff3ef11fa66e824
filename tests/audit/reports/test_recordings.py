"""The reports of real traffic: recordings through an instrumented client, on a clock that ticks."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import groq
import httpx
import pytest
from support.files import write_store
from support.recordings import Recording, recordings
from support.scope import Exported, Pieces, Wire

from groqscope.audit import load
from groqscope.audit.reports import CsvRenderer, JsonRenderer, Look, MarkdownRenderer, TerminalRenderer
from groqscope.timeline import RequestRecord

MS = 1_000_000
START = 1_790_000_000_000 * MS
SHOWN = (
    "pai_tool_use_failed_error_streaming_1",  # reasoning, then a tool call, whole
    "pai_tool_use_failed_error_streaming_0",  # an error in the stream
    "pai_web_search_tool_stream_0",  # a compound system
    "oll_chat_streaming_legacy_0",  # plain text, all headers kept
    "pai_mixed_content_ordering_20260129_1",  # 429
    "pai_tool_choice_matrix_tools_plus_output_0",  # not streamed, two tool calls
)
RENDERERS: dict[str, Any] = {
    "txt": TerminalRenderer(Look(width=100)),
    "md": MarkdownRenderer(),
    "csv": CsvRenderer(),
    "json": JsonRenderer(),
}


def recorded(recording: Recording, number: int, exported: Exported) -> RequestRecord:
    """The record of a recording whose every observation is a millisecond after the one before."""
    pieces = [recording.body]
    if recording.streamed:
        pieces = [event + b"\n\n" for event in recording.body.split(b"\n\n") if event]
    kind = "text/event-stream" if recording.streamed else "application/json"
    response = httpx.Response(
        recording.status, headers={"content-type": kind, **recording.headers}, stream=Pieces(pieces)
    )
    client = exported.client("sync", http_client=httpx.Client(transport=Wire(response)), max_retries=0)
    ticks = count(0, MS)
    type(client)._groqscope_scope.now = lambda: next(ticks)
    request = dict(recording.request)
    asked = {name: request.pop(name) for name in ("model", "messages")}
    with contextlib.suppress(groq.APIError):
        answer = client.chat.completions.create(**asked, stream=bool(request.pop("stream", False)), extra_body=request)
        for _ in answer if recording.streamed else ():
            pass
    return replace(
        exported.records[-1],
        start_unix_ns=START + number * 1000 * MS,
        trace_id=f"{number:032x}",
        span_id=f"{number:016x}",
    )


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store of the recordings shown."""
    monkeypatch.setattr("groqscope.timeline.tools._SALT", b"the same each time")
    by_name = {r.name: r for r in recordings()}
    exported = Exported()
    records = [recorded(by_name[name], number, exported) for number, name in enumerate(SHOWN, 1)]
    exported.shutdown()
    write_store(tmp_path / "store", records).rename(tmp_path / "recorded.jsonl")
    monkeypatch.chdir(tmp_path)
    return "recorded.jsonl"


@pytest.mark.parametrize("extension", RENDERERS)
def test_overview(extension: str, store: str, snapshot: Callable[[str, str], None]) -> None:
    """The overview of recorded traffic, in every form but the page."""
    text = RENDERERS[extension].render(load(store).overview())

    snapshot(f"recorded-overview.{extension}", text)


@pytest.mark.parametrize(("number", "name"), list(enumerate(SHOWN, 1)))
def test_request(number: int, name: str, store: str, snapshot: Callable[[str, str], None]) -> None:
    """The waterfall of a recorded request."""
    text = RENDERERS["txt"].render(load(store).request(f"{number:032x}"))

    snapshot(f"recorded-{name}.txt", text)
