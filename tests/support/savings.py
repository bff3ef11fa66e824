"""What a report shows and blames, beside the truth: the same request with another caller, or without the cause.

Servers and callers of known speed, read by the sync client, the async client and an agent; then each cause that one
could do without. `make phases` prints both tables.
"""

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic_ai import Agent

from groqscope import RequestRecord
from groqscope.audit.rules import INDEX, measure
from groqscope.models.groq import GroqModel
from groqscope.simulator import Answer, Connection, Delays, Failure, Playable, Simulator, Usage
from support.both import Both, Mode, both
from support.ground_truth.runner import waited_ns
from support.ground_truth.scenario import Caller
from support.scope import ASK, MODEL, STREAM, Exported

Reader = Literal["sync", "async", "agent"]
READERS: Final[tuple[Reader, ...]] = ("sync", "async", "agent")
SERVERS: Final = (0.002, 0.02)
"""Seconds a token."""
CALLERS: Final = (0.0, 0.005, 0.02, 0.06)
"""Seconds the caller works on each chunk."""
TOKENS: Final = 25
UNREPORTED: Final = Usage(completion_time=0.0)
_PATIENCE: Final = 4
_DISTURBED_NS: Final = 5_000_000


@dataclass(frozen=True)
class Cell:
    """A server's and a caller's speed, and who reads."""

    reader: Reader
    server_s: float
    caller_s: float
    reported: bool

    def __str__(self) -> str:
        told = "reported" if self.reported else "observed"
        return f"{self.reader}-{self.server_s * 1e3:g}-{self.caller_s * 1e3:g}-{told}"


CELLS: Final = tuple(
    Cell(reader, server, caller, reported)
    for reported in (True, False)
    for reader in READERS
    for server in SERVERS
    for caller in CALLERS
)


@dataclass(frozen=True)
class Measured:
    """One cell, run."""

    cell: Cell
    record: RequestRecord
    alone_ns: int
    """How long the same request took when the caller did nothing."""
    waited_ns: int
    """How long threads of this process had to wait for a processor meanwhile."""

    @property
    def truth(self) -> float:
        """Tokens per second, as the server sends them."""
        return 1 / self.cell.server_s

    @property
    def saved_ns(self) -> int:
        """What doing nothing saves."""
        return self.record.duration_ns - self.alone_ns


class Bench:
    """A simulator, plain and with TLS, whose answers come at a known speed."""

    def __init__(self, plain: Simulator, secure: Simulator) -> None:
        self._plain = plain
        self._secure = secure
        self._alone: dict[Cell, int] = {}

    def cell(self, cell: Cell) -> Measured:
        """Run a cell; again, while it was the machine that was busy elsewhere."""
        nobody = Cell(cell.reader, cell.server_s, 0.0, cell.reported)
        for _ in range(_PATIENCE):
            if nobody not in self._alone:
                self._alone[nobody] = min(self._once(nobody)[0].duration_ns for _ in range(2))
            record, waited = self._once(cell)
            if waited < _DISTURBED_NS:
                break
        return Measured(cell, record, self._alone[nobody], waited)

    def _once(self, cell: Cell) -> tuple[RequestRecord, int]:
        answer = Answer(
            ["word "] * TOKENS,
            delays=Delays(before_headers=0.02, before_first=0.02, per_chunk=cell.server_s),
            usage=Usage() if cell.reported else UNREPORTED,
        )
        self._plain.play(answer)
        if cell.reader == "agent":
            return _undisturbed(lambda exported: asyncio.run(_agent(exported, self._plain, cell.caller_s)))
        mode: Mode = cell.reader

        def act(exported: Exported) -> None:
            _run(mode, _read, exported.client(mode, self._plain.base_url), Caller(), cell.caller_s)

        return _undisturbed(act)

    def cause(self, cause: "Cause") -> "Costs":
        """Run a request with a cause and without it."""
        for _ in range(_PATIENCE):
            with_it, waited = cause.run(self, True)
            without, more = cause.run(self, False)
            if waited + more < _DISTURBED_NS:
                break
        blamed = round(measure(with_it)[INDEX[cause.code]])
        return Costs(cause, blamed, with_it.duration_ns - without.duration_ns, waited + more)

    def asked(
        self, script: Playable, *, connections: tuple[Connection, ...] = (), warm: bool = True, secure: bool = False
    ) -> tuple[RequestRecord, int]:
        """Play a script to one request, over a connection that is open already unless it is to be cold."""
        simulator = self._secure if secure else self._plain

        def act(exported: Exported) -> None:
            http = {"verify": simulator.client_tls} if secure else {}
            with exported.client("sync", simulator.base_url, http=http) as client:
                if warm:
                    simulator.play(_ANSWER)
                    client.chat.completions.create(**ASK)
                simulator.play(script)
                simulator.take(connections)
                client.chat.completions.create(**ASK)

        return _undisturbed(act)

    def pooled(self, connections: int) -> tuple[RequestRecord, int]:
        """Ask while another request holds a connection for 250 ms."""

        def act(exported: Exported) -> None:
            import httpx

            self._plain.play([Answer("a", delays=Delays(before_first=0.25)), _ANSWER])
            http = {"limits": httpx.Limits(max_connections=connections)}
            with exported.client("sync", self._plain.base_url, http=http) as client:
                other = threading.Thread(target=lambda: client.chat.completions.create(**ASK))
                other.start()
                time.sleep(0.03)
                client.chat.completions.create(**ASK)
                other.join()

        return _undisturbed(act, pick=lambda records: min(records, key=lambda r: -r.start_unix_ns))


@both
async def _read(client: Any, caller: Caller, each_s: float) -> None:
    async for _ in await client.chat.completions.create(**STREAM):
        if each_s:
            await caller.asynchronous(each_s)
    await client.close()


def _run(mode: Mode, act: Both, *arguments: Any) -> None:
    if mode == "sync":
        act.synchronous(*arguments)
    else:
        asyncio.run(act.asynchronous(*arguments))


async def _agent(exported: Exported, sim: Simulator, each_s: float) -> None:
    client: Any = exported.client("async", sim.base_url)
    from pydantic_ai.providers.groq import GroqProvider

    agent = Agent(GroqModel(MODEL, provider=GroqProvider(groq_client=client)))
    async with agent.run_stream("Hello?") as result:
        async for _ in result.stream_text(delta=True, debounce_by=None):
            await asyncio.sleep(each_s)
    await client.close()


def _undisturbed(
    act: Callable[[Exported], None], pick: Callable[[list[RequestRecord]], RequestRecord] = lambda records: records[-1]
) -> tuple[RequestRecord, int]:
    exported = Exported()
    gc.disable()
    waited = waited_ns()
    try:
        act(exported)
    finally:
        gc.enable()
    waited = waited_ns() - waited
    found = pick(sorted(exported.records, key=lambda r: r.start_unix_ns))
    exported.shutdown()
    return found, waited


@dataclass(frozen=True)
class Cause:
    """Something one could do without."""

    name: str
    code: str
    run: Callable[[Bench, bool], tuple[RequestRecord, int]]

    def __str__(self) -> str:
        return self.name.replace(" ", "_")


@dataclass(frozen=True)
class Costs:
    """One cause, run."""

    cause: Cause
    blamed_ns: int
    saved_ns: int
    """How much sooner the same request ends without it."""
    waited_ns: int


_ANSWER: Final = Answer("a b c", delays=Delays(before_first=0.05), usage=Usage(completion_time=0.001))
_QUEUED: Final = Answer(
    "a b c", delays=Delays(before_headers=0.3, before_first=0.05), usage=Usage(completion_time=0.001)
)
_BUSY: Final = Failure(429, retry_after=0.3)
_SLOW_TLS: Final = (Connection(tls_delay=0.2),)
CAUSES: Final = (
    Cause("queue", "queue", lambda bench, on: bench.asked(_QUEUED if on else _ANSWER)),
    Cause("one failed attempt", "retries", lambda bench, on: bench.asked([_BUSY, _ANSWER] if on else _ANSWER)),
    Cause(
        "a failed attempt that opened the connection",
        "retries",
        lambda bench, on: bench.asked(
            [_BUSY, _ANSWER] if on else _ANSWER, connections=_SLOW_TLS, warm=False, secure=True
        ),
    ),
    Cause(
        "cold connection",
        "cold_connection",
        lambda bench, on: bench.asked(_ANSWER, connections=_SLOW_TLS if on else (), warm=not on, secure=True),
    ),
    Cause("pool of one", "pool_wait", lambda bench, on: bench.pooled(1 if on else 2)),
)


@contextmanager
def bench() -> Iterator[Bench]:
    """Start the simulators, and warm everything up."""
    with Simulator() as plain, Simulator(tls=True) as secure:
        made = Bench(plain, secure)
        for reader in READERS:
            made._once(Cell(reader, 0.0, 0.0, True))
        made.asked(_ANSWER, secure=True)
        yield made


def speeds_table(runs: list[Measured]) -> Iterator[str]:
    """Lines of the first table."""
    yield "reader  completion_time server caller   tokens/s  truth   your code  blamed   saved   ms"
    for run in runs:
        cell, record = run.cell, run.record
        speed = record.output_token_throughput
        yield (
            f"{cell.reader:<7} {'reported' if cell.reported else 'absent':<15} {cell.server_s * 1e3:>6g} "
            f"{cell.caller_s * 1e3:>6g}   {'-' if speed is None else f'{speed:.0f}':>8} {run.truth:>6.0f}   "
            f"{(record.phases.consume or 0) / 1e6:>9.0f} {(record.caller_delay_ns or 0) / 1e6:>7.0f} "
            f"{run.saved_ns / 1e6:>7.0f}"
        )


def causes_table(runs: list[Costs]) -> Iterator[str]:
    """Lines of the second table."""
    yield f"{'cause':<44} {'blamed':>7} {'saved':>7}   ms"
    for run in runs:
        yield f"{run.cause.name:<44} {run.blamed_ns / 1e6:>7.0f} {run.saved_ns / 1e6:>7.0f}"
