"""The ASGI application: reads a request, chooses the reply and plays it."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from groqscope.simulator import endpoints
from groqscope.simulator.answer import plan_answer
from groqscope.simulator.connection import SimulatorProtocol
from groqscope.simulator.errors import plan_failure
from groqscope.simulator.hub import Hub
from groqscope.simulator.plan import Ends, Plan, Write, drip
from groqscope.simulator.player import play
from groqscope.simulator.ratelimits import RateLimits
from groqscope.simulator.received import Received
from groqscope.simulator.replay import plan_recording
from groqscope.simulator.script import Answer, Close, Failure, Hang, Recorded, Reply, Reset, Response
from groqscope.simulator.served import Served

Builtin = Callable[[Received], Reply]
log = logging.getLogger(__name__)


class BodyTooLargeError(Exception):
    """The request's body is over the limit."""


class Endpoint:
    """One route: a bare ASGI application, because Starlette's responses do not expose when they write."""

    def __init__(self, builtin: Builtin, *, max_body: int, body_timeout: float, limits: RateLimits) -> None:
        """Make a route that answers with `builtin` where no script does."""
        self._builtin = builtin
        self._max_body = max_body
        self._body_timeout = body_timeout
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request and record what happened when."""
        connection: SimulatorProtocol = scope["state"]["connection"]
        hub: Hub = scope["state"]["hub"]
        served = hub.begin(connection.facts, connection.last_read_ns)
        try:
            await self._serve(scope, receive, send, served)
        except BaseException:
            served.left = "broken"
            raise
        finally:
            hub.end(served)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, served: Served) -> None:
        connection: SimulatorProtocol = scope["state"]["connection"]
        hub: Hub = scope["state"]["hub"]
        refused: Failure | None = None
        body: bytes | None = b""
        try:
            async with asyncio.timeout(self._body_timeout):
                body = await _read_body(receive, self._max_body)
        except TimeoutError:
            refused = Failure(408)
        except BodyTooLargeError:
            message = f"Request Entity Too Large: more than {self._max_body} bytes"
            refused = Failure(413, message=message, type="invalid_request_error", code="request_too_large")
        if body is None:
            served.left = "client left"
            return
        served.body_received_ns = connection.last_read_ns
        received = served.received = _received(scope, served.index, body)
        reply = refused or _refuse(received) or _scripted(hub, received) or self._builtin(received)
        if isinstance(reply, Answer) and hub.prompt_cache is not None:
            reply, served.cached_tokens = hub.prompt_cache.serve(reply, received)
        headers = self._limits.headers(received, counted=not isinstance(reply, Failure))
        if refused:  # the unread rest of the body would be parsed as the next request
            headers["connection"] = "close"
        plan = make_plan(reply, received, headers)
        await play(plan, send, connection, served, served.body_received_ns)


def make_plan(reply: Reply, received: Received, headers: dict[str, str]) -> Plan:
    """Return a reply as a plan of bytes and times."""
    match reply:
        case Answer():
            return plan_answer(reply, received, headers)
        case Recorded():
            return plan_recording(reply, headers)
        case Failure():
            return plan_failure(reply, received, headers)
        case Response():
            return _plan_response(reply, headers)
        case Reset() | Close() | Hang():
            return _plan_silence(reply)


def _plan_silence(reply: Reset | Close | Hang) -> Plan:
    ends: dict[type, Ends] = {Reset: "reset", Close: "cut", Hang: "hang"}
    delay = 0.0 if isinstance(reply, Hang) else reply.delay
    return Plan(status=None, headers={}, before_headers=delay, ends=ends[type(reply)])


def _plan_response(response: Response, headers: dict[str, str]) -> Plan:
    own = {"content-type": response.content_type, "content-length": str(len(response.body))}
    return Plan(
        status=response.status,
        headers={**headers, **own, **{k.lower(): v for k, v in response.headers.items()}},
        before_headers=response.delays.before_headers,
        writes=drip([Write(response.body, response.delays.before_first)], response.drip),
        before_end=response.delays.before_close,
    )


async def _read_body(receive: Receive, limit: int) -> bytes | None:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > limit:
            raise BodyTooLargeError
        if not message.get("more_body", False):
            return bytes(body)


def _received(scope: Scope, index: int, body: bytes) -> Received:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Received(index, scope["method"], scope["path"], headers, body, scope.get("path_params", {}))


def _refuse(received: Received) -> Failure | None:
    if (received.method, received.path) == ("GET", "/"):
        return None  # the start page, which says what this server is
    key = received.headers.get("authorization", "").removeprefix("Bearer").strip()
    return None if key else Failure(401)


def _scripted(hub: Hub, received: Received) -> Reply | None:
    try:
        return hub.reply(received)
    except Exception as error:
        log.exception("the simulator's script failed")
        return Failure(500, message=f"The script failed: {type(error).__name__}: {error}")


def _by_method(ways: Mapping[str, Builtin]) -> Builtin:
    return lambda received: ways.get(received.method, endpoints.unknown)(received)


def make_app(hub: Hub, *, max_body: int, body_timeout: float) -> Starlette:
    """Return the application, with a route for each of Groq's paths."""
    limits = RateLimits()

    def endpoint(builtin: Builtin) -> Endpoint:
        return Endpoint(builtin, max_body=max_body, body_timeout=body_timeout, limits=limits)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[dict[str, Any]]:
        yield {"hub": hub}

    routes = [Route(f"/openai/v1/{path}", endpoint(_by_method(ways))) for path, ways in endpoints.ROUTES.items()]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.router.redirect_slashes = False
    app.router.default = endpoint(endpoints.unknown)
    return app
