"""Content, when asked for: what the conventions say, bounded inside the structure, scrubbed, only where asked."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import _logs
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from support.canaries import KEY, chunks, request
from support.processes import run
from support.scope import MODEL, Exported, Wire, sse

from groqscope.telemetry import Content, ContentPolicy

TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "description": "Weather", "parameters": {"type": "object"}},
}
ASK: dict[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Weather?"}],
    "tools": [TOOL],
}
CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"a": 1}'}}


def _stream(delta: dict[str, Any], reason: str | None = "stop") -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _recorded(policy: ContentPolicy | None, *pieces: bytes, **given: Any) -> dict[str, Any]:
    """Attributes of content on the span of one request."""
    exported = Exported({"content": policy} if policy else {})
    client = exported.client("sync", http={"transport": Wire(lambda _: sse(*pieces, b"data: [DONE]\n\n"))})
    list(client.chat.completions.create(**{**ASK, "stream": True, **given}))
    _, span = exported.only()
    names = ("gen_ai.input.", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.tool.definitions")
    found = {k: json.loads(str(v)) for k, v in (span.attributes or {}).items() if k.startswith(names)}
    exported.shutdown()
    return found


def test_what_the_conventions_say() -> None:
    """System instructions, input, output and tools as JSON of roles and parts."""
    found = _recorded(
        ContentPolicy(spans=True),
        _stream({"role": "assistant", "reasoning": "Hm."}, None),
        _stream({"content": "It is "}, None),
        _stream({"content": "fine.", "tool_calls": [CALL]}, "tool_calls"),
    )

    assert found == {
        "gen_ai.system_instructions": [{"type": "text", "content": "Be brief."}],
        "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "Weather?"}]}],
        "gen_ai.output.messages": [
            {
                "role": "assistant",
                "parts": [
                    {"type": "reasoning", "content": "Hm."},
                    {"type": "text", "content": "It is fine."},
                    {"type": "tool_call", "id": "call_1", "name": "get_weather", "arguments": '{"a": 1}'},
                ],
                "finish_reason": "tool_calls",
            }
        ],
        "gen_ai.tool.definitions": [{"type": "function", "name": "get_weather", "description": "Weather"}],
    }


@pytest.mark.parametrize(
    ("value", "on_span", "as_event"),
    [
        (None, False, False),
        ("NO_CONTENT", False, False),
        ("nonsense", False, False),
        ("true", True, False),
        ("span_only", True, False),
        ("EVENT_ONLY", False, True),
        ("SPAN_AND_EVENT", True, True),
    ],
)
def test_the_switch(monkeypatch: pytest.MonkeyPatch, value: str | None, on_span: bool, as_event: bool) -> None:
    """The conventions' variable decides where content goes; by default, and when misspelt, nowhere."""
    if value is not None:
        monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", value)
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    monkeypatch.setattr(_logs, "get_logger_provider", lambda: provider)
    monkeypatch.setattr("opentelemetry._logs._internal.get_logger_provider", lambda: provider)
    found = _recorded(None, _stream({"content": "fine"}))
    events = exporter.get_finished_logs()

    assert bool(found) is on_span
    assert len(events) == as_event
    for event in events:
        assert event.log_record.event_name == "gen_ai.client.inference.operation.details"
        assert "fine" in str((event.log_record.attributes or {})["gen_ai.output.messages"])


def test_long_texts_are_cut_inside_the_structure() -> None:
    """Every part is cut at the limit and says how much is missing; the JSON stays whole."""
    call = {**CALL, "function": {"name": "f", "arguments": "9" * 5_000}}
    found = _recorded(
        ContentPolicy(spans=True, max_characters=100),
        _stream({"content": "y" * 3_000, "tool_calls": [call]}),
        messages=[{"role": "user", "content": "x" * 1_000}],
    )
    (asked,) = found["gen_ai.input.messages"][0]["parts"]
    text, tool = found["gen_ai.output.messages"][0]["parts"]

    assert asked["content"] == "x" * 100 + "… (900 characters more)"
    assert text["content"] == "y" * 100 + "… (2900 characters more)"
    assert tool["arguments"] == "9" * 100 + "… (4900 characters more)"
    assert len(json.dumps(found)) < 1_500


@pytest.mark.parametrize("url", ["data:text/plain,password=hunter2" + "x" * 5_000, "data:" + "A" * 5_000])
def test_data_in_an_address_is_left_out(url: str) -> None:
    """Of an image that is sent in its address only the type is kept, however the address is written."""
    image = {"type": "image_url", "image_url": {"url": url}}
    found = _recorded(
        ContentPolicy(spans=True), _stream({"content": "ok"}), messages=[{"role": "user", "content": [image]}]
    )

    assert "hunter2" not in json.dumps(found)
    assert len(json.dumps(found["gen_ai.input.messages"])) < 300


def test_everything_is_bounded() -> None:
    """Ten thousand messages, parts, tools, choices and calls make a megabyte at most."""
    many = 10_000
    parts = [{"type": "text", "text": "p" * 3_000}] * many
    calls = [{"id": "c", "function": {"name": "f", "arguments": "a" * 3_000}}] * many
    content = Content(
        ContentPolicy(spans=True, max_messages=16),
        {
            "messages": [{"role": "user", "content": parts}, {"role": "assistant", "tool_calls": calls}] * (many // 2),
            "tools": [TOOL] * many,
        },
    )
    for index in range(many):
        content.text(index, "text", "t" * 10_000)
        content.tool(index, 0, "c", "f", "a" * 10_000)
        content.finished(index, "stop")
    size = len(json.dumps(content.attributes()))
    held = sum(len(t) for texts in content._texts.values() for t in texts)

    assert size < 1_000_000
    assert held < 100_000
    assert len(content._finish) <= 16


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("my password is hunter2", "[Scrubbed due to 'password']"),
        (f"the key is {KEY}!", "the key is [Scrubbed: gsk_…]!"),
        ('{"city": "Paris", "api_key": "xyz"}', '{"city": "Paris", "api_key": "[Scrubbed due to \'api_key\']"}'),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_scrubbed_by_patterns(text: str, shown: str) -> None:
    """By default a text in which logfire's patterns match is replaced; in JSON the value alone; Groq's keys always."""
    found = _recorded(
        ContentPolicy(spans=True), _stream({"content": text}), messages=[{"role": "user", "content": text}]
    )

    assert found["gen_ai.input.messages"][0]["parts"][0]["content"] == shown
    assert found["gen_ai.output.messages"][0]["parts"][0]["content"] == shown


def test_scrubbed_by_the_user() -> None:
    """The user's function sees every text, after the patterns, or alone."""
    policy = ContentPolicy(spans=True, patterns=False, scrub=lambda text: text.replace("password", "****").upper())
    call = {**CALL, "function": {"name": "f", "arguments": "an argument"}}
    found = _recorded(
        policy,
        _stream({"content": "my password", "reasoning": "so", "tool_calls": [call]}),
        messages=[
            {"role": "system", "content": "be good"},
            {"role": "user", "content": [{"type": "text", "text": "a password"}]},
            {"role": "tool", "tool_call_id": "c", "content": "result"},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://password.test/"}}]},
        ],
    )
    told = json.dumps(found)

    for text in ("BE GOOD", "A ****", "RESULT", "HTTPS://****.TEST/", "MY ****", '"SO"', "AN ARGUMENT", "WEATHER"):
        assert text in told
    assert "password" not in told


def test_scrubbing_fails() -> None:
    """What could not be scrubbed is not shown, and nothing else is lost."""

    def fail(text: str) -> str:
        raise ValueError(text)

    found = _recorded(ContentPolicy(spans=True, scrub=fail), _stream({"content": "secret"}))

    assert "secret" not in json.dumps(found)
    assert found["gen_ai.input.messages"][0]["parts"][0]["content"] == "[not recorded: scrubbing it failed]"


_KEYS = st.sampled_from(["role", "content", "type", "text", "image_url", "tool_calls", "function", "url"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner),
    max_leaves=20,
)


@given(st.fixed_dictionaries({"messages": _JSON | st.lists(st.dictionaries(_KEYS, _JSON)), "tools": _JSON}))
def test_any_body(body: dict[str, Any]) -> None:
    """Whatever a caller passes as messages, recording it raises nothing and gives JSON."""
    for value in Content(ContentPolicy(spans=True), body).attributes().values():
        json.loads(str(value).encode())


def test_through_logfire(tmp_path: Path) -> None:
    """`configure()` and the variable: prompts are in the store, keys and passwords are not."""
    run(
        tmp_path,
        """
        from support.canaries import KEY
        from support.scope import MODEL
        groqscope.configure()
        groqscope.instrument()
        messages = [{"role": "user", "content": text} for text in ("a plain prompt", "my password", f"key {KEY}")]
        list(client().chat.completions.create(model=MODEL, messages=messages, stream=True))
        """,
        OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="SPAN_ONLY",
    )
    told = b"".join(path.read_bytes() for path in (tmp_path / "store").iterdir())

    assert b"a plain prompt" in told
    assert b"my password" not in told
    assert KEY.encode() not in told


def test_only_what_is_named() -> None:
    """With content on, what no convention names stays out: users, documents, metadata, headers, logprobs, results."""
    exported = Exported({"content": ContentPolicy(spans=True, patterns=False)})
    client = exported.client("sync", http={"transport": Wire(lambda _: sse(chunks()))}, api_key=KEY)
    list(client.chat.completions.create(**request()))
    told = "".join(span.to_json() for span in exported.spans)
    exported.shutdown()

    assert "-user-" in told
    assert "delta.content" in told
    for field in ("request.user", "request.metadata", "request.documents", "header", "executed_tools", "logprobs", KEY):
        assert field not in told.replace("groq.executed_tools", ""), field
