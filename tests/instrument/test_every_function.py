"""A failure at the entrance of every function of ours that a request runs through: the caller notices nothing.

The functions are found by looking at what is called, so that a new one cannot be forgotten.
"""

import sys
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from support.both import Both, Mode, each_mode
from support.scenes import SCENES
from support.scope import Exported, Wire, groq_client

import groqscope
from groqscope.instrument import flush, lifecycle

pytestmark = pytest.mark.slow

SOURCES = Path(groqscope.__file__).parent
ROOMS = tuple(f"{SOURCES / room}/" for room in ("instrument", "telemetry", "timeline"))
IN_THE_SDKS_PLACE = {
    # The five methods of the seam, the two functions before it, and the guard itself.
    "request",
    "_prepare_request",
    "_sleep_for_retry",
    "_process_response",
    "_process_response_data",
    "maybe_transform",
    "async_maybe_transform",
    "guarded",
    # What they are made of: a context variable is set, a context attached; then hooks are called.
    "_begin",
    "_enter",
    "_leave",
    "_governs",
    "_recorder",
    "Recorder.returned",
    "Recorder.exhausted",
    "Recorder.failed",
    "Recorder._settle",
    "OpenRequest.finish",
    "OpenRequest.open",
    "closed",
    # Streams: what they do is the caller's, and each step of ours in them is guarded where it stands.
    "_adopting",
    "Reader.__init__",
    "Reader.finished",
    "_decoded",
    "ChunkReader.__init__",
    "ChunkReader._observed",
    "Reader.close",
    "Reader.closed",
    "Reader.fail",
    "ChunkReader.feed",
    "Reader.leave",
    "ChunkReader.rest",
    "ChunkReader.take",
    "ChunkIterator.__init__",
    "ChunkIterator.__next__",
    "AsyncChunkIterator.__init__",
    "AsyncChunkIterator.__aiter__",
    "AsyncChunkIterator.__anext__",
    "_Instrumented.__init__",
    "_Synchronous.__iter__",
    "_Synchronous.__exit__",
    "_Synchronous.close",
    "_Asynchronous.__aiter__",
    "_Asynchronous.__aexit__",
    "_Asynchronous.close",
    # Where the SDK's resources are looked up: the inherited answer, with what hooks add to it.
    "_Chat.__get__",
    "_Create.__get__",
    # Byte streams: the same.
    "ClosingByteStream.__iter__",
    "ClosingByteStream.close",
    "ClosingByteStream.__aiter__",
    "ClosingByteStream.aclose",
    "ObservedByteStream.__iter__",
    "ObservedByteStream.close",
    "ObservedByteStream.__aiter__",
    "ObservedByteStream.aclose",
    "_Observer.closing",
    "_Observer.closed",
}
"""Functions that cannot be behind a hook: they stand in the place of the SDK's, or only pass on to hooks."""


class InjectedError(Exception):
    """A failure of ours, made up."""


def watched(run: Callable[[], Any], on_call: Callable[[FrameType], None]) -> Any:
    """Run something, and tell of each call of a function of ours."""

    def trace(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(ROOMS):
            on_call(frame)

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return run()
    finally:
        sys.settrace(before)


@pytest.mark.injects_failure
@each_mode
@pytest.mark.parametrize(("scene", "replies"), SCENES, ids=[scene.name for scene, _ in SCENES])
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # at entrances of what the collector calls
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_a_failure_at_every_entrance(scene: Both, replies: list[Any], mode: Mode) -> None:
    """Whichever function fails as it is entered, objects, exceptions and ends are as without us."""
    exported = Exported()

    def run(make: Any) -> Any:
        return scene(mode, make(mode, http={"transport": Wire(*replies)}))

    expected = run(groq_client)
    assert run(exported.client) == expected
    entered: set[CodeType] = set()
    observed = exported.client(mode, http={"transport": Wire(*replies)})
    watched(lambda: scene(mode, observed), lambda frame: entered.add(frame.f_code))
    noticed: dict[str, object] = {}
    for code in entered:
        failed: list[str] = []

        def fail(frame: FrameType, code: CodeType = code, failed: list[str] = failed) -> None:
            if frame.f_code is code and not failed:
                failed.append(code.co_name)
                raise InjectedError

        client = exported.client(mode, http={"transport": Wire(*replies)})
        try:
            # In a context of its own: `_leave`, which puts the caller's back, is made to fail as well.
            got = copy_context().run(watched, lambda client=client: scene(mode, client), fail)
        except BaseException as error:
            got = error
        if got != expected:
            noticed[code.co_qualname.rpartition("<locals>.")[2]] = got
    flush()
    exported.shutdown()
    # What stands in the SDK's place was made to fail too; those requests are nobody's to end.
    for recorder in tuple(lifecycle._open):
        recorder.disown()
    lifecycle._open.clear()

    assert len(entered) > 50
    assert noticed.keys() - IN_THE_SDKS_PLACE == set()
