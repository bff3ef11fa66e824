"""Which requests are open, which record belongs to which answer, and who wants to know.

Requests that are open when the process ends are exported too. That must happen before any provider shuts down, whatever
the order in which exit handlers were registered, so it hangs on the interpreter's earlier hook
(`threading._register_atexit`, which `concurrent.futures` uses too): it runs when the main thread is through, before
threads are joined and before `atexit`. While other threads run, it only puts itself first among the `atexit` handlers,
which run when those threads are through.
"""

import atexit
import gc
import os
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from groqscope.instrument.faults import hook
from groqscope.telemetry import disown, worker
from groqscope.timeline import RequestRecord

if TYPE_CHECKING:
    from groqscope.instrument.recorder import Recorder

_open: set["Recorder"] = set()
_answers: dict[int, tuple[weakref.ref[Any], "Recorder"]] = {}
_callbacks: list[Callable[[RequestRecord], None]] = []
_watching = False
_collecting: int | None = None
"""The thread in which the garbage collector runs."""


def opened(recorder: "Recorder") -> None:
    """A request began."""
    _watch_exit()
    _open.add(recorder)


def closed(recorder: "Recorder") -> None:
    """It ended."""
    _open.discard(recorder)


def remember(answer: Any, recorder: "Recorder") -> None:
    """Let `record_of(answer)` find the recorder, for as long as the answer lives. Nothing is added to the answer."""
    key = id(answer)
    try:
        reference = weakref.ref(answer, lambda _: _answers.pop(key, None))
    except TypeError:
        return
    _answers[key] = (reference, recorder)


def recall(answer: Any) -> "Recorder | None":
    """Find the recorder of an answer."""
    found = _answers.get(id(answer))
    return found[1] if found is not None and found[0]() is answer else None


def on_record(callback: Callable[[RequestRecord], None]) -> Callable[[], None]:
    """Call `callback` with the record of every request that ends, in the thread it ends in; what is given stops it.

    What the callback raises is logged and counted, never raised.
    """
    _callbacks.append(callback)

    def remove() -> None:
        if callback in _callbacks:
            _callbacks.remove(callback)

    return remove


def finished(recorder: "Recorder") -> None:
    """Tell everybody who wants to know."""
    if _callbacks:
        record = recorder.record
        for callback in tuple(_callbacks):
            _call(callback, record)


@hook("on_record")
def _call(callback: Callable[[RequestRecord], None], record: RequestRecord) -> None:
    callback(record)


def abandoned(recorder: "Recorder") -> None:
    """Its stream is gone. Inside a garbage collection nothing may be locked, so the rest is left to the worker."""
    if _collecting == threading.get_ident():
        worker.later(lambda: recorder.finish("abandoned"))
    else:
        recorder.finish("abandoned")


def flush() -> None:
    """Have everything that ended so far handed to the providers."""
    worker.drain()


def open_requests() -> int:
    """Count the requests in flight."""
    return len(_open)


def _watch_exit() -> None:
    global _watching  # noqa: PLW0603 - once per process
    if _watching:
        return
    _watching = True
    from groqscope.configuration import before_termination

    gc.callbacks.append(_on_collection)
    early: Any = getattr(threading, "_register_atexit", None)
    try:
        if early is not None:
            early(_main_thread_ends)
    except RuntimeError:
        # The interpreter is ending already.
        pass
    atexit.register(_abandon_all)
    before_termination(_abandon_all)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forked)


def _forked() -> None:
    """A child must not end, and so export, what its parent has in flight."""
    global _collecting  # noqa: PLW0603 - as below
    for recorder in _open:
        disown(recorder.begun.span)
    _open.clear()
    _collecting = None


def _on_collection(phase: str, _info: dict[str, int]) -> None:
    global _collecting  # noqa: PLW0603 - the collector runs once at a time
    _collecting = threading.get_ident() if phase == "start" else None


def _main_thread_ends() -> None:
    """End what is open, unless other threads may go on with it; then `atexit` does, before all other handlers."""
    atexit.unregister(_abandon_all)
    atexit.register(_abandon_all)
    main = threading.main_thread()
    if all(t is main or t.daemon for t in threading.enumerate()):
        _abandon_all()


def _abandon_all() -> None:
    for recorder in tuple(_open):
        recorder.finish("abandoned")
    worker.drain()
