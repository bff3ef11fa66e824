"""Recorder: observes one request, from the call to its record.

It holds the timeline and reads the clock; every method that runs inside the caller's request is a hook and cannot
raise. The first of these ends it: the stream's end, `close()`, an error, the garbage collector, the exit of the process
(`lifecycle`).
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import httpx

from groqscope.instrument import apis, prompts, records
from groqscope.instrument.facts import error_type_of, operation_of, request_facts
from groqscope.instrument.faults import hook
from groqscope.instrument.headers import RATE_LIMIT_HEADERS, rate_limits, retry_after
from groqscope.instrument.hosts import target
from groqscope.instrument.http import is_response
from groqscope.instrument.lifecycle import OpenRequest
from groqscope.instrument.scope import Scope
from groqscope.instrument.values import is_code
from groqscope.telemetry import (
    Begun,
    Content,
    cached_discount,
    disown,
    price,
    price_of_audio,
    price_of_tools,
    price_source,
)
from groqscope.timeline import EndFacts, Outcome, RequestRecord, ResponseFacts, Timeline, Usage

if TYPE_CHECKING:
    from groq._models import FinalRequestOptions

RECORDER_EXTENSION: Final = "groqscope"
"""The extension of an httpx request in which its recorder is kept."""

_MAX_HEADERS: Final = 256
_MAX_HEADER: Final = 512
"""At most so many headers of an answer are read, and so many bytes of each."""

Trace = Callable[[str, Mapping[str, Any]], Any]


class Recorder(OpenRequest):
    """Observes one request."""

    __slots__ = (
        "_asked_by",
        "_chained",
        "_characters",
        "_headers",
        "_outcome",
        "_prompt",
        "_record",
        "_sent_headers",
        "_url",
        "adopted",
        "api",
        "begun",
        "content",
        "error_type",
        "now",
        "telemetry",
        "timeline",
        "watched",
    )

    def __init__(self, scope: Scope, client: Any, options: "FinalRequestOptions", *, stream: bool) -> None:
        start, start_unix = scope.now(), time.time_ns()
        super().__init__()
        scope.family.models.warm_up()
        body: Any = options.json_data
        body = body if isinstance(body, Mapping) else {}
        if isinstance(options.extra_json, Mapping):
            body = {**body, **options.extra_json}
        operation = operation_of(options.method, options.url)
        self.api = api = apis.of(operation, options.url)
        request = request_facts(operation, body, target(client, options), stream=stream)
        api.asked(request, body)
        self.telemetry = telemetry = scope.telemetry
        self.now = scope.now
        self.timeline = Timeline(start, start_unix, request)
        wanted = api.content if telemetry.content.wanted else None
        self.content = None if wanted is None else Content(telemetry.content, wanted(body))
        self._prompt: prompts.Prompt | None = None
        if scope.cache_doctor and api.content is not None and prompts.memory.caches(request.get("model")):
            self._prompt = self._read_prompt(api.content, body)
        text = body.get("input") if operation == "speech" else None
        self._characters = len(text) if isinstance(text, str) else None
        """Of the text of which speech was asked for."""
        self.adopted = False
        """An instrumented stream reads the response, so its byte stream is not observed as well."""
        self.watched = False
        """The response's byte stream is observed."""
        self._chained: Trace | None = None
        self._asked_by: tuple[httpx.Headers, tuple[str | None, ...]] | None = None
        """A request's headers, which an auth flow changes in place, and the credentials that were rejected."""
        self._sent_headers: httpx.Headers | None = None
        self._url: httpx.URL | None = None
        self._headers: tuple[int, list[tuple[bytes, bytes]], float] | None = None
        """Status, headers and time of the answer."""
        self._record: RequestRecord | None = None
        self._outcome: Outcome | None = None
        self.error_type: str | None = None
        # Last, so that a span which has begun will also end.
        try:
            self.begun: Begun = telemetry.begin(request, start_unix, method=options.method.upper())
            self.timeline.traced(self.begun.identity)
            self.opened()
        except BaseException:
            if hasattr(self, "begun"):
                self.finish("cancelled")
            raise

    # -- attempts

    @hook("prepared")
    def prepared(self, request: httpx.Request, *, asynchronous: bool) -> None:
        """An attempt begins: ask for the transport's trace events. A trace callback of the caller's is called first."""
        t = self.now()
        size = request.headers.get("content-length")
        self.timeline.prepared(t, int(size) if size is not None and size.isdecimal() else None)
        self._url = request.url
        self._sent_headers, self._asked_by = request.headers, None
        self._chained = request.extensions.get("trace")
        request.extensions["trace"] = self._atrace if asynchronous else self._trace
        request.extensions[RECORDER_EXTENSION] = self

    def _trace(self, name: str, info: Mapping[str, Any]) -> Any:
        chained = None if self._chained is None else self._chained(name, info)
        if name not in _TELL_NOTHING:
            self._traced(name, info)
        return chained

    async def _atrace(self, name: str, info: Mapping[str, Any]) -> None:
        if self._chained is not None:
            chained: Awaitable[Any] = self._chained(name, info)
            await chained
        if name not in _TELL_NOTHING:
            self._traced(name, info)

    @hook("trace")
    def _traced(self, name: str, info: Mapping[str, Any]) -> None:
        if not self.open:
            # The request is sent again, by other code than the SDK's.
            return
        event = name[name.find(".") + 1 :]
        step = _STEPS.get(event)
        if step is not None:
            if self._asked_by is not None and event in _BEGINNINGS:
                headers, refused = self._asked_by
                self._asked_by = None
                if _credentials(headers) != refused:
                    self.timeline.challenged()
            step(self.timeline, self.now())
        elif event == _HEADERS:
            self._headers_came(info.get("return_value"))
        elif event.endswith(".failed"):
            self.timeline.broke(self.now(), _transport_error_type(info.get("exception")))

    def _headers_came(self, result: Any) -> None:
        """Note a transport's `(status, headers)`; in HTTP/1.1 version and reason phrase are part of it."""
        t = self.now()
        fields: Any = result if isinstance(result, tuple) else ()
        status = next((field for field in fields if type(field) is int), None)
        asked = None
        if status is not None and status >= _FIRST_ERROR_STATUS:
            asked = retry_after(httpx.Headers(fields[-1]), time.time())
        self.timeline.headers(t, status, asked)
        if status in _CHALLENGES and self._sent_headers is not None:
            self._asked_by = self._sent_headers, _credentials(self._sent_headers)

    @hook("attempt_failed")
    def attempt_failed(self, response: httpx.Response | None, error: BaseException | None) -> None:
        """An attempt failed and the SDK is going to sleep."""
        t = self.now()
        if response is not None:
            self.timeline.attempt_failed(
                t,
                status=response.status_code,
                error_type=_status_error_type(response),
                retry_after=retry_after(response.headers, time.time()),
            )
        else:
            self.timeline.attempt_failed(
                t, status=None, error_type=None if error is None else error_type_of(error), retry_after=None
            )

    @hook("backed_off")
    def backed_off(self) -> None:
        """The SDK slept."""
        self.timeline.backed_off(self.now())

    @hook("answered")
    def answered(self, response: httpx.Response) -> None:
        """A response came; for a stream, its headers."""
        t = self.now()
        self.timeline.answered(t, response.status_code, unseen=True)
        if response.is_closed:
            # The body is read already, but a transport without trace events did not report it.
            self.timeline.last_byte(t, len(response.content))
        self._headers = (response.status_code, response.headers.raw, time.time())

    # -- the end of the call

    def returned(self, result: Any) -> None:
        """The call returns `result` to the caller."""
        # Looked up once: of an answer that has no such field, pydantic makes an exception of it.
        response = result if is_response(result) else getattr(result, "http_response", None)
        response = response if is_response(response) else None
        if not self.timeline.streaming and (response is None or response.is_closed):
            self._answer(result, response)
            self.finish("completed")
        elif self.adopted or self.watched:
            self._give_back()
        else:
            # Its end cannot be observed: the reader is not ours, or wrapping failed.
            self.finish("abandoned")

    @hook("returned")
    def _give_back(self) -> None:
        self.timeline.returned(self.now())

    @hook("answer")
    def _answer(self, result: Any, response: httpx.Response | None) -> None:
        t = self.now()
        if response is not None:
            self.body(response.content, t)
        else:
            self._observe(result, t)
            records.remember(result, self)

    def body(self, content: bytes, t: int) -> None:
        """Read an answer from its bytes, because the SDK has not parsed it (yet)."""
        self._observe(self.api.parse(content), t)

    def _observe(self, result: Any, t: int) -> None:
        self.api.observe(self.timeline, result, t, self.content)

    # -- a body that is read bit by bit

    @hook("observe_chunks")
    def chunk_observer(self) -> Callable[..., None]:
        """Return the function to be called with each chunk."""
        return self.api.observer(self.timeline, self.content)

    def exhausted(self, size: int | None = None) -> None:
        """The body has been read to its end; `size` is its length in bytes, if it is not a stream of events."""
        self.finish(self._exhausted(size) or "abandoned")

    @hook("last_byte")
    def _exhausted(self, size: int | None) -> Outcome:
        self.timeline.last_byte(self.now(), size)
        return "completed" if self.timeline.done or not self.timeline.streaming else "truncated"

    @hook("closing")
    def closing(self) -> None:
        """The caller closes the stream or the response."""
        self.timeline.closing(self.now())

    @hook("bytes.closed")
    def response_closed(self) -> None:
        """The response of an instrumented stream is closed, by the caller or by the end of its body."""
        # If the stream is waiting for a chunk, the end of the body closes the response.
        if self.open and self.timeline.held_by_caller:
            self.closing()
            self.finish("closed")

    @hook("parsed")
    def parsed(self, answer: Any) -> None:
        """The SDK has parsed the body."""
        records.remember(answer, self)

    @hook("failed")
    def _note_failure(self, error: BaseException, *, native: bool) -> None:
        response = getattr(error, "response", None)
        if is_response(response):
            self.timeline.answered(self.now(), response.status_code, unseen=True)
            self._headers = (response.status_code, response.headers.raw, time.time())
        elif not native:
            self.timeline.answered(self.now(), None, unseen=True)

    def failed(self, error: BaseException, *, native: bool = True) -> None:
        """An error reaches the caller; `native`: the transport emits trace events."""
        try:
            self._note_failure(error, native=native)
        finally:
            if isinstance(error, Exception):
                self.finish("error", error)
            else:
                self.finish("abandoned" if isinstance(error, GeneratorExit) else "cancelled")

    def _settle(self, outcome: Outcome, error: BaseException | None) -> None:
        if not self._finish(outcome, error):
            self._give_up()

    def disown(self) -> None:
        """Let go of the span: the parent process exports it."""
        disown(self.begun.span)

    @hook("give_up")
    def _give_up(self) -> None:
        """Ending the request failed: end at least its span."""
        self.telemetry.give_up(self.begun)

    @hook("finish")
    def _finish(self, outcome: Outcome, error: BaseException | None) -> bool:
        _, self._outcome = self.timeline.end(self.now(), outcome)
        if error is not None and self._outcome == "error":
            self.error_type = error_type_of(error)
        url = None
        if self.timeline.attempts > 1 and self._url is not None:
            url = str(self._url.copy_with(query=None, userinfo=b""))
        self.telemetry.end(self.begun, self.record, self.timeline.gaps, self.content, url)
        records.tell(self)
        return True

    @property
    def record(self) -> RequestRecord:
        """The record: while the request runs, as of now; afterwards made on first access."""
        if self._record is None:
            headers = self._header_facts()
            if self._outcome is None:
                return self.timeline.record(self.now(), headers=headers)
            self._record = self.timeline.record(
                outcome=self._outcome, error_type=self.error_type, headers=headers, ended=self._ended()
            )
            self._headers = None
        return self._record

    def _ended(self) -> EndFacts:
        """Return what follows from the whole of the request: what it cost, and what the prompt cache did for it."""
        timeline, usage = self.timeline, self.timeline.usage
        found = EndFacts()
        if self.api.content is not None and (usage is not None or timeline.generated):
            miss = self._remember(usage)
            if miss is not None:
                found["cache_miss"], found["cache_missed_tokens"], found["cache_last_used_ns"] = miss
        self._price(found)
        return found

    @hook("price")
    def _price(self, found: EndFacts) -> None:
        """Add what the request cost, what may be billed beside it, and what the prompt cache saved and would have."""
        timeline, usage = self.timeline, self.timeline.usage
        models, tier = timeline.models, timeline.tier
        if self.api.content is None:
            cost = price_of_audio(models, seconds=timeline.audio_seconds, characters=self._characters)
        else:
            cost = None if usage is None else price(models, usage, timeline.usage_models, tier=tier)
            again = estimated_cost(timeline)
            tools = timeline.executed_tools
            if tools and cost is not None:
                cost, again = None, cost + (price_of_tools(tools) or 0.0) + (again or 0.0)
            if again is not None:
                found["cost_estimate"] = again
        if cost is not None:
            found["cost"] = cost
        if cost is not None or "cost_estimate" in found:
            found["cost_source"] = price_source()
        if usage is not None and usage.cached_tokens is not None:
            found["cache_saved"] = cached_discount(models, usage.cached_tokens, tier=tier)
        if "cache_miss" in found:
            found["cache_lost"] = cached_discount(models, found.get("cache_missed_tokens"), tier=tier)

    @hook("prompt")
    def _read_prompt(self, messages: Callable[..., Mapping[str, Any]], body: object) -> prompts.Prompt | None:
        return prompts.read(messages(body))

    @hook("cache")
    def _remember(self, usage: Usage | None) -> prompts.Miss | None:
        """Remember the prompt, and return why it was not cached, where that is known."""
        _, model = self.timeline.models
        if model is None:
            return None
        url, headers = self._url, self._sent_headers
        key = None if headers is None else headers.get("authorization")
        account = None if url is None else (url.host, url.port), hash(key)
        began, ended = self.timeline.start_unix_ns, time.time_ns()
        return prompts.memory.add(self._prompt, usage, account=account, model=model, began=began, ended=ended)

    def _header_facts(self) -> ResponseFacts:
        """Return the facts in the answer's headers; parsed only when the record is made."""
        found = self._headers  # read once: another thread may be making the record too
        if found is None:
            return {}
        status, raw, now_unix = found
        headers = {
            name: v[:_MAX_HEADER].decode("ascii", "replace")
            for k, v in raw[:_MAX_HEADERS]
            if (name := _OURS.get(k.lower())) is not None
        }
        limited = not headers.keys().isdisjoint(RATE_LIMIT_HEADERS)
        return ResponseFacts(
            request_id=headers.get("x-request-id"),
            region=headers.get("x-groq-region"),
            rate_limits=rate_limits(headers) if limited else None,
            retry_after=retry_after(headers, now_unix) if status >= _FIRST_ERROR_STATUS else None,
        )


begin = hook("begin")(Recorder)
"""Begin to observe a request; `None` if that fails, and the request goes on unobserved."""


def estimated_cost(timeline: Timeline) -> float | None:
    """Return about what attempts cost that broke off once sent, and an answer that was left before its usage came."""
    times = timeline.unanswered_attempts + timeline.usage_missing
    if not times:
        return None
    usage, size = timeline.usage, timeline.request_size
    asked = usage.input_tokens if usage is not None else None
    if asked is None and size is not None:
        asked = size // _BYTES_A_TOKEN
    prompts_read = price(timeline.models, Usage(input_tokens=asked, output_tokens=0), tier=timeline.tier)
    generated = timeline.output_estimate if timeline.usage_missing else 0
    answer = price(timeline.models, Usage(input_tokens=0, output_tokens=generated), tier=timeline.tier)
    return None if prompts_read is None or answer is None else times * prompts_read + answer


def _credentials(headers: httpx.Headers) -> tuple[str | None, ...]:
    return headers.get("authorization"), headers.get("proxy-authorization")


def _transport_error_type(error: object) -> str:
    """Return the error type of a failed step, as `error_type_of` does; httpcore's classes are named like httpx's."""
    name = type(error).__name__
    return "timeout" if name.endswith("Timeout") else name


def _status_error_type(response: httpx.Response) -> str:
    """Return Groq's error code if the body has been read, else the status."""
    if response.is_stream_consumed or response.is_closed:
        try:
            code = response.json()["error"]["code"]
        except Exception:  # noqa: BLE001 - no JSON, or of another form, or not read: each HTTP library has its own errors
            code = None
        if is_code(code):
            return code
    return str(response.status_code)


_STEPS: Final[Mapping[str, Callable[[Timeline, int], None]]] = {
    "connect_tcp.started": Timeline.connecting,
    "connect_unix_socket.started": Timeline.connecting,
    "start_tls.started": Timeline.securing,
    "send_request_headers.started": Timeline.sending,
    "send_request_body.complete": Timeline.sent,
    "receive_response_body.complete": Timeline.last_byte,
}
_HEADERS: Final = "receive_response_headers.complete"
_TELL_NOTHING: Final = frozenset(
    f"{protocol}.{event}"
    for protocol in ("http11", "http2")
    for event in (
        "send_request_headers.complete",
        "send_request_body.started",
        "receive_response_headers.started",
        "receive_response_body.started",
        "response_closed.started",
        "response_closed.complete",
    )
)
"""More than half of a request's trace events: they come too often to look at."""
_OURS: Final[Mapping[bytes, str]] = {
    name.encode(): name
    for name in ("x-request-id", "x-groq-region", "retry-after", "retry-after-ms", *RATE_LIMIT_HEADERS)
}
"""The headers of an answer that are read, by their name in lower case."""
_BEGINNINGS: Final = frozenset({"connect_tcp.started", "connect_unix_socket.started", "send_request_headers.started"})
_FIRST_ERROR_STATUS: Final = 400
_BYTES_A_TOKEN: Final = 4
"""An estimate, for a prompt whose tokens nobody counted."""
_CHALLENGES: Final = frozenset({401, 407})
