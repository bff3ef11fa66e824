"""Runs scenarios, and says what the accounting of phases found."""

import asyncio
import gc
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any, Final

from groqscope import RequestRecord
from groqscope.simulator import (
    Simulator,
)
from groqscope.timeline import Phases
from support.both import MODES, Mode, both
from support.ground_truth.scenario import TOLERANCE_S, Caller, Scenario, Truth
from support.ground_truth.scenarios import SCENARIOS
from support.scope import Exported
from support.sdks import GROQ, SDK, SDKS

TOLERANCE_SHARE: Final = 0.05
DISTURBED_S: Final = 0.002
"""A run whose threads had to wait longer than this for a processor says little, and is repeated."""
PATIENCE: Final = 8
PHASES: Final = tuple(f.name for f in fields(Phases))


@dataclass
class Found:
    """One run of a scenario."""

    scenario: Scenario
    mode: Mode
    record: RequestRecord
    expected: Mapping[str, float]
    checked: bool
    sdk: SDK
    waited_s: float
    """How long threads of this process were ready to run and did not get a processor, by the kernel's account."""
    patient: bool = False
    """The machine stayed busy: what the run waited is allowed on top of the tolerance."""

    def rows(self) -> Iterator[tuple[str, float, float]]:
        """Phase, injected and found seconds, for every phase that has one of the two."""
        for name in PHASES:
            found = (getattr(self.record.phases, name) or 0) / 1e9
            injected = self.expected.get(name, 0.0)
            if name in self.expected or found > TOLERANCE_S:
                yield name, injected, found

    @property
    def wrong(self) -> list[str]:
        """What is beyond the tolerance, in words."""
        extra = self.waited_s if self.patient else 0.0
        problems = [
            f"{name}: injected {injected * 1e3:.1f} ms, found {found * 1e3:.1f} ms"
            for name, injected, found in self.rows()
            if abs(found - injected) > max(TOLERANCE_S, TOLERANCE_SHARE * injected) + extra
        ]
        if self.record.outcome != self.scenario.outcome:
            problems.append(f"outcome {self.record.outcome}, not {self.scenario.outcome}")
        if self.record.phases.total() != self.record.duration_ns:
            problems.append("the phases do not add up to the duration")
        if not self.checked:
            problems.append("what the scenario says about its record does not hold")
        return problems


class _SlowStream:
    """A network stream whose first write takes longer, and closing it too."""

    def __init__(self, inner: Any, delay: float, close: float) -> None:
        self._inner = inner
        self._delay = delay
        self._close = close

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, *args: Any, **kwargs: Any) -> Any:
        delay, self._delay = self._delay, 0.0
        time.sleep(delay)  # in either mode: nothing else runs in the loop
        return self._inner.write(*args, **kwargs)

    def close(self) -> None:
        time.sleep(self._close)
        self._inner.close()

    async def aclose(self) -> None:
        await asyncio.sleep(self._close)
        await self._inner.aclose()


class _SlowBackend:
    """A network backend that takes its time to connect; a negative delay is one that fails after it."""

    def __init__(self, inner: Any, scenario: Scenario) -> None:
        self._inner = inner
        self._connect = scenario.slow_connect
        self._delays = scenario.slow_send, scenario.slow_close

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def _wait(self) -> None:
        time.sleep(abs(self._connect))
        if self._connect < 0:
            library = sys.modules[type(self._inner).__module__.partition(".")[0]]
            raise library.ConnectError("nobody there")

    def connect_tcp(self, *args: Any, **kwargs: Any) -> Any:
        self._wait()
        made = self._inner.connect_tcp(*args, **kwargs)
        return self._wrap_async(made) if asyncio.iscoroutine(made) else _SlowStream(made, *self._delays)

    async def _wrap_async(self, made: Any) -> Any:
        return _SlowStream(await made, *self._delays)


class Bench:
    """A plain simulator and a secure one, for any number of runs."""

    @contextmanager
    def running(self) -> Iterator["Bench"]:
        """Start both."""
        switch = sys.getswitchinterval()
        with Simulator() as self._plain, Simulator(tls=True) as self._secure:
            # The simulator lives in this process: threads take turns more often than every 5 ms, the tolerance.
            sys.setswitchinterval(0.0005)
            try:
                # everything is imported, compiled and connected once
                for sdk, mode in product(SDKS, MODES):
                    self._once(SCENARIOS[0], mode, sdk)
                yield self
            finally:
                sys.setswitchinterval(switch)

    def run(self, scenario: Scenario, mode: Mode, sdk: SDK = GROQ) -> Found:
        """Run a scenario; once more when it went wrong, and again while it was the machine that was busy elsewhere."""
        found = self._once(scenario, mode, sdk)
        if found.wrong:
            found = self._once(scenario, mode, sdk)
        for _ in range(PATIENCE):
            if not found.wrong or found.waited_s < DISTURBED_S:
                return found
            found = self._once(scenario, mode, sdk)
        found.patient = found.waited_s >= DISTURBED_S
        return found

    def _once(self, scenario: Scenario, mode: Mode, sdk: SDK) -> Found:
        simulator = self._secure if scenario.secure else self._plain
        simulator.play(scenario.script)
        simulator.take(scenario.connections)
        before = len(simulator.settle())
        exported, caller = Exported(), Caller()
        options = scenario.client(sdk.library)
        http = dict(options.pop("http", {}))
        if scenario.secure and scenario.trusted:
            http["verify"] = simulator.client_tls
        if scenario.transport is not None:
            http["transport"] = scenario.transport(sdk.library, mode)
        client = sdk.observed(exported, mode, simulator.base_url, http=http, **options)
        client._platform = "Linux"  # else an async client asks for it in a thread, once, which takes its time
        if scenario.slow_connect or scenario.slow_send or scenario.slow_close:
            pool = client._client._transport._pool
            pool._network_backend = _SlowBackend(pool._network_backend, scenario)
        if scenario.slow_build:
            build = client._client.build_request
            client._client.build_request = lambda *a, **k: (time.sleep(scenario.slow_build), build(*a, **k))[1]
        gc.disable()  # a collection takes longer than the tolerance where much is loaded
        waited = waited_ns()
        try:
            record = _closing(mode, scenario.act, client, caller)
        finally:
            gc.enable()
        waited = waited_ns() - waited
        record = record or exported.only()[0]
        truth = Truth(simulator.settle()[before:], caller)
        exported.shutdown()
        return Found(scenario, mode, record, scenario.expected(truth), scenario.check(record, truth), sdk, waited / 1e9)


def waited_ns() -> int:
    """Add up how long the threads of this process waited for a processor; 0 where the kernel does not say."""
    waits = 0
    for path in Path("/proc/self/task").glob("*/schedstat"):
        with suppress(OSError):  # the thread is gone
            waits += int(path.read_text().split()[1])
    return waits


@both
async def _closing(act: Any, client: Any, caller: Caller) -> Any:
    async with client:
        return await act.asynchronous(client, caller)


def table(runs: list[Found]) -> Iterator[str]:
    """Lines of the table: scenario, client, phase, injected, found, difference in milliseconds."""
    width = max(len(run.scenario.name) for run in runs)
    yield f"{'scenario':<{width}}  client  {'phase':<9}  {'injected':>8}  {'found':>8}  {'diff':>6}   ms"
    for run in runs:
        name, client = run.scenario.name, run.mode
        for phase, injected, found in run.rows():
            given, got = injected * 1e3, found * 1e3
            yield f"{name:<{width}}  {client:<6}  {phase:<9}  {given:8.2f}  {got:8.2f}  {got - given:+6.2f}"
            name = client = ""
        for problem in run.wrong:
            yield f"{'':<{width}}  WRONG   {problem}"


def summary(runs: list[Found]) -> Iterator[str]:
    """Lines of the second table: per phase, how far what was found is from what was injected."""
    yield f"{'phase':<9}  {'delays':>6}  {'injected, ms':>15}  {'median diff':>11}  {'largest diff':>12}"
    for name in PHASES:
        rows = [(injected * 1e3, found * 1e3) for run in runs for n, injected, found in run.rows() if n == name]
        if rows:
            injected = sorted(i for i, _ in rows)
            differences = sorted((f - i for i, f in rows), key=abs)
            span = f"{injected[0]:.1f} - {injected[-1]:.1f}"
            middle, last = differences[len(differences) // 2], differences[-1]
            yield f"{name:<9}  {len(rows):>6}  {span:>15}  {middle:>+11.2f}  {last:>+12.2f}"
