"""How long the overview of a large store takes, and how much memory: `python -m bench.audit [--requests N]`.

The store is written by the project's own exporter, in the form real requests have: about 60 attributes, an attempt, a
usage delta, and a tool call in every fifth. More than a million requests are Parquet (`bench.columns`). Time is the wall clock of `groqscope audit`, memory the greatest sum of proportional
set sizes of its processes.
"""

import argparse
import compileall
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

import groqscope
from groqscope.codec import encode
from groqscope.store import LocalSpanExporter
from groqscope.timeline import Attempt, Phases, RateLimits, RequestRecord, ToolCall, Usage, UsageDelta

MS = 1_000_000
REQUESTS = 100_000
LINES = 1_000_000
"""More requests than this are not written as lines of JSON: 10 million would be 60 GB."""
MAX_SECONDS = 10.0
MAX_MEGABYTES = 300.0
_START = 1_790_035_200 * 10**9
"""A midnight in UTC."""
_EVERY_NS = 86_400 * 10**9 // 1_000_000
"""Between two requests: a million a day."""
_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"
_MODELS = ("llama-3.3-70b-versatile", "openai/gpt-oss-120b", "qwen/qwen3-32b")
_LIMITS = RateLimits(
    requests_limit=14_400,
    requests_remaining=14_000,
    requests_reset=6.0,
    tokens_limit=12_000,
    tokens_remaining=9_000,
    tokens_reset=11.5,
)
_CALL = ToolCall(
    index=0, id="call_1", name="get_weather", deltas=1, arguments_size=40, arguments_valid=True, assembly_ns=MS
)
_RESOURCE = Resource({"service.name": "bench"})


def requests(count: int) -> Iterator[RequestRecord]:
    """Make requests as they are observed."""
    rng = random.Random(1)
    for number in range(count):
        yield _request(number, rng)


def _request(number: int, rng: random.Random) -> RequestRecord:
    tokens = rng.randrange(50, 600)
    phases = Phases(
        prepare=rng.randrange(1, 3 * MS),
        pool_wait=rng.randrange(1, MS),
        send=rng.randrange(1, MS),
        queue=rng.randrange(1, 40 * MS),
        prefill=rng.randrange(1, 60 * MS),
        network=rng.randrange(1, 90 * MS),
        receive=tokens * rng.randrange(MS, 3 * MS),
        consume=rng.randrange(1, 40 * MS),
        finish=rng.randrange(1, MS),
    )
    length, first = phases.total(), 200 * MS
    usage = Usage(
        input_tokens=rng.randrange(2000),
        output_tokens=tokens,
        queue_time=(phases.queue or 0) / 1e9,
        prompt_time=(phases.prefill or 0) / 1e9,
        completion_time=tokens / 400,
        total_time=tokens / 400 + 0.05,
    )
    start = _START + number * _EVERY_NS
    return RequestRecord(
        trace_id=f"{rng.getrandbits(128) or 1:032x}",
        span_id=f"{rng.getrandbits(64) or 1:016x}",
        service="bench",
        request_id=f"req_{_base32(start // MS, 10)}{_base32(rng.getrandbits(80), 16)}",
        response_id=f"chatcmpl-{uuid.UUID(int=rng.getrandbits(128))}",
        region="us-east-1",
        start_unix_ns=start,
        duration_ns=length,
        model=_MODELS[number % 3],
        stream=True,
        server_address="api.groq.com",
        server_port=443,
        temperature=0.2,
        max_tokens=1024,
        messages=4,
        tools=2,
        request_size=8_000,
        status=200,
        finish_reasons=("stop",),
        response_model=_MODELS[number % 3],
        response_service_tier="on_demand",
        system_fingerprint="fp_0123456789",
        created=start // 10**9,
        rate_limits=_LIMITS,
        usage=usage,
        usage_deltas=(UsageDelta(chunk_index=tokens, time_ns=length - MS, usage=usage),),
        cost=tokens * 8e-7,
        chunks=tokens + 2,
        content_chunks=tokens,
        reads=tokens // 4 + 1,
        stream_bytes=tokens * 220,
        ttfc_ns=first,
        ttft_ns=first,
        ttfot_ns=first,
        last_chunk_ns=length - MS,
        icl_p50_ns=2 * MS,
        icl_p99_ns=6 * MS,
        icl_max_ns=9 * MS,
        icl_excluded=0,
        timeline_us=tuple(range(200_000, 200_000 + 4_000 * ((tokens + 5) // 4), 4_000)),
        timeline_stride=4,
        tool_calls=(_CALL,) if number % 5 == 0 else (),
        attempts=(Attempt(start_ns=MS, duration_ns=first, status=200, connection_reused=True, send_ns=MS),),
        connection_reused=True,
        phases=phases,
    )


def _base32(number: int, digits: int) -> str:
    return "".join(_BASE32[number >> shift & 31] for shift in range(5 * digits - 5, -1, -5))


def span_of(record: RequestRecord) -> ReadableSpan:
    """Return the span that the exporter is given."""
    attributes, events = encode(record)
    return ReadableSpan(
        name=f"chat {record.model}",
        context=SpanContext(int(record.trace_id or "0", 16), int(record.span_id or "0", 16), False, TraceFlags(1)),
        resource=_RESOURCE,
        attributes=attributes,
        events=[Event(name, given, record.start_unix_ns + at) for name, at, given in events],
        kind=SpanKind.CLIENT,
        start_time=record.start_unix_ns,
        end_time=record.start_unix_ns + record.duration_ns,
    )


def write(directory: Path, count: int) -> int:
    """Write a store, and return its size in bytes."""
    exporter = LocalSpanExporter(directory, total_bytes=1 << 40)
    source = requests(count)
    while batch := list(islice(source, 512)):
        exporter.export([span_of(record) for record in batch])
    exporter.shutdown()
    return sum(file.stat().st_size for file in directory.iterdir())


@dataclass(frozen=True, slots=True)
class Measured:
    """What one command took."""

    seconds: float
    cpu: float
    megabytes: float


def measure(*arguments: str, home: Path | None = None) -> Measured:
    """Run `groqscope audit`, and return what it took."""
    command = [sys.executable, "-c", "from groqscope.cli import main; main()", "audit", *arguments]
    environment = os.environ if home is None else {**os.environ, "GROQSCOPE_HOME": str(home)}
    compileall.compile_dir(Path(groqscope.__file__).parent, quiet=2)  # as it is where a package is installed
    started, peak, before = time.perf_counter(), 0, _cpu()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) as process:
        while process.poll() is None:
            peak = max(peak, sum(map(_pss_kilobytes, _family(process.pid))))
            time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"groqscope audit ended with status {process.returncode}")
    return Measured(time.perf_counter() - started, _cpu() - before, peak / 1024)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *(member for child in children for member in _family(int(child)))]


def _pss_kilobytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--directory", type=Path, help="where the Parquet of more than a million is, and stays")
    given = parser.parse_args()
    if given.requests > LINES:
        from bench import columns

        columns.run(given.requests // LINES, given.directory)
        return
    with tempfile.TemporaryDirectory() as folder:
        size = write(Path(folder) / "store", given.requests)
        took = measure(home=Path(folder))
    print(
        f"{given.requests:,} requests, {size / 1e6:,.0f} MB: {took.seconds:.1f} s, {took.cpu:.1f} s of CPU, "
        f"{took.megabytes:,.0f} MB ({where()})"
    )
    if given.requests <= REQUESTS and (took.seconds > MAX_SECONDS or took.megabytes > MAX_MEGABYTES):
        print(f"over: at most {MAX_SECONDS:g} s and {MAX_MEGABYTES:g} MB", file=sys.stderr)
        sys.exit(1)


def where() -> str:
    """Return what else the machine was doing."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"


if __name__ == "__main__":
    main()
