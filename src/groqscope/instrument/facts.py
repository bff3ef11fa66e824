"""Reads facts of a request and its answer from the SDK's objects.

Bodies contain whatever the caller or the server sent, so a value is used only if it has the type of its field.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx

from groqscope.instrument import families
from groqscope.instrument.http import classes
from groqscope.instrument.values import as_amount, as_count, as_integer, as_list, as_number, as_text, is_code, member
from groqscope.timeline import Channel, ModelUsage, RequestFacts, Timeline, Usage

_OPERATIONS: Final = (
    ("/chat/completions", "chat"),
    ("/responses", "chat"),
    ("/embeddings", "embeddings"),
    ("/audio/transcriptions", "transcription"),
    ("/audio/translations", "translation"),
    ("/audio/speech", "speech"),
)
_RESOURCE: Final = re.compile(r"/(models|files|batches)(?:/.+?)?(?:/(content|cancel))?/?$")
_NOTHING_USED: Final = Usage()
_VERBS: Final = {"get": "retrieve", "post": "create", "delete": "delete"}
_SINGULAR: Final = {"models": "model", "files": "file", "batches": "batch"}


def operation_of(method: str, url: str) -> str:
    """Return the operation of an endpoint: `chat`, `transcription`, `list_models` and so on."""
    path = url.partition("?")[0].rstrip("/")
    for suffix, name in _OPERATIONS:
        if path.endswith(suffix):
            return name
    found = _RESOURCE.search(path)
    if found is None:
        return "request"
    resource, action = found.groups()
    if path.endswith(f"/{resource}"):
        return f"list_{resource}" if method.lower() == "get" else f"create_{_SINGULAR[resource]}"
    return f"{action or _VERBS.get(method.lower(), method.lower())}_{_SINGULAR[resource]}"


def request_facts(operation: str, body: Mapping[str, Any], url: httpx.URL, *, stream: bool) -> RequestFacts:
    """Return what every request tells; `url` is where it goes."""
    facts = RequestFacts(operation=operation, stream=stream, server_address=url.host)
    facts["server_port"] = url.port or (443 if url.scheme == "https" else 80)
    model = body.get("model")
    if isinstance(model, str):
        facts["model"] = as_text(model)
    return facts


def asked(facts: RequestFacts, body: Mapping[str, Any]) -> None:
    """Read what a chat completion was asked for. Only what was sent is there, never a default."""
    get = body.get
    limit = get("max_completion_tokens")
    facts["max_tokens"] = as_count(limit if limit is not None else get("max_tokens"))
    for name in ("temperature", "top_p", "frequency_penalty", "presence_penalty"):
        if name in body:
            facts[name] = as_number(get(name))
    stop = get("stop")
    given = stop[:4] if isinstance(stop, (list, tuple)) else [stop]  # the API takes four
    facts["stop_sequences"] = tuple(s for s in map(as_text, given) if s is not None)
    facts["seed"] = as_integer(get("seed"))
    count = as_integer(get("n"))
    if count is not None and count != 1:
        facts["choice_count"] = count
    form = get("response_format")
    if isinstance(form, Mapping):
        kind = form.get("type")
        facts["output_type"] = "json" if kind in ("json_object", "json_schema") else "text" if kind == "text" else None
    facts["reasoning_effort"] = as_text(get("reasoning_effort"))
    facts["reasoning_format"] = as_text(get("reasoning_format"))
    facts["request_service_tier"] = as_text(get("service_tier"))
    for name in ("tools", "messages"):
        items = get(name)
        if isinstance(items, (list, tuple)):
            facts[name] = len(items)


def usage_of(usage: Any) -> Usage | None:
    """Read Groq's `usage` object, of a chat completion or of a response, which names tokens differently."""
    if usage is None:
        return None
    given, made = ("prompt", "completion") if member(usage, "input_tokens") is None else ("input", "output")
    prompt = member(usage, f"{given}_tokens_details")
    completion = member(usage, f"{made}_tokens_details")
    found = Usage(
        input_tokens=as_count(member(usage, f"{given}_tokens")),
        output_tokens=as_count(member(usage, f"{made}_tokens")),
        cached_tokens=None if prompt is None else as_count(member(prompt, "cached_tokens")),
        reasoning_tokens=None if completion is None else as_count(member(completion, "reasoning_tokens")),
        queue_time=as_amount(member(usage, "queue_time")),
        prompt_time=as_amount(member(usage, "prompt_time")),
        completion_time=as_amount(member(usage, "completion_time")),
        total_time=as_amount(member(usage, "total_time")),
    )
    return None if found == _NOTHING_USED else found


def models_of(breakdown: Any) -> tuple[ModelUsage, ...]:
    """Return the entries of a compound system's `usage_breakdown`."""
    found: list[ModelUsage] = []
    for entry in as_list(member(breakdown, "models"))[:32]:
        usage = usage_of(member(entry, "usage"))
        model = as_text(member(entry, "model"))
        if model is not None and usage is not None:
            found.append(
                ModelUsage(model=model, input_tokens=usage.input_tokens or 0, output_tokens=usage.output_tokens or 0)
            )
    return tuple(found)


def chunk_observer(timeline: Timeline, content: Any = None) -> Callable[..., None]:
    """Return a function that tells the timeline what a chunk contains.

    Its arguments: the chunk; the time at which the read that brought it returned; `valid=False` for a chunk that the
    SDK built without validation, so that its parts may have any type.
    """
    arrived = timeline.chunk
    first = True

    def observe(chunk: Any, t: int, *, valid: bool = True) -> None:
        nonlocal first
        if valid and not first and chunk.x_groq is None and chunk.usage is None and len(chunk.choices) == 1:
            # Nearly every chunk has one choice with a piece of text or of reasoning, and nothing else.
            choice = chunk.choices[0]
            delta = choice.delta
            if choice.finish_reason is None and delta.tool_calls is None and delta.executed_tools is None:
                # As Channel.CONTENT, .REASONING and .NONE.
                arrived(t, 1 if delta.content else 2 if delta.reasoning else 0)
                if content is not None:
                    _keep(content, choice.index, delta)
                return
        _observe_any(timeline, chunk, t, content, first=first)
        first = False

    return observe


def _observe_any(timeline: Timeline, chunk: Any, t: int, content: Any, *, first: bool) -> None:
    choices = as_list(getattr(chunk, "choices", None))
    channel = Channel.NONE
    for choice in choices:
        delta = getattr(choice, "delta", None)
        if getattr(delta, "content", None):
            channel |= Channel.CONTENT
        if getattr(delta, "reasoning", None):
            channel |= Channel.REASONING
        if getattr(delta, "tool_calls", None):
            channel |= Channel.TOOL
    timeline.chunk(t, channel)
    for choice in choices:
        _observe_choice(timeline, choice, getattr(choice, "delta", None), t, content)
    if first:
        observe_identity(timeline, chunk)
    _observe_groq(timeline, chunk, t)


def observe_identity(timeline: Timeline, answer: Any) -> None:
    """Note the ids and names of an answer. Compound systems give each chunk its own id: the first one counts."""
    timeline.identified(
        response_id=as_text(getattr(answer, "id", None)),
        response_model=as_text(getattr(answer, "model", None)),
        system_fingerprint=as_text(getattr(answer, "system_fingerprint", None)),
        created=as_count(getattr(answer, "created", None)),
        response_service_tier=as_text(getattr(answer, "service_tier", None)),
    )


def observe_completion(timeline: Timeline, completion: Any, t: int, content: Any = None) -> None:
    """Tell the timeline what an answer that was not streamed contains."""
    observe_identity(timeline, completion)
    for choice in as_list(getattr(completion, "choices", None)):
        _observe_choice(timeline, choice, getattr(choice, "message", None), None, content)
    _observe_groq(timeline, completion, t)


def observe_other(timeline: Timeline, answer: Any, t: int, _content: Any = None) -> None:
    """Note what answers of other endpoints contain: tokens, audio seconds, the model."""
    usage = getattr(answer, "usage", None)
    if usage is not None:
        found = Usage(
            input_tokens=as_count(member(usage, "prompt_tokens")),
            output_tokens=as_count(member(usage, "completion_tokens")),
        )
        if found != _NOTHING_USED:
            timeline.used(t, found)
    x_groq = getattr(answer, "x_groq", None)
    timeline.identified(
        response_model=as_text(getattr(answer, "model", None)),
        audio_seconds=as_amount(getattr(answer, "duration", None)),
        request_id=as_text(member(x_groq, "id")),
    )


def _observe_choice(timeline: Timeline, choice: Any, part: Any, t: int | None, content: Any) -> None:
    index = as_count(getattr(choice, "index", None)) or 0
    for position, call in enumerate(as_list(getattr(part, "tool_calls", None))):
        function = getattr(call, "function", None)
        name, arguments = as_text(getattr(function, "name", None)), getattr(function, "arguments", None)
        arguments = arguments if isinstance(arguments, str) else None  # the whole body: its size is known
        call_index = as_count(getattr(call, "index", None)) if t is not None else position
        call_id = as_text(getattr(call, "id", None))
        timeline.tool_delta(t, index, call_index, call_id, name, arguments)
        if content is not None:
            content.tool(index, call_index or 0, call_id, name, arguments)
    for tool in as_list(getattr(part, "executed_tools", None)):
        timeline.tool_executed(
            t,
            as_count(member(tool, "index")) or 0,
            as_text(member(tool, "type")) or "unknown",
            # When a search is announced, its result list is already there, and empty.
            has_output=bool(member(tool, "output") or member(member(tool, "search_results"), "results")),
        )
    if content is not None:
        _keep(content, index, part)
    reason = as_text(getattr(choice, "finish_reason", None))
    if reason is not None:
        timeline.choice_finished(index, reason)
        if content is not None:
            content.finished(index, reason)


def _observe_groq(timeline: Timeline, answer: Any, t: int) -> None:
    """Note `x_groq` and usage. If a chunk has the same usage twice, the one in `x_groq` counts."""
    x_groq = getattr(answer, "x_groq", None)
    usage = usage_of(member(x_groq, "usage")) or usage_of(getattr(answer, "usage", None))
    breakdown = member(x_groq, "usage_breakdown") or getattr(answer, "usage_breakdown", None)
    if usage is not None:
        timeline.used(t, usage, models_of(breakdown))
    if x_groq is None:
        return
    request_id, error = as_text(member(x_groq, "id")), as_text(member(x_groq, "error"))
    timeline.identified(
        request_id=None if request_id == "stub" else request_id,
        # Free text may repeat the prompt; a code cannot.
        stream_error=error if error is None or is_code(error) else "_OTHER",
    )


def _keep(content: Any, index: int, part: Any) -> None:
    for kind, name in (("text", "content"), ("reasoning", "reasoning")):
        text = getattr(part, name, None)
        if isinstance(text, str) and text:
            content.text(index, kind, text)


def error_type_of(error: BaseException) -> str:
    """Return an error's type, with low cardinality: Groq's code, else the status, else `timeout`, else the class."""
    if isinstance(error, families.each(lambda family: family.api_error)):
        body: Any = getattr(error, "body", None)
        if isinstance(body, Mapping):
            inner = body.get("error", body)
            code = inner.get("code") if isinstance(inner, Mapping) else None
            if is_code(code):
                return code
    if isinstance(error, families.each(lambda family: family.status_error)):
        return str(getattr(error, "status_code", None))
    if isinstance(error, families.each(lambda family: family.timeout_error) + classes("TimeoutException")):
        return "timeout"
    return type(error).__name__
