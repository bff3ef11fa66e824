"""`groqscope.run(...)`: one span around related requests, which inherit its user, conversation and tags."""

import inspect
import logging
import os
from collections.abc import Callable, Collection, Mapping
from contextvars import Token
from dataclasses import dataclass
from functools import wraps
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar

from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import Span, Status, StatusCode, TracerProvider

from groqscope import semconv
from groqscope._diagnostics import log_failure_once
from groqscope._version import __version__
from groqscope.timeline import SpanFacts

logger = logging.getLogger("groqscope")

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

BAGGAGE_VARIABLE: Final = "GROQSCOPE_BAGGAGE"
_KEY: Final = otel_context.create_key("groqscope-run")
_MAX_TAGS: Final = 32
_MAX_LENGTH: Final = 256
"""Limit of characters of a tag, a name or an id; the rest is cut off."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """The attributes of a run that its requests inherit."""

    name: str
    conversation: str | None = None
    user: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    """Sorted by name."""

    def attributes(self) -> dict[str, str]:
        """Return them as span attributes."""
        found = {semconv.RUN_NAME: self.name}
        if self.conversation is not None:
            found[semconv.CONVERSATION_ID] = self.conversation
        if self.user is not None:
            found[semconv.USER_ID] = self.user
        found.update((semconv.TAG_PREFIX + name, value) for name, value in self.tags)
        return found


def current_run(context: Context | None = None) -> RunContext | None:
    """Return the innermost run around the caller; `None` outside of a run."""
    found = otel_context.get_value(_KEY, context)
    return found if isinstance(found, RunContext) else None


def allowed_baggage() -> frozenset[str]:
    """Return the names of baggage entries that may be recorded: `GROQSCOPE_BAGGAGE`, separated by commas."""
    return frozenset(name.strip() for name in os.environ.get(BAGGAGE_VARIABLE, "").split(",") if name.strip())


def facts_of_context(context: Context, outer: Span, allowed: Collection[str] = ()) -> SpanFacts:
    """Return the run, agent, conversation, user and tags of a request, from its context.

    Sources in order of precedence: `groqscope.run(...)`, the current span (`outer`, on which frameworks set the agent
    and the conversation), and the allowed baggage entries. Other entries are ignored: any service upstream may set
    baggage.
    """
    facts: SpanFacts = {}
    run = current_run(context)
    if run is not None:
        facts = {"run": run.name, "conversation": run.conversation, "user": run.user, "tags": run.tags}
    attributes: Any = getattr(outer, "attributes", None) or {}
    if not attributes and not allowed:
        return facts
    found = {name: attributes.get(name) for name in _FROM_SPANS}
    tags: dict[str, str] = {}
    for name in allowed:
        value = baggage.get_baggage(name, context)
        if value is not None and name not in _FROM_SPANS:
            tags[name] = _text(value)
        elif value is not None and not isinstance(found[name], str):
            found[name] = _text(value)
    for name, field in _FROM_SPANS.items():
        value = found[name]
        if isinstance(value, str) and facts.get(field) is None:
            facts[field] = value[:_MAX_LENGTH]
    if tags:
        facts["tags"] = tuple(sorted({**tags, **dict(facts.get("tags", ()))}.items())[:_MAX_TAGS])
    return facts


_FROM_SPANS: Final[Mapping[str, Literal["agent", "conversation", "user"]]] = {
    semconv.AGENT_NAME: "agent",
    semconv.CONVERSATION_ID: "conversation",
    semconv.SESSION_ID: "conversation",
    semconv.USER_ID: "user",
}


class _Entered:
    """One entry into a run: its span and the token of its context, each once there is one."""

    __slots__ = ("span", "token")

    def __init__(self) -> None:
        self.span: Span | None = None
        self.token: Token[Context] | None = None

    def end(self, kind: type[BaseException] | None) -> None:
        """Detach its context and end its span. Called again after an interrupt, it does the rest."""
        token, span = self.token, self.span
        try:
            if token is not None:
                # ValueError in another context (a generator closed elsewhere), RuntimeError for the second time.
                otel_context._RUNTIME_CONTEXT.detach(token)  # noqa: SLF001 - the public `detach` would log a traceback
        except (ValueError, RuntimeError):
            pass
        finally:
            if span is not None and span.is_recording():
                if kind is not None and issubclass(kind, Exception):
                    span.set_attribute(semconv.ERROR_TYPE, kind.__qualname__)
                    span.set_status(Status(StatusCode.ERROR, kind.__qualname__))
                elif kind is not None:
                    # Cancelled, closed or Ctrl-C: nothing failed, and it is not how long an answer takes.
                    span.set_attribute(semconv.RUN_INTERRUPTED, True)
                span.end()


class RunScope:
    """One run as a context manager, sync and async, and as a decorator; each entry is a run of its own."""

    __slots__ = ("_given", "_open", "_tracer_provider")

    def __init__(self, given: RunContext, tracer_provider: TracerProvider | None) -> None:
        self._given = given
        self._tracer_provider = tracer_provider
        self._open: list[_Entered] = []

    def __enter__(self) -> Self:
        entered = _Entered()
        try:
            try:
                self._begin(entered)
            except Exception as error:  # noqa: BLE001 - the caller's code runs without the span
                log_failure_once(logger, "groqscope could not begin a run", error)
            return self
        except BaseException as error:
            # An interrupt: a `with` that was not entered is not left either.
            self._end(type(error), entered)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        # The exception's message may contain a prompt; only its type is recorded.
        entered: _Entered | None = None
        try:
            entered = self._innermost()
            self._end(kind, entered)
        except Exception as failure:  # noqa: BLE001 - as above
            log_failure_once(logger, "groqscope could not end a run", failure)
        except BaseException:
            self._end(kind, entered or self._innermost())
            raise

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def __call__(self, function: FunctionT) -> FunctionT:
        """Make each call of a function, sync or async, a run.

        Raises:
            TypeError: it is a generator function, whose body runs in the context of its caller; write
                `with groqscope.run(...)` inside it instead.
        """
        given, provider = self._given, self._tracer_provider
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"groqscope.run() cannot decorate the generator function {function.__name__}(): "
                "write `with groqscope.run(...):` around its body"
            )
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def run_async(*args: Any, **kwargs: Any) -> Any:
                with RunScope(given, provider):
                    return await function(*args, **kwargs)

            return run_async  # pyright: ignore[reportReturnType] - the signature is the function's own

        @wraps(function)
        def run_sync(*args: Any, **kwargs: Any) -> Any:
            with RunScope(given, provider):
                return function(*args, **kwargs)

        return run_sync  # pyright: ignore[reportReturnType] - as above

    def _begin(self, entered: _Entered) -> None:
        outer, given = current_run(), self._given
        if outer is not None:
            given = RunContext(
                given.name,
                outer.conversation if given.conversation is None else given.conversation,
                outer.user if given.user is None else given.user,
                tuple(sorted({**dict(outer.tags), **dict(given.tags)}.items())),
            )
        tracer = trace.get_tracer(semconv.SCOPE, __version__, self._tracer_provider, schema_url=semconv.SCHEMA_URL)
        span = entered.span = tracer.start_span(f"{semconv.SPAN_RUN} {given.name}", attributes=given.attributes())
        context = trace.set_span_in_context(span, otel_context.set_value(_KEY, given))
        entered.token = otel_context.attach(context)
        self._open.append(entered)

    def _innermost(self) -> _Entered | None:
        """Return the entry that is being exited.

        Several tasks may have entered this scope: the entry whose span is current here. If there is none, a generator
        is being closed in another context: the latest.
        """
        current = trace.get_current_span()
        here = [entered for entered in self._open if entered.span is current]
        return (here or self._open or [None])[-1]

    def _end(self, kind: type[BaseException] | None, entered: _Entered | None) -> None:
        if entered is not None:
            try:
                entered.end(kind)
            finally:
                if entered in self._open:
                    self._open.remove(entered)


def run(
    name: str,
    *,
    conversation: str | None = None,
    user: str | None = None,
    tags: Mapping[str, str] | None = None,
    tracer_provider: TracerProvider | None = None,
) -> RunScope:
    """Return a run: `with groqscope.run("answer"):`, `async with …`, or `@groqscope.run("answer")` on a function.

    It is one span, and one run in `groqscope audit --runs`. Conversation, user and tags are set on it and on every Groq
    request inside, also in tasks and in `asyncio.to_thread`; in your own threads only if you copy the context
    (`contextvars.copy_context().run`, or opentelemetry-instrumentation-threading). A nested run inherits what it does
    not set itself. None of this is sent to Groq.

    Args:
        name: the kind of work, the same for every run of that kind: "answer", not the question.
        conversation: `gen_ai.conversation.id`.
        user: `user.id`.
        tags: `groqscope.tag.NAME`; at most 32, of at most 256 characters.
        tracer_provider: where the span goes; the global provider when not given.

    Raises:
        TypeError: the name is not a string, or tags are not a mapping.
    """
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers without types
        raise TypeError(f'groqscope.run() takes the name of the run first, as in groqscope.run("answer"); got {name!r}')
    if tags is not None and not isinstance(tags, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - as above
        raise TypeError(f"tags= takes a mapping of names to values, got {type(tags).__name__}")
    kept = sorted((_text(key), _text(value)) for key, value in (tags or {}).items())
    context = RunContext(
        _text(name),
        None if conversation is None else _text(conversation),
        None if user is None else _text(user),
        tuple(kept[:_MAX_TAGS]),
    )
    return RunScope(context, tracer_provider)


def _text(value: object) -> str:
    return str(value)[:_MAX_LENGTH]
