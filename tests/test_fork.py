"""Callbacks around a fork run in order, whatever the others do, and never for an object that is gone."""

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Callable

import pytest

from groqscope import _fork

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform cannot fork")


def child_says(question: Callable[[], bytes]) -> bytes:
    """Return what a forked child prints."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, question())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as answer:
        return answer.read()


class Holder:
    """An object with something to do at a fork."""

    def __init__(self) -> None:
        self.forked = b"no"

    def after_fork(self) -> None:
        self.forked = b"yes"


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_methods() -> None:
    """A method is called as long as its object exists; the registration keeps neither alive."""
    kept, gone = Holder(), Holder()
    before = len(_fork._after_in_child)
    _fork.register(after_in_child=kept.after_fork)
    _fork.register(after_in_child=gone.after_fork)
    reference = weakref.ref(gone)
    del gone
    gc.collect()

    assert reference() is None
    assert len(_fork._after_in_child) == before + 1
    assert child_says(lambda: kept.forked) == b"yes"
    assert kept.forked == b"no"


def test_a_method_that_goes_with_its_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """If one collection frees the object and its class, as at exit, nothing is raised, which Python would print."""
    raised: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", raised.append)
    holder = Holder()  # before its class, so that it is found before the function

    class Local(Holder):
        def after_fork(self) -> None:
            self.forked = b"yes"

    before = len(_fork._after_in_child)
    holder.__class__ = Local
    Local.instance = holder  # type: ignore[attr-defined] - so that they hold each other
    _fork.register(after_in_child=holder.after_fork)
    del Local, holder
    gc.collect()
    gc.collect()  # the class, once nothing is registered

    assert raised == []
    assert len(_fork._after_in_child) == before


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the fork the last registration runs first, after it the first; a failure stops none of the others."""
    for registered in ("_before", "_after_in_parent", "_after_in_child"):
        monkeypatch.setattr(_fork, registered, dict[int, object]())
    called: list[str] = []

    def fail() -> None:
        called.append("fail")
        raise LookupError

    for name in "ab":
        _fork.register(
            before=lambda name=name: called.append(f"before {name}"),
            after_in_parent=lambda name=name: called.append(f"parent {name}"),
            after_in_child=lambda name=name: called.append(f"child {name}"),
        )
        _fork.register(before=fail, after_in_parent=fail, after_in_child=fail)
    in_child = child_says(lambda: " ".join(called).encode()).decode()

    assert in_child == "fail before b fail before a child a fail child b fail"
    assert " ".join(called) == "fail before b fail before a parent a fail parent b fail"


def test_one_registration() -> None:
    """Importing every room registers once with Python, which cannot forget."""
    program = """
import os
registered = []
register = os.register_at_fork
def note(**callbacks):
    registered.append(sys._getframe(1).f_globals["__name__"])
    register(**callbacks)
import sys
os.register_at_fork = note
import groqscope.models, groqscope.configuration, groqscope.telemetry, groqscope.delivery.retrying
import groqscope.instrument.seam
print([name for name in registered if name.startswith("groqscope")])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "['groqscope._fork']\n"
