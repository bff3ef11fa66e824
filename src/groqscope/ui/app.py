"""The application: pages, their data, exports, live events and the receiver, behind the guard."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from typing import Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from groqscope.audit import AuditError, ExpressionError, NoRequests, NotFound
from groqscope.audit.reports.html import drawing_script, style_sheet
from groqscope.ui.collection import Collection
from groqscope.ui.guard import Guard
from groqscope.ui.parameters import asked, page
from groqscope.ui.receiver import Receiver
from groqscope.ui.series import WINDOWS
from groqscope.ui.views import RENDERERS, Views

PAGES: Final = ("/", "/live", "/requests", "/requests/{id}", "/overview", "/why", "/compare", "/runs", "/runs/{id}")
"""Addresses of pages: all get the same document, whose script shows the view that the address names."""
MAX_STREAMS: Final = 32
"""Pages that may follow live events at the same time."""
_PACE: Final = 1.0
"""Least number of seconds between two live events."""
_QUIET: Final = 5.0
"""Seconds after which an event is sent even if nothing happened, because rates fall."""
_TYPES: Final = {"css": "text/css", "js": "text/javascript", "html": "text/html", "svg": "image/svg+xml"}

Answer = Callable[[Request], dict[str, Any]]


class Application:
    """The handlers behind the routes."""

    def __init__(self, collection: Collection, receiver: Receiver) -> None:
        self.collection = collection
        self.receiver = receiver
        self.views = Views(collection)
        self.stopping = asyncio.Event()
        self._streams = 0

    def routes(self) -> list[Route]:
        """Return the routes."""
        views = self.views
        data: Mapping[str, Answer] = {
            "live": lambda r: views.live(r.query_params.get("window", "5m")),
            "requests": lambda r: views.requests(asked(r.query_params), page(r.query_params)),
            "density": lambda r: views.density(asked(r.query_params), page(r.query_params)),
            "requests/{id}": lambda r: views.request(r.path_params["id"]),
            "overview": lambda r: views.overview(asked(r.query_params)),
            "groups": lambda r: views.groups(asked(r.query_params)),
            "why": lambda r: views.why(asked(r.query_params)),
            "compare": lambda r: views.compare(asked(r.query_params, "a."), asked(r.query_params, "b.")),
            "runs": lambda r: views.runs(asked(r.query_params), r.query_params.get("order", "newest")),
            "runs/{id}": lambda r: views.run(r.path_params["id"]),
            "check": lambda r: {"ok": bool(asked(r.query_params).query())},
            "words": lambda _: {"fields": views.fields(), **views.values()},
        }
        return [
            *(Route(path, _document, methods=["GET"]) for path in PAGES),
            *(
                Route(f"/api/{path}", _answering(answer, self.collection), methods=["GET"])
                for path, answer in data.items()
            ),
            Route("/api/events", self._events, methods=["GET"]),
            Route("/export/{kind}.{written}", self._export, methods=["GET"]),
            Route("/assets/{name}", _asset, methods=["GET"]),
            Route("/v1/traces", self.receiver.traces, methods=["POST"]),
            Route("/v1/metrics", self.receiver.metrics, methods=["POST"]),
        ]

    async def _export(self, request: Request) -> Response:
        kind, written = request.path_params["kind"], request.path_params["written"]
        if written not in RENDERERS:
            return PlainTextResponse(f"an export is one of {', '.join(RENDERERS)}\n", 404)
        query = request.query_params

        def make() -> str:
            given = {
                "asked": asked(query),
                "page": page(query),
                "a": asked(query, "a."),
                "b": asked(query, "b."),
                "id": query.get("id", ""),
                "order": query.get("order", "newest"),
            }
            return self.views.export(kind, written, given)

        try:
            text = await run_in_threadpool(make)
        except AuditError as error:
            return PlainTextResponse(f"{error}\n", 404)
        named = {"content-disposition": f'attachment; filename="groqscope-{kind}.{written}"'}
        return Response(text, 200, named, RENDERERS[written][0])

    async def _events(self, request: Request) -> Response:
        window = request.query_params.get("window", "5m")
        if window not in WINDOWS:
            return PlainTextResponse(f"a window is one of {', '.join(WINDOWS)}\n", 404)
        if self._streams >= MAX_STREAMS:
            return PlainTextResponse(f"{MAX_STREAMS} pages are following already\n", 503)
        return StreamingResponse(self._stream(window), media_type="text/event-stream")

    async def _stream(self, window: str) -> AsyncGenerator[str]:
        loop, changed = asyncio.get_running_loop(), asyncio.Event()
        quiet = self.collection.listen(lambda: loop.call_soon_threadsafe(changed.set))
        self._streams += 1
        try:
            yield "retry: 1000\n\n"
            since = 0
            while not self.stopping.is_set():
                changed.clear()
                data = await run_in_threadpool(self.views.live, window, since)
                yield f"data: {json.dumps(data, separators=(',', ':'))}\n\n"
                since = int(time.time()) - max(60, 6 * data["width"])  # what comes late changes stretches before now
                await self._pause(_PACE)
                await self._pause(_QUIET - _PACE, changed)
        finally:
            self._streams -= 1
            quiet()

    async def _pause(self, seconds: float, until: asyncio.Event | None = None) -> None:
        """Wait for a time, or until something happens or the server stops."""
        tasks = [asyncio.create_task(event.wait()) for event in (self.stopping, until) if event is not None]
        try:
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()


def make_app(application: Application, *, hosts: Iterable[str] = (), token: str | None = None) -> Starlette:
    """Return the application behind its guard."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        application.collection.start()
        yield
        await run_in_threadpool(application.collection.stop)
        application.receiver.close()

    guard = Middleware(Guard, hosts=tuple(hosts), token=token)
    app = Starlette(routes=application.routes(), middleware=[guard], lifespan=lifespan)
    app.router.redirect_slashes = False
    return app


def _answering(answer: Answer, collection: Collection) -> Callable[[Request], Any]:
    """Return an endpoint that computes in a thread; a problem that the user can fix is data too."""

    async def endpoint(request: Request) -> Response:
        try:
            return JSONResponse(await run_in_threadpool(answer, request))
        except ExpressionError as error:
            return JSONResponse({"problem": error.message, "at": error.position})
        except AuditError as error:
            kind = "nothing" if isinstance(error, NoRequests) else "missing" if isinstance(error, NotFound) else ""
            return JSONResponse({"problem": str(error), "kind": kind, "known": collection.total})

    return endpoint


async def _document(_: Request) -> Response:
    return Response(_static("index.html"), media_type="text/html")


async def _asset(request: Request) -> Response:
    name = request.path_params["name"]
    made = {"report.css": style_sheet, "drawing.js": drawing_script}.get(name)
    try:
        content = made().encode() if made is not None else _static(name)
    except (FileNotFoundError, IsADirectoryError, ValueError):
        return PlainTextResponse("there is no such file\n", 404)
    return Response(content, media_type=_TYPES.get(name.rpartition(".")[2], "text/plain"))


@cache
def _static(name: str) -> bytes:
    if name not in _names():
        raise FileNotFoundError(name)
    return (files("groqscope.ui") / "static" / name).read_bytes()


@cache
def _names() -> frozenset[str]:
    return frozenset(entry.name for entry in (files("groqscope.ui") / "static").iterdir() if entry.is_file())
