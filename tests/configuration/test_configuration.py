"""`configure()`, `flush()` and `shutdown()`: all that ended is exported, and nobody else is disturbed."""

import os
import signal
import textwrap
from pathlib import Path

import pytest
from support.collector import Collector
from support.configured import Run, stored, stored_spans


def test_spans_and_metrics_reach_the_local_store_at_exit(run: Run) -> None:
    """Without an endpoint, spans, explicit buckets and exemplars are on disk when the process has ended."""
    done = run(
        """
        print(groqscope.configure(service_name="shop"))
        with trace.get_tracer("groqscope").start_as_current_span("work"):
            metrics.get_meter("m").create_histogram("h", explicit_bucket_boundaries_advisory=[0.5, 2.5]).record(1)
        """
    )

    assert "service_name='shop'" in done.stdout
    assert [s["name"] for s in stored_spans()] == ["work"]
    (line,) = stored("metrics")
    (point,) = line["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["histogram"]["dataPoints"]
    assert point["explicitBounds"] == [0.5, 2.5]
    assert point["exemplars"][0]["traceId"] == stored_spans()[0]["traceId"]
    names = {a["key"]: a["value"] for a in line["resourceMetrics"][0]["resource"]["attributes"]}
    assert names["service.name"] == {"stringValue": "shop"}
    assert done.stderr == ""


_END = {
    "the end of the program": ("", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "an unhandled exception": ("raise KeyError('x')", 1),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM); threading.Event().wait(20)", -signal.SIGTERM),
}


@pytest.mark.parametrize("way", _END)
def test_everything_ended_is_exported_whatever_the_end(run: Run, way: str, endpoint: Collector) -> None:
    """However a process ends (short of SIGKILL), what had ended is exported; its exit status is unchanged."""
    code, status = _END[way]
    run(
        f"groqscope.configure()\ntrace.get_tracer('groqscope').start_span('done').end()\n{code}",
        status=status,
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint.url,
    )

    assert endpoint.span_names() == ["done"]


def test_flush_without_time_raises_nothing(run: Run) -> None:
    """A flush that does not finish in its time returns False, and the rest is exported at the end."""
    done = run(
        """
        groqscope.configure()
        metrics.get_meter("m").create_counter("c").add(1)
        trace.get_tracer("groqscope").start_span("done").end()
        print(groqscope.flush(0))
        """
    )

    assert done.stdout == "False\n"
    assert [s["name"] for s in stored_spans()] == ["done"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is POSIX")
@pytest.mark.parametrize("remote", [False, True])
def test_children_after_a_fork_export_their_own(run: Run, *, remote: bool, endpoint: Collector) -> None:
    """Each process of a prefork server exports what it recorded, once, and nothing of its parent's."""
    run(
        """
        groqscope.configure()
        tracer = trace.get_tracer("groqscope")
        tracer.start_span("before").end()
        for number in range(3):
            if os.fork() == 0:
                tracer.start_span(f"child {number}").end()
                sys.exit()
        for _ in range(3):
            os.wait()
        tracer.start_span("after").end()
        """,
        **({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.url} if remote else {}),
    )

    names = endpoint.span_names() if remote else [s["name"] for s in stored_spans()]
    assert sorted(names) == ["after", "before", "child 0", "child 1", "child 2"]


def test_configure_twice_is_safe(run: Run, endpoint: Collector) -> None:
    """The second call changes nothing; if it brings settings, one warning says so."""
    done = run(
        f"""
        first = groqscope.configure()
        assert groqscope.configure() is first
        assert groqscope.configure(endpoint="{endpoint.url}") is first
        assert groqscope.configure(endpoint="{endpoint.url}") is first
        trace.get_tracer("groqscope").start_span("s").end()
        """
    )

    assert [s["name"] for s in stored_spans()] == ["s"]
    assert done.stderr.count("configured already") == 1
    assert endpoint.requests == []


def test_configure_again_after_shutdown(run: Run, endpoint: Collector) -> None:
    """After `shutdown()` another configuration takes over, and what the first had is exported."""
    run(
        f"""
        tracer = trace.get_tracer("groqscope")
        groqscope.configure()
        tracer.start_span("first").end()
        assert groqscope.shutdown()
        groqscope.configure(endpoint="{endpoint.url}")
        tracer.start_span("second").end()
        """
    )

    assert [s["name"] for s in stored_spans()] == ["first"]
    assert endpoint.span_names() == ["second"]


_PROVIDERS = {
    "the SDK's": """
        from opentelemetry.sdk.trace import TracerProvider
        trace.set_tracer_provider(TracerProvider())
    """,
    "logfire's": """
        import logfire
        logfire.configure(send_to_logfire=False, console=False)
    """,
}


@pytest.mark.parametrize("whose", _PROVIDERS)
def test_providers_of_others_stay(run: Run, whose: str) -> None:
    """If providers are already set, nothing is added, which is logged once."""
    done = run(
        textwrap.dedent(_PROVIDERS[whose])
        + textwrap.dedent("""
        before = trace.get_tracer_provider()
        print(groqscope.configure().status, groqscope.configure().status)
        assert trace.get_tracer_provider() is before
        trace.get_tracer("groqscope").start_span("s").end()
        """)
    )

    assert done.stdout.split() == ["existing", "existing"]
    assert done.stderr.count("providers are set already") == 1
    assert "groqscope.run_metrics()" in done.stderr
    assert not (Path(os.environ["GROQSCOPE_HOME"]) / "store").exists()


def test_sdk_disabled(run: Run) -> None:
    """`OTEL_SDK_DISABLED=true` sets nothing up."""
    done = run(
        "print(groqscope.configure().status); trace.get_tracer('groqscope').start_span('s').end()",
        OTEL_SDK_DISABLED="true",
    )

    assert done.stdout.split() == ["disabled"]
    assert not (Path(os.environ["GROQSCOPE_HOME"]) / "store").exists()
