"""Content is recorded only where it is asked for; then in the conventions' form, bounded and scrubbed."""

import json
from typing import Any

import groq
import pytest
from opentelemetry import _logs
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from support.both import Mode, both, each_mode
from support.callers import stream
from support.scope import MODEL, Exported

from groqscope.instrument import flush
from groqscope.simulator import Answer, ErrorEvent, Failure, Simulator, ToolCall
from groqscope.telemetry import ContentPolicy
from groqscope.telemetry.content import VARIABLE

MESSAGES: list[Any] = [
    {"role": "system", "content": "canary-system"},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "canary-user"},
            {"type": "image_url", "image_url": {"url": "https://canary.test/picture.png"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,canary"}},
        ],
    },
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"q":"canary-asked"}'}}
        ],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "canary-found"},
]
TOOLS = [
    {"type": "function", "function": {"name": "find", "description": "canary-described", "parameters": {"x": "canary"}}}
]
ANSWER = Answer(
    ["canary-", "said"],
    reasoning=["canary-", "thought"],
    tool_calls=[ToolCall("find", ['{"q":', '"canary-args"}'], id="c2")],
)
ASKED: dict[str, Any] = {"model": MODEL, "messages": MESSAGES, "tools": TOOLS, "user": "canary-user-id"}


@both
async def ask_each_way(client: Any) -> None:
    async with client:
        await client.chat.completions.create(**ASKED)
        async for _ in await client.chat.completions.create(**ASKED, stream=True):
            pass
        async with client.chat.completions.with_streaming_response.create(**ASKED, stream=True) as response:
            async for _ in response.iter_lines():
                pass


@both
async def failing(client: Any) -> None:
    async with client:
        with pytest.raises(groq.APIError):
            async for _ in await client.chat.completions.create(**ASKED, stream=True):
                pass


def everything(exported: Exported) -> str:
    """Return all that was exported, as one text."""
    spans = "".join(span.to_json() for span in exported.spans)
    return spans + json.dumps([[dict(p.attributes) for p in points] for points in exported.metrics().values()])


@each_mode
@pytest.mark.parametrize("value", [None, "", "NO_CONTENT", "false", "nonsense"])
def test_no_content_unless_asked_for(
    value: str | None, mode: Mode, sim: Simulator, exported: Exported, monkeypatch: Any, caplog: Any
) -> None:
    """No prompt, completion, reasoning, argument, tool description or user id is exported, and nothing is logged."""
    if value is not None:
        monkeypatch.setenv(VARIABLE, value)
    caplog.set_level("DEBUG", "groqscope")
    sim.play(ANSWER)
    ask_each_way(mode, exported.client(mode, sim.base_url))
    sim.play(Answer(["a"], ending=ErrorEvent(1, message="canary", failed_generation="canary")))
    failing(mode, exported.client(mode, sim.base_url))
    sim.play(Failure(400, message="canary", failed_generation="canary", code="canary says: no"))
    failing(mode, exported.client(mode, sim.base_url))

    assert len(exported.record_spans) == 5
    assert "canary" not in everything(exported)
    assert [r.getMessage() for r in caplog.records if r.name.startswith("groqscope")] == []


EXPECTED_INPUT = [
    {
        "role": "user",
        "parts": [
            {"type": "text", "content": "canary-user"},
            {"type": "uri", "modality": "image", "uri": "https://canary.test/picture.png"},
            {"type": "blob", "modality": "image", "mime_type": "image/png", "content": ""},
        ],
    },
    {
        "role": "assistant",
        "parts": [{"type": "tool_call", "id": "c1", "name": "find", "arguments": '{"q":"canary-asked"}'}],
    },
    {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "canary-found"}]},
]
EXPECTED_OUTPUT = [
    {
        "role": "assistant",
        "parts": [
            {"type": "reasoning", "content": "canary-thought"},
            {"type": "text", "content": "canary-said"},
            {"type": "tool_call", "id": "c2", "name": "find", "arguments": '{"q":"canary-args"}'},
        ],
        "finish_reason": "tool_calls",
    }
]


@each_mode
@pytest.mark.parametrize("value", ["SPAN_ONLY", "span_and_event", "true"])
def test_content_on_spans(value: str, mode: Mode, sim: Simulator, exported: Exported, monkeypatch: Any) -> None:
    """The attributes are JSON in the conventions' form, the same for a stream, a whole answer and one read as lines."""
    monkeypatch.setenv(VARIABLE, value)
    sim.play(ANSWER)
    ask_each_way(mode, exported.client(mode, sim.base_url))

    assert len(exported.record_spans) == 3
    for span in exported.record_spans:
        attributes = span.attributes or {}
        assert json.loads(str(attributes["gen_ai.system_instructions"])) == [
            {"type": "text", "content": "canary-system"}
        ]
        assert json.loads(str(attributes["gen_ai.input.messages"])) == EXPECTED_INPUT
        assert json.loads(str(attributes["gen_ai.output.messages"])) == EXPECTED_OUTPUT
        assert json.loads(str(attributes["gen_ai.tool.definitions"])) == [
            {"type": "function", "name": "find", "description": "canary-described"}
        ]


@each_mode
@pytest.mark.parametrize(("value", "on_spans"), [("EVENT_ONLY", False), ("SPAN_AND_EVENT", True)])
def test_content_as_events(
    value: str, on_spans: bool, mode: Mode, sim: Simulator, exported: Exported, monkeypatch: Any
) -> None:
    """Content is the conventions' log event, in the span's context; it is on the span only if asked for there too."""
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    _logs.set_logger_provider(provider)
    monkeypatch.setenv(VARIABLE, value)
    sim.play(ANSWER)
    stream(mode, exported.client(mode, sim.base_url), **ASKED)
    _, span = exported.only()
    flush()
    (log,) = exporter.get_finished_logs()
    event = log.log_record
    attributes = event.attributes or {}

    assert event.event_name == "gen_ai.client.inference.operation.details"
    assert (event.trace_id, event.span_id) == (span.context.trace_id, span.context.span_id)
    assert event.timestamp == span.end_time
    assert json.loads(str(attributes["gen_ai.output.messages"])) == EXPECTED_OUTPUT
    assert attributes["gen_ai.request.model"] == MODEL
    assert ("gen_ai.output.messages" in (span.attributes or {})) is on_spans
    assert ("canary" in everything(exported)) is on_spans
    provider.shutdown()


@each_mode
def test_content_is_bounded(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """Long texts are cut inside the JSON, which stays valid; messages and tools beyond a limit are left out."""
    exported.options["content"] = ContentPolicy(spans=True, max_characters=10, max_messages=3)
    sim.play(Answer(["x" * 100] * 50, tool_calls=[ToolCall(f"t{n}", '"' + "y" * 500 + '"') for n in range(9)]))
    stream(mode, exported.client(mode, sim.base_url), **ASKED)
    attributes = exported.only()[1].attributes or {}
    messages = json.loads(str(attributes["gen_ai.input.messages"]))
    (answer,) = json.loads(str(attributes["gen_ai.output.messages"]))

    assert [m["role"] for m in messages] == ["user", "assistant", "tool"]
    assert messages[0]["parts"][0]["content"] == "canary-use… (1 characters more)"
    assert answer["parts"][0]["content"].startswith("xxxxxxxxxx… (")
    calls = [p for p in answer["parts"] if p["type"] == "tool_call"]
    assert len(calls) == 3
    assert all(len(c["arguments"]) < 60 for c in calls)
    assert all(len(str(attributes[n])) < 1500 for n in attributes if n.endswith(".messages"))


@each_mode
def test_content_is_scrubbed(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """Every text passes through the policy's `scrub` before it is cut."""
    exported.options["content"] = ContentPolicy(spans=True, scrub=lambda text: text.replace("canary", "*"))
    sim.play(ANSWER)
    ask_each_way(mode, exported.client(mode, sim.base_url))

    assert "canary" not in everything(exported)
    assert '"*-said"' in str((exported.record_spans[0].attributes or {})["gen_ai.output.messages"])


@each_mode
def test_a_scrubber_that_raises(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """Text that could not be scrubbed is not recorded; the rest is, and the caller notices nothing."""

    def fail(_: str) -> str:
        raise LookupError("theirs")

    exported.options["content"] = ContentPolicy(spans=True, scrub=fail)
    sim.play(ANSWER)
    ask_each_way(mode, exported.client(mode, sim.base_url))

    assert "canary" not in everything(exported)
    assert "not recorded" in str((exported.record_spans[0].attributes or {})["gen_ai.output.messages"])
    assert {record.outcome for record in exported.records} == {"completed"}


@pytest.mark.parametrize(
    "messages",
    [
        None,
        "text",
        5,
        [],
        [None],
        [{"role": None}],
        [{"role": "user", "content": 5}],
        [{"role": "user", "content": [None, {}]}],
    ],
)
def test_malformed_messages(messages: Any, sim: Simulator, exported: Exported) -> None:
    """Whatever was sent as messages and tools, the request is recorded and nothing of groqscope's fails."""
    exported.options["content"] = ContentPolicy(spans=True)
    sim.play(Answer("a"))
    client = exported.client("sync", sim.base_url)
    client.post(
        "/openai/v1/chat/completions", cast_to=object, body={"model": MODEL, "messages": messages, "tools": messages}
    )
    client.close()

    assert exported.only()[0].outcome == "completed"
