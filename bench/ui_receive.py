"""Send OTLP to `groqscope ui` at a rate: what is lost, how much memory and CPU it takes. `python -m bench.ui_receive`.

Everything is encoded before the first request, so that what is measured is the server; a page follows it meanwhile.
Memory is flat from the first seconds on, however long it takes (`--seconds 180`).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans  # noqa: E402
from support.report_samples import many  # noqa: E402
from support.spans import span_of  # noqa: E402

BATCH = 100


def bodies(number: int) -> list[bytes]:
    """Encode so many requests, each with ids of its own."""
    kinds, now, made = many(200), time.time_ns(), []
    for start in range(0, number, BATCH):
        spans = [
            span_of(
                replace(
                    kinds[place % len(kinds)],
                    start_unix_ns=now + place * 10**6,
                    trace_id=f"{place + 1:032x}",
                    span_id=f"{place + 1:016x}",
                )
            )
            for place in range(start, start + BATCH)
        ]
        made.append(encode_spans(spans).SerializeToString())
    return made


def memory_mib(pid: int) -> float:
    """Return the resident memory of a process."""
    text = Path(f"/proc/{pid}/status").read_text("utf-8")
    return int(next(line for line in text.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def post(url: str, body: bytes) -> None:
    """Send one export request."""
    request = urllib.request.Request(f"{url}/v1/traces", body, {"content-type": "application/x-protobuf"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()


def watch(url: str) -> None:
    """Follow the live page, as a browser does, until the server ends."""
    with suppress(OSError), urllib.request.urlopen(f"{url}/api/events", timeout=60) as events:
        while events.readline():
            pass


def live(url: str) -> dict[str, object]:
    """Return what the live page says."""
    with urllib.request.urlopen(f"{url}/api/live", timeout=60) as answer:
        return json.load(answer)


def measure(url: str, pid: int, rate: int, seconds: int) -> dict[str, object]:
    """Send at a rate, and return what came of it."""
    made = bodies(rate * seconds)
    before, memory = cpu_s(pid), [memory_mib(pid)]
    threading.Thread(target=watch, args=(url,), daemon=True).start()
    begin = time.monotonic()
    late = 0.0
    for place, body in enumerate(made):
        due = begin + place * BATCH / rate
        late = max(late, time.monotonic() - due)
        time.sleep(max(0.0, due - time.monotonic()))
        post(url, body)
        if place % (10 * rate // BATCH) == 0:
            memory.append(memory_mib(pid))
    took = time.monotonic() - begin
    sent = rate * seconds
    end = time.monotonic() + 60
    while live(url)["total"] != sent and time.monotonic() < end:
        time.sleep(0.2)
    memory.append(memory_mib(pid))
    cpu = cpu_s(pid) - before
    views = {}
    for path in ("requests", "requests?offset=50000", "requests?sort=total", "overview", "why"):
        asked = time.monotonic()
        with urllib.request.urlopen(f"{url}/api/{path}", timeout=600) as answer:
            answer.read()
        views[path] = round(time.monotonic() - asked, 2)
    return {
        "sent": sent,
        "shown": live(url)["total"],
        "seconds": round(took, 1),
        "latest, s behind": round(late, 2),
        "CPU, ms a request": round(cpu / sent * 1000, 3),
        "bytes a request": round(sum(map(len, made)) / sent),
        "memory, MiB": [round(one) for one in memory],
        "views, s": views,
        "memory after them, MiB": round(memory_mib(pid)),
    }


def main() -> None:
    """Start a server, send, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "groqscope", "ui", "--port", "0", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            url = server.stdout.readline().split()[-1].rstrip("/")
            try:
                print(json.dumps(measure(url, server.pid, options.rate, options.seconds), indent=2))
            finally:
                server.terminate()


if __name__ == "__main__":
    main()
