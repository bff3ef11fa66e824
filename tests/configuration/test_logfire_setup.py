"""What Logfire is told, and what stays as OpenTelemetry has it."""

import pytest
from support.configured import Run, stored_spans


@pytest.mark.parametrize(
    ("sampler", "argument", "kept"),
    [("always_off", "", 0), ("traceidratio", "0", 0), ("parentbased_traceidratio", "1.0", 1), ("always_on", "0", 1)],
)
def test_sampler_of_the_environment(run: Run, sampler: str, argument: str, kept: int) -> None:
    """`OTEL_TRACES_SAMPLER` and its argument mean what they mean for the SDK, in spite of Logfire."""
    run(
        "groqscope.configure(); trace.get_tracer('groqscope').start_span('s').end()",
        OTEL_TRACES_SAMPLER=sampler,
        OTEL_TRACES_SAMPLER_ARG=argument,
    )

    assert len(stored_spans()) == kept


def test_scrubber_leaves_our_fixed_forms_alone(run: Run) -> None:
    """Attributes that cannot hold a secret stay; others are scrubbed, as the user's callback says."""
    run(
        """
        import logfire
        groqscope.configure(scrubbing=logfire.ScrubbingOptions(
            callback=lambda match: match.value if match.path[-1] == "mine" else None))
        span = trace.get_tracer("groqscope").start_span("s", attributes={
            "groq.request.id": "req_auth123", "groq.stream.error": "bad password x",
            "mine": "a password x", "other": "a password x"})
        span.add_event("e", {"gen_ai.tool.call.id": "call_auth", "note": "my secret is"})
        span.end()
        """
    )

    (span,) = stored_spans()
    values = {a["key"]: a["value"].get("stringValue") for a in span["attributes"] + span["events"][0]["attributes"]}
    assert values["groq.request.id"] == "req_auth123"
    assert values["gen_ai.tool.call.id"] == "call_auth"
    assert values["mine"] == "a password x"
    assert [values[n] for n in ("other", "groq.stream.error", "note")] == [
        "[Scrubbed due to 'password']",
        "[Scrubbed due to 'password']",
        "[Scrubbed due to 'secret']",
    ]


def test_nothing_goes_to_logfires_cloud_without_a_token(run: Run) -> None:
    """Without a token logfire sends nothing, also when the environment says to send."""
    code = """
        import socket
        socket.socket.connect = lambda *_: os._exit(9)
        print(groqscope.configure().logfire)
        trace.get_tracer("groqscope").start_span("s").end()
        groqscope.flush()
    """

    assert run(code, LOGFIRE_SEND_TO_LOGFIRE="true").stdout.split() == ["False"]
