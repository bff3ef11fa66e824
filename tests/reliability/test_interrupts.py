"""An interrupt between any two lines of ours: Ctrl-C, `sys.exit()` in a signal handler, a cancelled task.

`sys.settrace` raises it before a line drawn at random. The caller gets it as it would without us, and then nothing is
left: no span open, no request in flight, no context attached, no lock held; the next request is recorded.

Left out is what Python keeps nobody from losing, and each is counted:

- an interrupt inside `__del__`, a callback of the garbage collector or of a weak reference: Python prints it and goes
  on, so the request that was being abandoned there ends at the exit of the process;
- `__exit__` of `groqscope.run()` as it is entered: no context manager written in Python has a `try` around that.
"""

import asyncio
import gc
import random
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType, coroutine
from typing import Any

import groq
import httpx
import pytest
from opentelemetry import context as otel_context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from support.both import MODES, Both, Mode, both
from support.figures import Figure
from support.scenes import SCENES, reply, whole
from support.scope import ASK, Exported, Wire, groq_client

import groqscope
from groqscope.instrument import flush, lifecycle, seam
from groqscope.telemetry import cost, worker

SOURCES = f"{Path(groqscope.__file__).parent}/"
INTERRUPTS: dict[Mode, tuple[type[BaseException], ...]] = {
    "sync": (KeyboardInterrupt, SystemExit),
    "async": (KeyboardInterrupt, SystemExit, asyncio.CancelledError),
}
GIVEN_UP = ("Reader.__del__", "_Observer.__del__", "OpenRequest.abandon", "OpenRequest.open", "OpenRequest.finish")
"""Where Python gives up an interrupt and a request at once: before the end that a `__del__` is about has begun."""
ENTERED_BY_PYTHON = ("RunScope.__exit__", "RunScope.__aexit__")
_HANGS_S = 20.0


@both
async def inside_runs(client: Any) -> Any:
    around = groqscope.run("answer", tracer_provider=getattr(client, "tracer_provider", None))
    async with around, around:
        return await whole.asynchronous(client)


ALL = [*SCENES, (inside_runs, [reply])]


class Interrupt:
    """A trace function that raises before the line of ours that has this number."""

    def __init__(self, at: int, error: BaseException | None = None) -> None:
        self._at = at
        self._error = error
        self.lines = 0
        self.where: str | None = None

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:
        return self._line if event == "call" and frame.f_code.co_filename.startswith(SOURCES) else None

    def _line(self, frame: FrameType, event: str, _: object) -> Any:
        code = frame.f_code
        if event == "line" and code.co_qualname not in ENTERED_BY_PYTHON:
            self.lines += 1
            if self.lines == self._at and self._error is not None:
                name = code.co_filename.removeprefix(SOURCES)
                self.where = f"{name}:{frame.f_lineno} {code.co_qualname}"
                error, self._error = self._error, None
                raise error
        return self._line


class OpenSpans(SpanProcessor):
    """Which spans have begun and not ended."""

    def __init__(self) -> None:
        self.open: dict[int, str] = {}

    def on_start(self, span: Any, parent_context: object = None) -> None:
        """Note it."""
        del parent_context
        self.open[span.context.span_id] = span.name

    def on_end(self, span: ReadableSpan) -> None:
        """Strike it off."""
        self.open.pop(span.context.span_id, None)


class Trials:
    """Scenes with interrupts, one after the other in a thread; a hang is seen from outside of it."""

    def __init__(self, exported: Exported, seed: int) -> None:
        self.exported = exported
        self.spans = OpenSpans()
        exported.tracer_provider.add_span_processor(self.spans)
        scope = groqscope.instrument(**exported.providers)
        assert scope is None
        self.metrics = groq.Groq._groqscope_scope.telemetry.metrics  # type: ignore[attr-defined]
        self.random = random.Random(seed)
        self.found: Counter[tuple[str, str]] = Counter()
        self.done = self.swallowed = 0
        self._unraisable: list[BaseException | None] = []

    def run(self, scene: Both, replies: list[Any], mode: Mode, expected: Any, trials: int) -> Iterator[None]:
        """Interrupt one scene so many times; pauses after each, so that somebody can see that it goes on."""
        lines = 0
        for _ in range(2):  # the first makes what is made once
            counting = Interrupt(0)
            self._check(counting, None, self._play(scene, replies, mode, counting), expected)
            lines = counting.lines
            yield
        for _ in range(trials):
            error = self.random.choice(INTERRUPTS[mode])("injected")
            interrupt = Interrupt(self.random.randint(1, lines), error)
            self._check(interrupt, error, self._play(scene, replies, mode, interrupt), expected)
            self.done += 1
            yield

    def _play(self, scene: Both, replies: list[Any], mode: Mode, interrupt: Interrupt) -> Any:
        """Return what the caller gets, be it an exception."""
        client = groq_client(mode, http={"transport": Wire(*replies)})
        client.tracer_provider = self.exported.tracer_provider
        before, leaks = otel_context.get_current(), list[str]()
        self._unraisable.clear()

        def left_behind() -> None:
            if otel_context.get_current() is not before:
                leaks.append("a context stays attached")
                otel_context.attach(before)
            if seam._current.get() is not None:
                leaks.append("a recorder stays current")
                seam._current.set(None)

        def synchronous() -> Any:
            try:
                return scene.synchronous(client)
            finally:
                left_behind()

        async def asynchronous() -> Any:
            try:
                return await scene.asynchronous(client)
            finally:
                left_behind()

        try:
            with asyncio.Runner() as runner:
                runner.get_loop()
                sys.settrace(interrupt)
                try:
                    return runner.run(asynchronous()) if mode == "async" else synchronous()
                finally:
                    sys.settrace(None)
        except BaseException as error:
            return error
        finally:
            for leak in leaks:
                self.found[leak, str(interrupt.where)] += 1

    def _check(self, interrupt: Interrupt, error: BaseException | None, got: Any, expected: Any) -> None:
        swallowed = error is not None and any(error is one for one in self._unraisable)
        due = expected if error is None or swallowed or interrupt.where is None else error
        self._expect(interrupt, f"the caller gets {got!r:.80} and not {due!r:.80}", held=got is due or got == due)
        # What the caller held goes with the exception's frames.
        for one in (error, got):
            if isinstance(one, BaseException):
                one.__traceback__ = one.__context__ = None
        self._unraisable.clear()
        if lifecycle._open:
            gc.collect()
            flush()  # what a collection abandons, the worker ends
        self.swallowed += swallowed
        if swallowed and str(interrupt.where).endswith(GIVEN_UP):
            for recorder in tuple(lifecycle._open):
                recorder.finish("abandoned")
        self._expect(interrupt, f"open: {sorted(self.spans.open.values())}", held=not self.spans.open)
        self._expect(interrupt, "a request stays in flight", held=not lifecycle._open)
        self._expect(interrupt, "the gauge counts a request in flight", held=not self.metrics._active)
        self.spans.open.clear()
        lifecycle._open.clear()
        self.metrics._active.clear()
        self.exported.exporter.clear()
        whole("sync", groq_client("sync", http={"transport": Wire(reply)}))
        outcomes = [record.outcome for record in self.exported.records]
        self._expect(interrupt, f"the next request: {outcomes}", held=outcomes == ["completed"])
        self.exported.exporter.clear()

    def _expect(self, interrupt: Interrupt, otherwise: str, *, held: bool) -> None:
        if not held:
            self.found[otherwise, str(interrupt.where)] += 1

    @contextmanager
    def unraisable(self) -> Iterator[None]:
        """Note what Python cannot raise anywhere."""
        before = sys.unraisablehook
        sys.unraisablehook = lambda seen: self._unraisable.append(seen.exc_value)
        try:
            yield
        finally:
            sys.unraisablehook = before


def play(exported: Exported, trials: int, seed: int) -> Trials:
    """Play every scene, sync and async, with so many interrupts in all."""
    each = -(-trials // (len(ALL) * len(MODES)))
    expected = {
        (scene.name, mode): scene(mode, groq_client(mode, http={"transport": Wire(*replies)}))
        for scene, replies in ALL
        for mode in MODES
    }
    all_trials = Trials(exported, seed)
    beats: SimpleQueue[BaseException | None] = SimpleQueue()

    def work() -> None:
        try:
            for scene, replies in ALL:
                for mode in MODES:
                    for beat in all_trials.run(scene, replies, mode, expected[scene.name, mode], each):
                        beats.put(beat)
        except BaseException as error:
            beats.put(error)
        else:
            beats.put(StopIteration())

    thread = threading.Thread(target=work, daemon=True)
    gc.collect()
    gc.freeze()  # a collection after a trial looks at what is new
    try:
        with all_trials.unraisable():
            thread.start()
            while (beat := beat_of(beats, thread)) is None:
                for lock in (all_trials.metrics._lock, cost._lock, worker._working):
                    assert lock.acquire(timeout=_HANGS_S), "a lock stays held"
                    lock.release()
    finally:
        gc.unfreeze()
        groqscope.uninstrument()
    if not isinstance(beat, StopIteration):
        raise beat
    return all_trials


def beat_of(beats: SimpleQueue[BaseException | None], thread: threading.Thread) -> BaseException | None:
    """Wait for a trial to end; one that hangs fails the test with where it hangs."""
    try:
        return beats.get(timeout=_HANGS_S)
    except Empty:
        frame = sys._current_frames().get(thread.ident or 0)
        pytest.fail("a trial hangs at:\n" + "".join(traceback.format_stack(frame)))


def report(figure: Figure, trials: Trials, began: float, kind: str) -> None:
    """Print the figures; fail with what was found."""
    found = sum(trials.found.values())
    seconds = time.monotonic() - began
    figure(
        f"interrupts between lines{kind}",
        f"{trials.done:,} trials, {found} findings, {trials.swallowed} that Python swallowed, {seconds:.0f} s",
    )

    assert not found, "\n".join(f"{n} x {what} | {where}" for (what, where), n in trials.found.most_common())


class Silent(httpx.AsyncBaseTransport):
    """Never answers; whoever drives the coroutine decides what becomes of it."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Wait."""
        del request
        for_ever: Any = self._for_ever()
        await for_ever
        raise AssertionError

    @coroutine
    def _for_ever(self) -> Iterator[None]:
        yield


def test_closed_in_another_context(caplog: pytest.LogCaptureFixture) -> None:
    """A call that was begun in one context and is closed in another leaves that one as it is, and ends."""
    exported = Exported()
    client = exported.client("async", http={"transport": Silent()})
    client._platform = "Linux"  # else the SDK asks for it in a thread
    call = client.chat.completions.create(**ASK)
    mine = otel_context.set_value("mine", "1")

    def elsewhere() -> tuple[bool, Any]:
        token = otel_context.attach(mine)
        call.close()
        kept = otel_context.get_current() is mine
        otel_context.detach(token)
        return kept, seam._current.get()

    copy_context().run(call.send, None)
    outcome = copy_context().run(elsewhere)
    records = exported.records
    exported.shutdown()

    assert outcome == (True, None)
    assert [record.outcome for record in records] == ["abandoned"]
    assert not lifecycle._open
    assert not caplog.records


def test_some_interrupts(figure: Figure) -> None:
    """Two interrupts for each way in which a request can end."""
    began = time.monotonic()
    exported = Exported()
    trials = play(exported, 160, seed=0)
    exported.shutdown()
    report(figure, trials, began, " (few)")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_interrupts(figure: Figure, seed: int) -> None:
    """Thousands of interrupts, of every kind."""
    began = time.monotonic()
    exported = Exported()
    trials = play(exported, 2_400, seed)
    exported.shutdown()
    report(figure, trials, began, "")

    assert trials.done >= 2_000
