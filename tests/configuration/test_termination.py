"""SIGTERM and SIGKILL: what is exported, and who handles them."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from support.configured import Run, stored_spans
from support.waiting import wait_for

from groqscope.store import read_records


def test_sigterm_runs_what_was_registered_first(run: Run) -> None:
    """Open requests are ended, by callbacks that were registered for that, before the flush."""
    run(
        """
        groqscope.configure()
        span = trace.get_tracer("groqscope").start_span("open")
        from groqscope._termination import before_termination
        before_termination(span.end)
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(20)
        """,
        status=-signal.SIGTERM,
    )

    assert [s["name"] for s in stored_spans()] == ["open"]


def test_requests_that_are_open_at_sigterm_are_exported_as_abandoned(run: Run) -> None:
    """After SIGTERM in the middle of a stream its span is in the store, ended and marked as abandoned."""
    run(
        """
        from groq import Groq
        from groqscope.simulator import Simulator
        with Simulator() as simulator:
            groqscope.configure()
            groqscope.instrument()
            client = Groq(api_key="x", base_url=simulator.base_url)
            stream = client.chat.completions.create(
                model="llama-3.3-70b-versatile", stream=True, messages=[{"role": "user", "content": "hi"}])
            next(iter(stream))
            os.kill(os.getpid(), signal.SIGTERM)
            threading.Event().wait(20)
        """,
        status=-signal.SIGTERM,
    )

    (record,) = read_records([Path(os.environ["GROQSCOPE_HOME"]) / "store"])
    assert (record.outcome, record.chunks) == ("abandoned", 1)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_sigkill_loses_at_most_what_was_not_yet_written() -> None:
    """Ended spans are written while the process lives, and are there after `kill -9`."""
    code = """
        import groqscope, threading
        from opentelemetry import trace
        groqscope.configure()
        tracer = trace.get_tracer("groqscope")
        for number in range(20):
            tracer.start_span(str(number)).end()
        print("ended", flush=True)
        threading.Event().wait(60)
    """
    environment = {**os.environ, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ended\n"
        wait_for(lambda: len(stored_spans()) == 20)
        process.kill()

    assert sorted(int(s["name"]) for s in stored_spans()) == list(range(20))
    assert process.returncode == -signal.SIGKILL


def test_sigterm_handler_of_the_application_stays(run: Run) -> None:
    """If the application handles SIGTERM, or `configure()` runs in another thread, no handler is installed."""
    done = run(
        """
        signal.signal(signal.SIGTERM, handler := lambda *_: None)
        groqscope.configure()
        print(signal.getsignal(signal.SIGTERM) is handler)
        groqscope.shutdown()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        thread = threading.Thread(target=groqscope.configure)
        thread.start()
        thread.join()
        print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
        """
    )

    assert done.stdout.split() == ["True", "True"]
