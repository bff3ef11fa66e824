"""The caller's program as without us: what instrument() changes, and that uninstrument() takes it back."""

import contextlib
import copy
import gc
import inspect
import pickle
import sys
from collections.abc import Callable, Iterator
from typing import Any

import groq
import httpx
import pytest
from groq.resources.chat import completions
from groq.types.chat import ChatCompletion, ChatCompletionChunk
from opentelemetry import trace
from opentelemetry.sdk.trace import sampling
from support.both import Mode, both, each_mode
from support.callers import read_chunks, whole
from support.scope import ASK, STREAM, Exported, Wire, groq_client, sse

import groqscope
from groqscope import record_of
from groqscope.configuration import ConfigurationError
from groqscope.instrument import GroqInstrumentor, faults, is_instrumented, records
from groqscope.simulator import Answer, Chunk, Cut, ErrorEvent, Failure, Raw, Reset, Simulator, ToolCall, Truncated

CLASSES = (groq.Groq, groq.AsyncGroq)
TEXT = Answer(["a", "b"])


def seam() -> list[dict[str, Any]]:
    """Everything that is defined on the SDK's clients and what they inherit from, and in the module of its chat."""
    return [dict(vars(base)) for cls in CLASSES for base in cls.__mro__[:-1]] + [dict(vars(completions))]


@pytest.fixture
def process(exported: Exported) -> Iterator[Callable[[], None]]:
    """Instrument the process; taken back in the end."""
    yield lambda: groqscope.instrument(**exported.providers)
    groqscope.uninstrument()


def test_uninstrument_leaves_the_classes_as_they_were(process: Callable[[], None]) -> None:
    """Not one attribute more, less or other, on the classes and their bases, and in the module of the chat."""
    groqscope.uninstrument()  # what clients that were instrumented on their own left in that module
    before = seam()
    process()
    changed = seam()
    groqscope.uninstrument()

    assert [was != now for was, now in zip(before, changed, strict=True)].count(True) == len(CLASSES) + 1
    assert seam() == before


def test_signatures_stay(process: Callable[[], None]) -> None:
    """The replaced methods tell the same signature, and are coroutine functions where the SDK's are."""
    names = ("request", "_prepare_request", "_sleep_for_retry", "_process_response", "_process_response_data")
    before = [
        (inspect.signature(getattr(c, n)), inspect.iscoroutinefunction(getattr(c, n))) for c in CLASSES for n in names
    ]
    process()

    assert before == [
        (inspect.signature(getattr(c, n)), inspect.iscoroutinefunction(getattr(c, n))) for c in CLASSES for n in names
    ]


@each_mode
def test_twice_is_once(mode: Mode, process: Callable[[], None], sim: Simulator, exported: Exported) -> None:
    """instrument() twice, and on a client as well: one span a request; one uninstrument() takes all back."""
    sim.play(TEXT)
    process()
    process()
    client = exported.client(mode, sim.base_url)
    whole(mode, client)

    assert len(exported.record_spans) == 1
    groqscope.uninstrument()
    assert not is_instrumented(client)
    groqscope.uninstrument()


@each_mode
@pytest.mark.parametrize("first", ["client", "process"])
def test_client_and_process(
    first: str, mode: Mode, process: Callable[[], None], sim: Simulator, exported: Exported
) -> None:
    """A client instrumented before or after the process is observed once, and alone when the process no longer is."""
    sim.play(TEXT)
    client = groq_client(mode, sim.base_url)
    if first == "process":
        process()
    groqscope.instrument(client, **exported.providers)
    if first == "client":
        process()
    read_chunks(mode, client)

    assert len(exported.record_spans) == 1
    groqscope.uninstrument()
    read_chunks(mode, groq_client(mode, sim.base_url))
    assert len(exported.record_spans) == 1
    assert is_instrumented(client) is (first == "client")


@each_mode
def test_one_client(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """Only the client given, and its copies, are observed; it looks like one of the SDK's."""
    sim.play(TEXT)
    kind = groq.Groq if mode == "sync" else groq.AsyncGroq
    client = groq_client(mode, sim.base_url)
    same = groqscope.instrument(client, **exported.providers)

    assert same is client
    assert isinstance(client, kind)
    assert (type(client).__name__, type(client).__qualname__, type(client).__module__) == (
        kind.__name__,
        kind.__qualname__,
        kind.__module__,
    )
    whole(mode, client.with_options(max_retries=1))
    read_chunks(mode, groq_client(mode, sim.base_url))
    assert len(exported.record_spans) == 1
    groqscope.uninstrument()
    assert is_instrumented(client)
    groqscope.uninstrument(client)
    assert type(client) is kind
    groqscope.uninstrument(client)


@each_mode
def test_a_stream_that_is_open_when_uninstrumented(mode: Mode, process: Callable[[], None], exported: Exported) -> None:
    """It goes on, is observed to its end, and ends once."""
    process()
    client = groq_client(mode, http={"transport": Wire(sse(b'data: {"choices":[]}\n\n', b"data: [DONE]\n\n"))})
    uninstrumented_in_the_middle(mode, client)

    assert exported.only()[0].outcome == "completed"


@both
async def uninstrumented_in_the_middle(client: Any) -> None:
    open_stream = await client.chat.completions.create(**STREAM)
    groqscope.uninstrument()
    assert [chunk async for chunk in open_stream]


@each_mode
def test_subclasses_of_the_callers_own(
    mode: Mode, process: Callable[[], None], sim: Simulator, exported: Exported
) -> None:
    """A client class with a `_prepare_request` that does not call the SDK's is observed all the same, and ends."""
    sim.play([Failure(429, retry_after=0.001), TEXT, TEXT])
    process()
    kind = OwnGroq if mode == "sync" else OwnAsyncGroq
    own = kind(api_key="test", base_url=sim.base_url, http_client=groq_client(mode)._client)
    assert len(read_chunks(mode, own)) == 4
    record, _ = exported.only()

    assert (record.outcome, record.chunks) == ("completed", 4)
    assert record.phases.total() == record.duration_ns


class OwnGroq(groq.Groq):
    """Prepares requests by itself."""

    def _prepare_request(self, request: httpx.Request) -> None:
        request.headers["x-own"] = "1"


class OwnAsyncGroq(groq.AsyncGroq):
    """Prepares requests by itself."""

    async def _prepare_request(self, request: httpx.Request) -> None:
        request.headers["x-own"] = "1"


ANSWERS = {
    "text": TEXT,
    "tools": Answer("so", tool_calls=[ToolCall("f", ['{"a"', ":1}"]), ToolCall("g")], tools_come="interleaved"),
    "choices": Answer("a b", choices=2),
    "error event": Answer(["a"], ending=ErrorEvent(2)),
    "error event without a message": Answer(chunks=[Chunk("a"), Raw(b'event: error\ndata: {"error":{"x":1}}\n\n')]),
    "error as text": Answer(chunks=[Chunk("a"), Raw(b'data: {"error":"no"}\n\n')]),
    "event of another name": Answer(chunks=[Chunk("a"), Raw(b'event: ping\ndata: {"a":1}\n\n'), Chunk("b")]),
    "comments": Answer(chunks=[Raw(b": hello\n\n"), Chunk("a"), Raw(b":\n\n")]),
    "carriage returns": Answer(chunks=[Raw(b'data: {"id":"a","choices":[]}\r\n\r\n'), Chunk("a")]),
    "several lines": Answer(chunks=[Raw(b'data: {"id":"a",\ndata: "choices":[]}\n\n'), Chunk("a")]),
    "not a chunk": Answer(chunks=[Chunk("a"), Raw(b'data: {"id":5,"choices":[{"delta":null}],"new":{"a":1}}\n\n')]),
    "a list": Answer(chunks=[Chunk("a"), Raw(b"data: [1,2]\n\n")]),
    "not json": Answer(chunks=[Chunk("a"), Raw(b"data: {oops\n\n"), Chunk("b")]),
    "not utf-8": Answer(chunks=[Chunk("a"), Raw(b'data: "\xff"\n\n')]),
    "not utf-8, odd, in one read": Answer(
        chunks=[Chunk("a"), Chunk("b"), Raw(b'event: x\ndata: "\xff"\n\n'), Chunk("c")], events_per_write=9
    ),
    "not json, in one read": Answer(chunks=[Chunk("a"), Raw(b"data: {oops\n\n"), Chunk("b")], events_per_write=9),
    "carriage returns, not utf-8, in one read": Answer(
        chunks=[Chunk("a"), Raw(b'data: {"id":"a","choices":[]}\r\n\r\ndata: "\xff"\r\n\r\n')], events_per_write=9
    ),
    "truncated": Answer(["a"], ending=Truncated(1)),
    "truncated in an event": Answer(["a"], ending=Truncated(1, partial=20)),
    "after the end": Answer(["a"], inserts={2: Raw(b"data: [DONE]\n\n")}),
    "cut": Answer(["a"], ending=Cut(1)),
    "400": Failure(400),
    "401": Failure(401),
    "429": Failure(429, retry_after=0.001),
    "498": Failure(498),
    "500": Failure(500),
    "reset": Reset(),
}


ASKED = [(name, read_chunks) for name in ANSWERS] + [
    (name, whole)
    for name, answer in ANSWERS.items()
    if not isinstance(answer, Answer) or (answer.chunks is answer.ending is None and not answer.inserts)
]


@each_mode
@pytest.mark.parametrize(("name", "ask"), ASKED, ids=lambda v: v if isinstance(v, str) else v.name)
@pytest.mark.parametrize("fast", [True, False], ids=["fast", "slow"])
def test_as_the_bare_sdk(name: str, ask: Any, fast: bool, mode: Mode, sim: Simulator, exported: Exported) -> None:
    """The same values in the same order, and the same exception, its arguments and body, whatever the answer."""
    sim.play(ANSWERS[name])
    exported.options["fast_path"] = fast
    retries = int(name == "429")  # whose back-off the answer decides
    expected = outcome_of(ask, mode, groq_client(mode, sim.base_url, max_retries=retries))
    got = outcome_of(ask, mode, exported.client(mode, sim.base_url, max_retries=retries))

    assert got == expected
    assert len(exported.record_spans) == 1


def outcome_of(ask: Any, mode: Mode, client: Any) -> Any:
    """What a caller sees, without what changes from answer to answer."""
    try:
        got = ask(mode, client)
    except Exception as error:
        return (
            type(error),
            [str(a) for a in error.args],
            getattr(error, "body", None),
            type(error.__cause__),
            error.__context__ is None,
        )
    return [plain(g) for g in got] if isinstance(got, list) else plain(got)


def plain(value: Any) -> Any:
    """An object as data; ids and times are the simulator's, new with every answer."""
    if not isinstance(value, (ChatCompletion, ChatCompletionChunk)):
        return value
    data = value.model_dump(warnings=False)
    for name in ("id", "created", "x_groq", "usage"):
        data.pop(name, None)
    for choice in data.get("choices") or ():
        for call in ((choice or {}).get("delta") or (choice or {}).get("message") or {}).get("tool_calls") or ():
            call.pop("id", None)
    return type(value), data, frozenset(value.model_fields_set), sorted(value.model_extra or {})


@each_mode
def test_the_stream_is_the_sdks(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """It is an instance of the SDK's class, iterable once, with the SDK's attributes."""
    sim.play(TEXT)
    kind = groq.Stream if mode == "sync" else groq.AsyncStream
    found = facts_of_a_stream(mode, exported.client(mode, sim.base_url))

    assert isinstance(found["stream"], kind)
    assert found["response"].status_code == 200
    assert found["names"] <= set(dir(found["stream"]))


@both
async def facts_of_a_stream(client: Any) -> dict[str, Any]:
    async with client:
        async with await client.chat.completions.create(**STREAM) as observed:
            async for _ in observed:
                pass
        names = set(vars(groq.AsyncStream)) | {"_cast_to", "_client", "_options", "_iterator", "_decoder", "response"}
        return {"stream": observed, "response": observed.response, "names": names}


def test_completions_can_be_copied_and_pickled(sim: Simulator, exported: Exported) -> None:
    """Nothing of ours hangs on what the SDK gives."""
    sim.play(TEXT)
    answer = whole("sync", exported.client("sync", sim.base_url))

    assert pickle.loads(pickle.dumps(answer)) == answer
    assert copy.deepcopy(answer) == answer
    assert vars(answer).keys() == set(type(answer).model_fields)


@each_mode
def test_strict_response_validation(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """A client that validates strictly does so as without us."""
    sim.play(Answer(chunks=[Chunk("a"), Raw(b'data: {"id":5}\n\n')]))
    strict = {"_strict_response_validation": True}
    expected = outcome_of(read_chunks, mode, groq_client(mode, sim.base_url, **strict))
    got = outcome_of(read_chunks, mode, exported.client(mode, sim.base_url, **strict))

    assert got == expected
    assert expected[0] is groq.APIResponseValidationError
    assert exported.only()[0].error_type == "APIResponseValidationError"


# -- record_of, on_record


@both
async def look_at_records(client: Any) -> list[Any]:
    async with client:
        answer = await client.chat.completions.create(**ASK)
        open_stream = await client.chat.completions.create(**STREAM)
        records = [record_of(answer), record_of(open_stream)]
        async for _ in open_stream:
            records.append(record_of(open_stream))
        records.append(record_of(open_stream))
        raw = await client.chat.completions.with_raw_response.create(**ASK)
        records.extend((record_of(raw), record_of(await raw.parse()), record_of(open_stream.response)))
        return records


@each_mode
def test_record_of(mode: Mode, sim: Simulator, exported: Exported) -> None:
    """Completions, streams while they run and after, raw responses and what they parse to have a record."""
    sim.play(TEXT)
    answer, before, *during, after, raw, parsed, by_response = look_at_records(
        mode, exported.client(mode, sim.base_url)
    )

    assert (answer.outcome, answer.stream, answer.usage.output_tokens) == ("completed", False, 3)
    assert (before.outcome, before.chunks) == (None, None)
    assert [r.chunks for r in during] == [1, 2, 3, 4]
    assert all(r.phases.total() == r.duration_ns for r in (before, *during))
    assert (after.outcome, after.chunks, after.finish_reasons) == ("completed", 4, ("stop",))
    assert raw == parsed
    assert raw.outcome == "completed"
    assert by_response == after
    assert {r.span_id for r in exported.records} == {answer.span_id, after.span_id, raw.span_id}
    assert sorted(exported.records, key=lambda r: r.start_unix_ns) == [answer, after, raw]


def test_record_of_errors(sim: Simulator, exported: Exported) -> None:
    """The error that the SDK raises leads to its record."""
    sim.play(Failure(401))
    with pytest.raises(groq.AuthenticationError) as status:
        whole("sync", exported.client("sync", sim.base_url))
    sim.play(Reset())
    with pytest.raises(groq.APIConnectionError) as connection:
        whole("sync", exported.client("sync", sim.base_url, max_retries=0))
    found = [record_of(error.value) for error in (status, connection)]

    assert [r and r.error_type for r in found] == ["invalid_api_key", "APIConnectionError"]


@pytest.mark.parametrize("thing", [None, 1, "text", object(), httpx.Response(200), ValueError(), groq.GroqError()])
def test_record_of_anything_else(thing: Any) -> None:
    """What was not observed has no record."""
    assert record_of(thing) is None


def test_records_go_with_their_answers(sim: Simulator, exported: Exported) -> None:
    """Nothing is kept of an answer that is gone."""
    sim.play(TEXT)
    before = len(records._answers)
    answer = whole("sync", exported.client("sync", sim.base_url))
    assert len(records._answers) == before + 1
    del answer
    gc.collect()

    assert len(records._answers) == before


@pytest.mark.injects_failure
@each_mode
def test_on_record(mode: Mode, sim: Simulator, exported: Exported, caplog: Any) -> None:
    """Callbacks get every record once; one that raises is logged and harms nobody; removed is removed."""
    sim.play(TEXT)
    seen: list[Any] = []

    def fail(_: Any) -> None:
        raise LookupError("theirs")

    removers = [groqscope.on_record(fail), groqscope.on_record(seen.append)]
    try:
        read_chunks(mode, exported.client(mode, sim.base_url).with_options())
    finally:
        for remove in removers:
            remove()
            remove()
    whole(mode, exported.client(mode, sim.base_url))

    assert [record.chunks for record in seen] == [4]
    assert (
        caplog.text.count(
            "groqscope could not observe a request at on_record; the request itself is not affected (LookupError)"
        )
        == 1
    )
    assert faults.counts == {"on_record": 1}


# -- providers


@each_mode
def test_without_any_provider(mode: Mode, sim: Simulator) -> None:
    """Nobody set a provider: everything works, and record_of still knows."""
    sim.play(TEXT)
    client = groqscope.instrument(groq_client(mode, sim.base_url))
    answer = whole(mode, client)
    record = record_of(answer)

    assert record is not None
    assert (record.outcome, record.trace_id, record.usage.output_tokens) == ("completed", None, 3)


@each_mode
def test_sampled_out(mode: Mode, sim: Simulator) -> None:
    """A request that the sampler leaves out has no span, but metrics and a record."""
    sim.play(TEXT)
    exported = Exported(sampler=sampling.ALWAYS_OFF)
    answer = whole(mode, exported.client(mode, sim.base_url))
    record = record_of(answer)

    assert exported.spans == []
    assert record is not None
    assert record.outcome == "completed"
    assert [p.count for p in exported.metrics()["gen_ai.client.operation.duration"]] == [1]
    exported.shutdown()


def test_an_unsampled_parent(sim: Simulator, exported: Exported) -> None:
    """Below a span that is not recorded, nothing is exported, and nothing fails."""
    sim.play(TEXT)
    parent = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(0)))
    with trace.use_span(parent):
        whole("sync", exported.client("sync", sim.base_url))

    assert exported.spans == []


def test_the_instrumentor(sim: Simulator, exported: Exported) -> None:
    """OpenTelemetry's way to turn it on and off, with the providers it is given."""
    sim.play(TEXT)
    instrumentor = GroqInstrumentor()
    try:
        instrumentor.instrument(**exported.providers)
        instrumentor.instrument(**exported.providers)
        whole("sync", groq_client("sync", sim.base_url))
    finally:
        instrumentor.uninstrument()
    with contextlib.suppress(groq.APIError):
        whole("sync", groq_client("sync", sim.base_url))

    assert len(exported.record_spans) == 1
    assert instrumentor.instrumentation_dependencies()


@pytest.mark.parametrize("asked", [False, True], ids=["nothing asked of groq", "a request of groq"])
def test_other_clients_are_said_to_be_unseen(
    sim: Simulator,
    exported: Exported,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    *,
    asked: bool,
) -> None:
    """A program that ends with litellm loaded and no request of an SDK learns why nothing was observed."""
    sim.play(TEXT)
    monkeypatch.setitem(sys.modules, "litellm", sys)
    registered: list[Any] = []
    monkeypatch.setattr("atexit.register", registered.append)
    monkeypatch.setattr("atexit.unregister", registered.remove)
    instrumentor = GroqInstrumentor()
    try:
        instrumentor.instrument(**exported.providers)
        ours = [function for function in registered if getattr(function, "__name__", "") == "say"]
        if asked:
            whole("sync", groq_client("sync", sim.base_url))
        for function in [function for function in ours if function in registered]:
            function()
    finally:
        monkeypatch.undo()
        instrumentor.uninstrument()

    said = [m for m in caplog.messages if "Requests to Groq by litellm are not observed" in m]
    assert len(ours) == 1
    assert len(said) == (not asked)


def test_the_instrumentor_that_cannot_configure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The agent goes on to its other instrumentations; one line says what is wrong, and Groq stays as it was."""

    def refuse() -> None:
        raise ConfigurationError("nowhere to send to")

    monkeypatch.setattr("groqscope.configuration.configure", refuse)
    instrumentor = GroqInstrumentor()
    try:
        instrumentor.instrument()
        assert not is_instrumented(groq.Groq)
    finally:
        instrumentor.uninstrument()

    assert caplog.messages == ["groqscope: nowhere to send to. Groq is not observed."]
