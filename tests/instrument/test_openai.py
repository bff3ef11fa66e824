"""The openai SDK at Groq's address, on httpx2 and on httpx: records as through Groq's own; elsewhere, nothing."""

import asyncio
import gc
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel
from support.both import Mode, both, each_mode
from support.callers import whole
from support.endings import ENDINGS, TEXT, Case, check, read_to_the_end
from support.endings import run as run_case
from support.openai_clients import LIBRARIES, each_library, observed, openai_client, run, wire
from support.programs import Programs
from support.scope import ASK, COMPLETION, STREAM, Exported, Pieces, groq_client

import groqscope
from groqscope import RequestRecord, _diagnostics
from groqscope.instrument import families, faults
from groqscope.instrument.hosts import hosts, is_at
from groqscope.simulator import (
    Answer,
    Failure,
    Simulator,
    ToolCall,
)


@both
async def helper(client: Any) -> Any:
    async with client.chat.completions.stream(**ASK) as stream:
        events = [event.type async for event in stream]
        assert "content.delta" in events
        assert (await stream.get_final_completion()).choices[0].message.content == "Hello you"


class Greeting(BaseModel):
    """What is parsed."""

    text: str


@both
async def parsed(client: Any) -> Any:
    answer = await client.chat.completions.parse(**ASK, response_format=Greeting)
    assert answer.choices[0].message.parsed == Greeting(text="hi")
    return answer


CASES = [
    *ENDINGS,
    Case(helper, "completed", chunks=5, usage=True),
    Case(parsed, "completed", Answer('{"text":"hi"}'), chunks=-1, usage=True),
]


@each_mode
@each_library
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_way_out(case: Case, library: Any, mode: Mode, sim: Simulator, exported: Exported) -> None:
    """One ended span of Groq's, with the outcome, the error, usage and chunks until then; phases that add up."""
    sim.play(case.script)
    raised = run_case(case, observed(exported, mode, sim, library, **case.client), mode)
    gc.collect()
    record, span = exported.only()

    check(case, raised, record, span)
    assert (span.attributes or {})["gen_ai.provider.name"] == "groq"
    assert record.attempts


@each_mode
@each_library
def test_hidden_retries_and_connections_are_seen(library: Any, mode: Mode, sim: Simulator, exported: Exported) -> None:
    """Two 429s that the SDK hides are attempts, and their time is retry; the connection is told by the transport."""
    sim.play([Failure(429, retry_after=0.01), Failure(429, retry_after=0.01), TEXT])
    run(mode, read_to_the_end, observed(exported, mode, sim, library))
    record, _ = exported.only()

    assert [attempt.status for attempt in record.attempts] == [429, 429, 200]
    assert record.phases_unseen == ()
    assert record.phases.connect
    assert record.phases.total() == record.duration_ns


@each_mode
def test_tools_reasoning_and_groqs_own_fields(mode: Mode, exported: Exported) -> None:
    """What openai's models leave as dictionaries (x_groq, its usage) is read as from Groq's."""
    events = (
        (
            b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
            b'{"role":"assistant","reasoning":"Well"},"finish_reason":null}],"x_groq":{"id":"req_1"}}\n\n'
        ),
        (
            b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
            b'{"executed_tools":[{"index":0,"type":"search","arguments":"{}","output":"x"}]},"finish_reason":null}]}\n\n'
        ),
        (
            b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
            b"{},"
            b'"finish_reason":"stop"}],"x_groq":{"id":"req_1","usage":{"queue_time":0.25,"prompt_tokens":5,'
            b'"completion_tokens":3,"total_tokens":8,"total_time":0.5,"prompt_tokens_details":{"cached_tokens":4},'
            b'"completion_tokens_details":{"reasoning_tokens":2}}}}\n\ndata: [DONE]\n\n'
        ),
    )

    def answer(_: Any) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Pieces(events))

    bare = groq_client(mode, http=wire(httpx, answer))
    groqscope.instrument(bare, **exported.providers)
    run(mode, read_to_the_end, bare)
    client = openai_client(mode, library=httpx, http=wire(httpx, answer))
    groqscope.instrument(client, **exported.providers)
    run(mode, read_to_the_end, client)
    through_groq, through_openai = exported.records

    assert through_openai.usage == through_groq.usage
    assert through_openai.usage is not None
    assert (through_openai.usage.cached_tokens, through_openai.usage.queue_time) == (4, 0.25)
    for field in ("request_id", "finish_reasons", "content_chunks", "response_id", "cost", "outcome"):
        assert getattr(through_openai, field) == getattr(through_groq, field), field
    assert [(t.index, t.type) for t in through_openai.executed_tools] == [(0, "search")]


def _plain(chunk: ChatCompletionChunk) -> str:
    return re.sub(r'"(id|created|x_groq)":("[^"]*"|\d+|{.*?}+)', "", chunk.to_json(indent=None))


@each_mode
def test_the_callers_objects_are_the_sdks(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """The stream is an `openai.Stream`; its chunks equal those of a client that is not observed."""
    sim.play(Answer("hi", tool_calls=[ToolCall("weather", '{"city":"Rome"}')]))
    bare = run(mode, read_to_the_end, openai_client(mode, f"{sim.base_url}/openai/v1"))
    got = run(mode, read_to_the_end, observed(exported, mode, sim))

    assert [type(chunk) for chunk in got] == [ChatCompletionChunk] * len(bare)
    # What the simulator makes anew for each request is left out.
    assert [_plain(chunk) for chunk in got] == [_plain(chunk) for chunk in bare]
    assert [c.name for c in exported.only()[0].tool_calls] == ["weather"]


def test_the_stream_is_an_openai_stream(sim: Simulator, exported: Exported) -> None:
    """`isinstance` holds, and the record is found by the stream."""
    sim.play(TEXT)
    with observed(exported, "sync", sim) as client:
        stream = client.chat.completions.create(**STREAM)
        assert isinstance(stream, openai.Stream)
        list(stream)
    record = groqscope.record_of(stream)
    assert isinstance(record, RequestRecord)
    assert record.outcome == "completed"


@pytest.fixture
def process(exported: Exported) -> Any:
    """The whole process, observed."""
    groqscope.instrument(**exported.providers)
    yield exported
    groqscope.uninstrument()


@each_mode
@each_library
def test_elsewhere_nothing_changes(library: Any, mode: Mode, process: Exported) -> None:
    """At another host: no span, no extension of the request, no class of ours, the same bytes."""
    seen: list[Any] = []

    def answer(request: Any) -> Any:
        seen.append((request.content, dict(request.extensions), dict(request.headers)))
        body = b"data: [DONE]\n\n"
        return library.Response(200, headers={"content-type": "text/event-stream"}, content=body)

    async def ask() -> Any:
        client = openai_client(mode, "https://api.openai.com/v1", library, http=wire(library, answer))
        if mode == "sync":
            return client.chat.completions.create(**STREAM)
        return await client.chat.completions.create(**STREAM)

    stream = asyncio.run(ask())
    groqscope.uninstrument()
    bare = asyncio.run(ask())

    assert type(stream) is type(bare)
    assert type(stream.response.stream) is type(bare.response.stream)
    assert seen[0] == seen[1]
    assert "trace" not in seen[0][1]
    assert not process.spans
    assert groqscope.record_of(stream) is None


def _our_calls(ask: Callable[[], Any]) -> int:
    """How many functions of groqscope are called meanwhile."""
    ours = str(Path(groqscope.__file__).parent)
    calls = 0

    def count(frame: Any, event: str, _: Any) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_code.co_filename.startswith(ours)

    gc.collect()
    gc.disable()  # what it finds of earlier requests would be counted
    sys.setprofile(count)
    try:
        ask()
    finally:
        sys.setprofile(None)
        gc.enable()
    return calls


@each_mode
def test_what_a_request_elsewhere_costs(mode: Mode, process: Exported) -> None:
    """Two dozen calls of ours a request, and one a chunk, of the hundreds that the SDK makes for it."""
    chunk = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[]}\n\n'

    def calls(chunks: int) -> int:
        def answer(_: Any) -> Any:
            return LIBRARIES[-1].Response(200, headers={"content-type": "text/event-stream"}, content=chunk * chunks)

        client = openai_client(mode, "https://api.openai.com/v1", http=wire(LIBRARIES[-1], answer))
        return _our_calls(lambda: run(mode, read_to_the_end, client))

    calls(1)

    assert 0 < calls(0) <= 24
    assert calls(200) - calls(100) == 100
    assert not process.spans


@both
async def absolute(client: Any, url: str) -> Any:
    return await client.post(url, cast_to=object, body=ASK)


@each_mode
@pytest.mark.parametrize(
    ("base_url", "url", "seen"),
    [
        ("https://api.openai.com/v1", "https://api.groq.com/openai/v1/chat/completions", True),
        ("https://api.groq.com/openai/v1", "https://api.openai.com/v1/chat/completions", False),
        ("https://api.groq.com/openai/v1", "/chat/completions", True),
        ("https://API.Groq.com:443/openai/v1", "/chat/completions", True),
        ("https://api.groq.com./openai/v1", "/chat/completions", True),
        ("https://api.groq.com.evil.test/openai/v1", "/chat/completions", False),
        ("https://gateway.test:8443/tenants/7/groq", "/chat/completions", True),
        ("https://gateway.test/tenants/7/groq", "/chat/completions", False),
    ],
)
def test_what_counts_is_where_a_request_goes(
    base_url: str, url: str, seen: bool, mode: Mode, exported: Exported
) -> None:
    """Not where its client asks otherwise: an absolute URL, a host in any case, a proxy with a path of its own."""
    groqscope.instrument(**exported.providers, groq_hosts=["Gateway.Test:8443"])
    library = LIBRARIES[-1]
    client = openai_client(mode, base_url, http=wire(library, lambda _: library.Response(200, json=COMPLETION)))
    answer = absolute(mode, client, url)
    groqscope.uninstrument()

    assert answer["id"] == "c"
    assert [record.operation for record in exported.records] == ["chat"] * seen
    if seen:
        assert exported.records[0].server_address == library.URL(url if "://" in url else base_url).host


@each_mode
def test_azure_is_left_alone(mode: Mode, process: Exported) -> None:
    """Its requests go to Azure, whatever the deployment is called."""
    library = LIBRARIES[-1]
    seen: list[Any] = []

    def answer(request: Any) -> Any:
        seen.append(dict(request.extensions))
        return library.Response(200, json=COMPLETION)

    kind = openai.AzureOpenAI if mode == "sync" else openai.AsyncAzureOpenAI
    http = openai_client(mode, http=wire(library, answer))._client
    client = kind(
        api_key="k", api_version="1", azure_endpoint="https://groq.openai.azure.com", http_client=http, max_retries=0
    )

    assert run(mode, whole, client).id == "c"
    assert "trace" not in seen[0]
    assert not process.spans


@pytest.mark.parametrize("inside", [True, False], ids=["inside a request to Groq", "alone"])
def test_a_request_elsewhere_is_no_part_of_one_to_groq(inside: bool, process: Exported) -> None:
    """A client that asks another host while a request to Groq is sent leaves that request's record alone."""
    other = openai_client(
        "sync",
        "https://api.openai.com/v1",
        http=wire(LIBRARIES[-1], lambda _: LIBRARIES[-1].Response(200, json=COMPLETION)),
    )

    def ask_other(_: Any) -> None:
        run("sync", whole, other)

    hooks = {"event_hooks": {"request": [ask_other]}} if inside else {}
    client = openai_client(
        "sync", http={**wire(LIBRARIES[-1], lambda _: LIBRARIES[-1].Response(200, json=COMPLETION)), **hooks}
    )
    run("sync", whole, client)

    record, _ = process.only()
    assert len(record.attempts) == 1


@pytest.mark.parametrize(
    ("url", "given", "expected"),
    [
        ("https://api.groq.com/openai/v1", [], True),
        ("https://API.GROQ.COM:443/x", [], True),
        ("https://api.openai.com/v1", [], False),
        ("https://api.groq.com.example.com/v1", [], False),
        ("http://127.0.0.1:8080/v1", ["127.0.0.1:8080"], True),
        ("http://127.0.0.1:8081/v1", ["127.0.0.1:8080"], False),
        ("https://Proxy.Example.com/groq/v1", ["PROXY.example.com"], True),
        ("https://proxy.example.com/v1", ["proxy.example.com:443"], True),
        ("http://[::1]:9/v1", ["[::1]:9"], True),
    ],
)
@each_library
def test_hosts(url: str, given: list[str], expected: bool, library: Any) -> None:
    """A host in any case, with a port or without."""
    assert is_at(library.URL(url), hosts(given)) is expected


def test_hosts_of_the_environment(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Taken where none are given; what is no host is said without repeating it, and left out."""
    monkeypatch.setenv("GROQSCOPE_HOSTS", "gateway.test, http://user:secret@proxy.test ,other.test:81")
    with caplog.at_level(logging.WARNING, "groqscope"):
        found = hosts(None)

    assert found == {("api.groq.com", None), ("gateway.test", None), ("other.test", 81)}
    assert "GROQSCOPE_HOSTS" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("given", [["http://x/y"], [""], ["a b"], ["a:b"]])
def test_what_is_no_host_is_refused(given: list[str]) -> None:
    """A wrong host that is given as an argument raises an error, since the caller can correct it."""
    with pytest.raises(ValueError, match="groq_hosts"):
        hosts(given)
    with pytest.raises(TypeError, match="groq_hosts"):
        hosts("api.groq.com")


def test_a_client_elsewhere_is_said(exported: Exported, caplog: pytest.LogCaptureFixture) -> None:
    """`instrument(client)` of a client that asks another host than Groq's has no effect, and says so."""
    with caplog.at_level(logging.WARNING, "groqscope"):
        groqscope.instrument(openai_client("sync", "https://api.openai.com/v1"), **exported.providers)

    assert "groq_hosts" in caplog.text


def test_a_failure_to_look_at_the_host(
    sim: Simulator, exported: Exported, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The request goes on, unobserved."""

    def fail(name: str) -> None:
        if name == "asks_groq":
            raise RuntimeError

    client = observed(exported, "sync", sim)
    monkeypatch.setattr(faults, "injected", fail)
    assert run("sync", whole, client).choices[0].message.content
    monkeypatch.undo()

    assert not exported.spans
    assert _diagnostics.failures.pop("asks_groq") == 1
    caplog.clear()


LATER = """
import sys
import groqscope
from groqscope.instrument import is_instrumented
groqscope.instrument()
assert "openai" not in sys.modules
from importlib.util import find_spec
assert find_spec("openai") is not None  # asking is no import
import openai
assert is_instrumented(openai.OpenAI)
assert is_instrumented(openai.AsyncOpenAI)
assert type(openai.__spec__.loader).__name__ == type(openai.__loader__).__name__ == "SourceFileLoader"
assert not any(type(finder).__module__.startswith("groqscope") for finder in sys.meta_path)
groqscope.uninstrument()
assert not is_instrumented(openai.OpenAI)
"""
NEVER = """
import sys
import groqscope
from groqscope.instrument import is_instrumented
groqscope.instrument()
groqscope.uninstrument()
assert not any(type(finder).__module__.startswith("groqscope") for finder in sys.meta_path)
import openai
assert not is_instrumented(openai.OpenAI)
"""
IMPORTED = """
import sys
import importlib.abc
class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "openai":
            raise ModuleNotFoundError(name=name)
if sys.argv[1] == "hidden":
    sys.meta_path.insert(0, Hidden())
import groqscope
groqscope.instrument()
print(*sorted(sys.modules))
"""
OLD = """
import sys, types
old = types.ModuleType("openai")
old.VERSION = "0.28.1"
old.ChatCompletion = object
sys.modules["openai"] = old
import groqscope
from groqscope.instrument import is_instrumented
groqscope.instrument()
groqscope.instrument()
import groq
assert is_instrumented(groq.Groq)
# Whole before any thread of ours imports it: openai 2 looks at it as it is.
assert sys.modules["httpx2"].Response
"""


@pytest.mark.slow
@pytest.mark.parametrize("program", [LATER, NEVER], ids=["imported later", "taken back before"])
def test_imported_later(program: str) -> None:
    """It is observed once it is imported, and shows the loader that it has without us."""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.slow
def test_nothing_is_imported_for_an_openai_that_is_not() -> None:
    """Observing the process imports the same modules as where openai is not installed."""
    here, hidden = (
        subprocess.run([sys.executable, "-c", IMPORTED, which], check=True, capture_output=True, text=True).stdout
        for which in ("here", "hidden")
    )

    assert here == hidden
    assert not {name.partition(".")[0] for name in here.split()} & {"openai", "httpx2", "httpcore2"}


def test_a_version_that_cannot_be_observed_is_said_once(programs: Programs) -> None:
    """Groq's own SDK is observed all the same."""
    done = programs.run(OLD, os.environ)

    assert done.status == 0, done.stderr
    assert done.stderr.count("openai 0.28.1 is not observed") == 1


def test_families_name_their_clients() -> None:
    """Groq's first; openai's where it is imported; a subclass belongs to the family of its base."""
    assert [family.package for family in families.loaded()] == ["groq", "openai"]
    family = families.of(openai.AsyncAzureOpenAI)
    assert family is not None
    assert family.package == "openai"
