"""Plays a plan: sends each write at its absolute time and records it in the ground truth."""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from groqscope.simulator.connection import SimulatorProtocol, wake
from groqscope.simulator.plan import Plan
from groqscope.simulator.served import Served, Written

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class ClientLeftError(Exception):
    """The client closed the connection before the plan was played."""


async def play(plan: Plan, send: Send, connection: SimulatorProtocol, served: Served, begin_ns: int) -> None:
    """Write the answer; the plan's delays count from `begin_ns`."""
    schedule = _Schedule(connection, begin_ns)
    try:
        await schedule.wait(plan.before_headers)
        if plan.status is not None:
            served.status = plan.status
            served.headers_sent_ns = time.monotonic_ns()
            await send({"type": "http.response.start", "status": plan.status, "headers": _encode(plan)})
        await _write_body(plan, send, schedule, served)
        await schedule.wait(plan.before_end)
        await _end(plan, send, connection, served)
    except ClientLeftError:
        served.left = "client left"


async def _write_body(plan: Plan, send: Send, schedule: "_Schedule", served: Served) -> None:
    events = 0
    for write in plan.writes:
        await schedule.wait(write.delay)
        events += write.events
        served.writes.append(Written(time.monotonic_ns(), len(write.data), events))
        await send({"type": "http.response.body", "body": write.data, "more_body": True})


async def _end(plan: Plan, send: Send, connection: SimulatorProtocol, served: Served) -> None:
    if plan.ends == "hang":
        await connection.lost
        raise ClientLeftError
    served.ended_ns = time.monotonic_ns()
    if plan.ends == "complete" and plan.status is not None:
        served.left = "complete"
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return
    served.left = "reset" if plan.ends == "reset" else "cut"
    if plan.ends == "reset":
        connection.reset()
    else:
        connection.transport.close()
    # uvicorn must notice the lost connection before the application returns
    await connection.lost


def _encode(plan: Plan) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in plan.headers.items()]


class _Schedule:
    """Absolute deadlines, so that a late write does not delay the ones after it."""

    def __init__(self, connection: SimulatorProtocol, begin_ns: int) -> None:
        self._connection = connection
        self._due = begin_ns / 1e9

    async def wait(self, delay: float) -> None:
        """Sleep until `delay` seconds after the last deadline.

        Raises:
            ClientLeftError: the connection is lost.
        """
        self._due += delay
        lost = self._connection.lost
        loop = self._connection.loop
        if self._due > loop.time():
            timer: asyncio.Future[None] = loop.create_future()
            handle = loop.call_at(self._due, wake, timer)
            self._connection.on_lost(timer)
            try:
                await timer
            finally:
                handle.cancel()
        if lost.done():
            raise ClientLeftError
