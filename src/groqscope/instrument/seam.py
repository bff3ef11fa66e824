"""The seam: the five methods of the SDK's clients that groqscope replaces in order to observe requests.

Every request of the SDK goes through `request`; each attempt through `_prepare_request`, each back-off through
`_sleep_for_retry`, each answer through `_process_response` and `_process_response_data`. For the whole process they are
replaced on the two client classes of an SDK; for one client on a subclass to which the client is moved, so that its
copies (`with_options`) inherit them. The SDKs are in `families`.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from functools import wraps
from inspect import iscoroutinefunction
from sys import exc_info
from typing import Any, Final, get_args, get_origin

import httpx
from opentelemetry import context as otel_context
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY  # pyright: ignore[reportPrivateUsage] - the only name it has

from groqscope.instrument.bytes import observe_bytes
from groqscope.instrument.families import HOOKED
from groqscope.instrument.faults import hook
from groqscope.instrument.hosts import is_at, target
from groqscope.instrument.http import classes, is_request, is_response
from groqscope.instrument.recorder import RECORDER_EXTENSION, Recorder, begin
from groqscope.instrument.scope import Scope
from groqscope.instrument.streams import instrumented

_current: ContextVar[tuple[Recorder, Any] | None] = ContextVar("groqscope_recorder", default=None)
"""The recorder of the current call, and the client that makes it."""
_MARK: Final = "_groqscope_scope"


def install(cls: type, scope: Scope) -> None:
    """Replace the five methods on a class."""
    for name in HOOKED:
        original = getattr(cls, name)
        scope.originals[f"{cls.__name__}.{name}"] = cls.__dict__.get(name)
        setattr(cls, name, _WRAPPERS[name, iscoroutinefunction(original)](original, scope))
    setattr(cls, _MARK, scope)
    cls._groqscope_fast = scope.fast_path  # pyright: ignore[reportAttributeAccessIssue] - read by the streams


def remove(cls: type) -> None:
    """Put the original methods back."""
    scope: Scope | None = cls.__dict__.get(_MARK)
    if scope is None:
        return
    for name in HOOKED:
        original = scope.originals.get(f"{cls.__name__}.{name}")
        if original is None:
            delattr(cls, name)
        else:
            setattr(cls, name, original)
    delattr(cls, _MARK)
    delattr(cls, "_groqscope_fast")


def is_instrumented(target: Any) -> bool:
    """Return whether a class or a client is observed; a mock, which has every attribute, is not."""
    try:
        return type(getattr(target, _MARK, None)) is Scope
    except Exception:  # noqa: BLE001 - a strict fake may raise what it likes for a name it does not know
        return False


def _begin(client: Any, options: Any, scope: Scope, kwargs: Mapping[str, Any]) -> Recorder | None:
    if otel_context.get_value(_SUPPRESS_INSTRUMENTATION_KEY) or not _governs(scope, client):
        return None
    if not scope.family.groq_only and not _asks_groq(scope, client, options):
        return None
    return begin(scope, client, options, stream=bool(kwargs.get("stream")))


def _enter(recorder: Recorder, client: Any, entered: list[Token[Any]]) -> None:
    entered.append(otel_context.attach(recorder.begun.context))
    entered.append(_current.set((recorder, client)))


def _leave(entered: list[Token[Any]]) -> None:
    """Undo `_enter`, as far as it got and as it is not undone yet."""
    try:
        if len(entered) > 1:
            _current.reset(entered.pop())
    except ValueError:
        # A coroutine that was never awaited to its end is closed in another context, in which the tokens are not
        # valid; its own context no longer exists.
        entered.clear()
    if entered:
        otel_context.detach(entered.pop())


def _governs(scope: Scope, client: Any) -> bool:
    """Return whether a client is observed by this scope.

    A client of the user's own subclass may be observed, and then the process too: then the replaced method of the
    subclass calls the replaced method of the SDK. The scope nearer to the client observes, the other does nothing.
    """
    return getattr(client, _MARK, None) is scope


def _recorder(scope: Scope, client: Any) -> Recorder | None:
    """Return the recorder of this call; a call within it that is suppressed, or of another client, has none."""
    found = _current.get()
    if found is None or found[1] is not client or not _governs(scope, client):
        return None
    return None if otel_context.get_value(_SUPPRESS_INSTRUMENTATION_KEY) else found[0]


@hook("asks_groq")
def _asks_groq(scope: Scope, client: Any, options: Any) -> bool:
    """Return whether a request goes to one of Groq's hosts."""
    return is_at(target(client, options), scope.hosts)


@hook("native")
def _native(_scope: Scope, client: Any) -> bool:
    """Return whether the client's transport emits trace events."""
    transport = getattr(getattr(client, "_client", None), "_transport", None)
    return isinstance(transport, classes("HTTPTransport", "AsyncHTTPTransport"))


def _wrap_request(original: Callable[..., Any], scope: Scope) -> Callable[..., Any]:
    @wraps(original)
    def request(self: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        recorder: Recorder | None = None
        entered: list[Token[Any]] = []
        try:
            try:
                recorder = _begin(self, options, scope, kwargs)
                if recorder is None:
                    return original(self, cast_to, options, *args, **kwargs)
                _enter(recorder, self, entered)
                result = original(self, cast_to, options, *args, **kwargs)
            except BaseException as error:
                if recorder is not None:
                    recorder.failed(error, native=bool(_native(scope, self)))
                raise
            finally:
                _leave(entered)
            recorder.returned(result)
            return result
        except BaseException:
            # Everything is done already, unless an interrupt came between two of the lines above.
            _leave(entered)
            if recorder is not None:
                recorder.finish("cancelled")
            raise

    return request


def _wrap_request_async(original: Callable[..., Any], scope: Scope) -> Callable[..., Any]:
    @wraps(original)
    async def request(self: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        recorder: Recorder | None = None
        entered: list[Token[Any]] = []
        try:
            try:
                recorder = _begin(self, options, scope, kwargs)
                if recorder is None:
                    return await original(self, cast_to, options, *args, **kwargs)
                _enter(recorder, self, entered)
                result = await original(self, cast_to, options, *args, **kwargs)
            except BaseException as error:
                if recorder is not None:
                    recorder.failed(error, native=bool(_native(scope, self)))
                raise
            finally:
                _leave(entered)
            recorder.returned(result)
            return result
        except BaseException:
            # Everything is done already, unless an interrupt came between two of the lines above.
            _leave(entered)
            if recorder is not None:
                recorder.finish("cancelled")
            raise

    return request


def _wrap_prepare(original: Callable[..., Any], scope: Scope) -> Callable[..., Any]:
    @wraps(original)
    def _prepare_request(self: Any, request: httpx.Request) -> None:
        original(self, request)
        recorder = _recorder(scope, self)
        if recorder is not None:
            recorder.prepared(request, asynchronous=False)

    return _prepare_request


def _wrap_prepare_async(original: Callable[..., Any], scope: Scope) -> Callable[..., Any]:
    @wraps(original)
    async def _prepare_request(self: Any, request: httpx.Request) -> None:
        await original(self, request)
        recorder = _recorder(scope, self)
        if recorder is not None:
            recorder.prepared(request, asynchronous=True)

    return _prepare_request


def _wrap_sleep(original: Callable[..., Any], scope: Scope) -> Callable[..., Any]:
    @wraps(original)
    def _sleep_for_retry(self: Any, **kwargs: Any) -> None:
        recorder = _recorder(scope, self)
        if recorder is None:
            return original(self, **kwargs)
        recorder.attempt_failed(kwargs.get("response"), exc_info()[1])
        original(self, **kwargs)
        recorder.backed_off()
        return None

    return _sleep_for_retry


def _wrap_sleep_async(original: Callable[..., Any], scope: Scope) -> Callable[..., Any]:
    @wraps(original)
    async def _sleep_for_retry(self: Any, **kwargs: Any) -> None:
        recorder = _recorder(scope, self)
        if recorder is None:
            await original(self, **kwargs)
            return
        recorder.attempt_failed(kwargs.get("response"), exc_info()[1])
        await original(self, **kwargs)
        recorder.backed_off()

    return _sleep_for_retry


@hook("observed")
def _observed(scope: Scope, client: Any, kwargs: dict[str, Any]) -> None:
    """Note the answer, and replace the stream class by the instrumented one."""
    response = kwargs.get("response")
    if not is_response(response) or not _governs(scope, client):
        return
    extensions = response.request.extensions
    recorder = extensions.get(RECORDER_EXTENSION)
    if recorder is None and (recorder := _recorder(scope, client)) is not None:
        # The `_prepare_request` of a user's client class may not call the SDK's, so ours was not called.
        extensions[RECORDER_EXTENSION] = recorder
    if not isinstance(recorder, Recorder):
        return
    recorder.answered(response)
    stream_cls = kwargs.get("stream_cls")
    ours = instrumented(scope.family).get(get_origin(stream_cls) or stream_cls) if kwargs.get("stream") else None
    if ours is not None:
        arguments = get_args(stream_cls)
        kwargs["stream_cls"] = ours[arguments[0]] if arguments else ours
    if response.is_closed or hasattr(response, "_content"):
        return
    closing_only = ours is not None and scope.family.raw_response_header not in response.request.headers
    recorder.watched = bool(observe_bytes(recorder, response, closing_only=closing_only))


def _wrap_process(original: Callable[..., Any], scope: Scope) -> Callable[..., Any]:
    @wraps(original)
    def _process_response(self: Any, **kwargs: Any) -> Any:
        _observed(scope, self, kwargs)
        return original(self, **kwargs)

    return _process_response


def _wrap_process_async(original: Callable[..., Any], scope: Scope) -> Callable[..., Any]:
    @wraps(original)
    async def _process_response(self: Any, **kwargs: Any) -> Any:
        _observed(scope, self, kwargs)
        return await original(self, **kwargs)

    return _process_response


def _wrap_data(original: Callable[..., Any], scope: Scope) -> Callable[..., Any]:
    @wraps(original)
    def _process_response_data(self: Any, *, data: object, cast_to: Any, response: httpx.Response) -> Any:
        models = scope.family.models
        if type(data) is models.chunk:
            return data  # built by `fastpath`, from an event of a stream
        if cast_to not in scope.family.answers or not hasattr(response, "_content") or not _governs(scope, self):
            return original(self, data=data, cast_to=cast_to, response=response)
        completion = None
        if scope.fast_path and cast_to is models.completion and not self._strict_response_validation:
            completion = models.decode_completion(response.content)
        if completion is None:
            completion = original(self, data=data, cast_to=cast_to, response=response)
        recorder = response.request.extensions.get(RECORDER_EXTENSION)
        if isinstance(recorder, Recorder):
            recorder.parsed(completion)
        return completion

    return _process_response_data


_WRAPPERS: Final[Mapping[tuple[str, bool], Callable[[Callable[..., Any], Scope], Callable[..., Any]]]] = {
    ("request", False): _wrap_request,
    ("request", True): _wrap_request_async,
    ("_prepare_request", False): _wrap_prepare,
    ("_prepare_request", True): _wrap_prepare_async,
    ("_sleep_for_retry", False): _wrap_sleep,
    ("_sleep_for_retry", True): _wrap_sleep_async,
    ("_process_response", False): _wrap_process,
    ("_process_response", True): _wrap_process_async,
    ("_process_response_data", False): _wrap_data,
}


def recorder_of(target: Any) -> Recorder | None:
    """Return the recorder of a stream, a raw response or an error, by the request it belongs to."""
    for candidate in (target, getattr(target, "response", None), getattr(target, "http_response", None)):
        request = candidate if is_request(candidate) else _request_of(candidate)
        if request is not None and isinstance(found := request.extensions.get(RECORDER_EXTENSION), Recorder):
            return found
    return None


def _request_of(target: Any) -> httpx.Request | None:
    try:
        request = getattr(target, "request", None)
    except RuntimeError:
        # httpx raises this for a response or an error without a request.
        return None
    return request if is_request(request) else None
