"""What holds for every test: no environment of the user's, no network but loopback, no instrumentation left behind."""

import gc
import itertools
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import certifi
import pytest
from hypothesis import HealthCheck, settings
from support.figures import FIGURE, Figure, print_figures
from support.isolation import as_in_a_new_process, left_as_found
from support.programs import Programs

from groqscope import _diagnostics

# Machines that run these tests are shared: a slow example is not a failure. By default the examples are the same each
# time, so that nobody's change fails by what chance found elsewhere; looking for new ones is what `thorough` is for.
settings.register_profile(
    "default", deadline=None, max_examples=50, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", parent=settings.get_profile("default"), max_examples=2_000, derandomize=False)
settings.load_profile(os.environ.get("GROQSCOPE_HYPOTHESIS_PROFILE", "default"))

_LOOPBACK = {"127.0.0.1", "::1", "localhost", "0.0.0.0"}
_TESTS_RUN = pytest.StashKey[int]()
_OURS = ("OTEL_", "GROQ", "LOGFIRE_", "NO_COLOR", "FORCE_COLOR", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Repeat a failing test that measures real time: load disturbs it once, a bug disturbs it each time."""
    for item in items:
        if item.get_closest_marker("wall_clock"):
            item.add_marker(pytest.mark.flaky(reruns=2, reruns_delay=3))


def pytest_collection_finish() -> None:
    """Keep all imported modules from garbage collection, which would walk through them in each test."""
    _keep_what_is_there()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Now and then, keep what tests have imported and pytest has stored from it as well."""
    tests_run = item.session.stash[_TESTS_RUN] = item.session.stash.get(_TESTS_RUN, 0) + 1
    if tests_run % 20 == 0:
        _keep_what_is_there()


def _keep_what_is_there() -> None:
    gc.collect()
    gc.freeze()


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """Return a function that notes what was measured; it is printed after all tests."""
    return lambda what, value: record_property(FIGURE, (what, value))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures of the tests that passed."""
    print_figures(terminalreporter)


@pytest.fixture(scope="session")
def programs() -> Iterator[Programs]:
    """Run programs in processes of their own, each in a few milliseconds."""
    with Programs() as running:
        yield running


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio, as the SDK's users do."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    """A test begins with the state of a new process, whatever ran before it, and leaves nothing to those after it."""
    with left_as_found(), as_in_a_new_process():
        yield


@pytest.fixture(autouse=True)
def _clean_environment(_alone: None, monkeypatch: pytest.MonkeyPatch, _homes: Iterator[Path]) -> None:
    """Hide the settings of whoever runs the tests; the local store is the test's own."""
    for name in os.environ:
        if name.upper().startswith(_OURS):
            monkeypatch.delenv(name)
    home = str(next(_homes))
    monkeypatch.setenv("GROQSCOPE_HOME", home)
    # Else Logfire parses the pyproject.toml of this repository each time it is configured.
    monkeypatch.setenv("LOGFIRE_CONFIG_DIR", home)


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a directory for each test, made by whoever writes to it: most tests do not."""
    homes = tmp_path_factory.mktemp("homes")
    return (homes / str(number) for number in itertools.count())


@pytest.fixture(autouse=True, scope="session")
def _only_loopback() -> Iterator[None]:
    """Fail the test that connects to anything but the loopback."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and address[0] not in _LOOPBACK:
            raise AssertionError(f"a test tried to connect to {address!r}")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield


@pytest.fixture(autouse=True, scope="session")
def _few_certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Read one public authority instead of all, which takes each client of httpx 25 ms."""
    end = "-----END CERTIFICATE-----\n"
    one = tmp_path_factory.mktemp("certificates") / "one.pem"
    one.write_text(certifi.contents().partition(end)[0] + end)
    public = {certifi.where(), os.environ.get("SSL_CERT_FILE", certifi.where())}
    create = ssl.create_default_context

    def creating(*purpose: Any, cafile: Any = None, **more: Any) -> ssl.SSLContext:
        return create(*purpose, cafile=one if cafile in public else cafile, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", creating)
        yield


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c_is_heard() -> None:
    """Undo an ignored SIGINT, as of tests run in the background: programs that they start would inherit it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _sdk_left_as_found() -> Iterator[None]:
    """Check that the SDK's methods are the same after a test as before it."""
    before = _seam()
    yield
    after = _seam()
    gc.collect(0)  # a stream dropped by the test ends in the test

    assert before in (None, after), "a test left the SDK instrumented"


@pytest.fixture(autouse=True)
def _no_failure_of_ours(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test in which groqscope swallowed a failure of its own, unless it injects one."""
    yield
    failures = dict(_diagnostics.failures)
    _diagnostics.failures.clear()
    expected = request.node.get_closest_marker("injects_failure") is not None

    assert expected or not failures, f"groqscope swallowed failures of its own: {failures}"


def _seam() -> tuple[object, ...] | None:
    groq = sys.modules.get("groq")
    return groq and tuple(getattr(c, n) for c in (groq.Groq, groq.AsyncGroq) for n in ("request", "_prepare_request"))
