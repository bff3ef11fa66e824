"""Measure a running stack: spans per second of one core, bytes per request on disk. The figures of docs/stack.md.

    docker compose up -d --wait
    python tests/stack_support/measure.py [--requests 20000]

Batches are made before the clock starts. Processor time is what the kernel counts for each container, so that the
figures also hold on a busy machine; Tempo's includes cutting its blocks. At the end Tempo is stopped for a moment: what
comes then waits in the collector's queue, whose size is read.
"""

import argparse
import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx

from stack_support import traffic

COLLECTOR = "http://127.0.0.1:4318"

SERVICES = ("otel-collector", "tempo", "prometheus")
PER_BATCH = 64
"""Requests in one export, about as many as the SDK's 512 spans hold."""


def batches(requests: int, seed: int) -> tuple[list[bytes], int]:
    """Make exports of traces, and tell how many spans they hold."""
    rng = random.Random(seed)
    process = traffic.Process(traffic.SERVICES[0], rng)
    made, spans = [], 0
    start_s = time.time() - 600
    for number, (_, story) in enumerate(
        traffic.stories(rng, traffic.SERVICES[0], start_s, start_s + 1e9, lambda _: (1.0, 0.5)), 1
    ):
        facts = traffic.facts_of(story, rng)
        start = int((start_s + number * 0.02) * 1e9)
        begun = process.telemetry.begin(facts, start)
        record, gaps = traffic.tell(story, start, rng, {**facts, **begun.identity})
        process.telemetry.end(begun, record, gaps, url="https://api.groq.com/openai/v1/chat/completions")
        if number % PER_BATCH == 0 or number == requests:
            process.metrics(start)
            spans += process.waiting
            made.append(process.spans())
        if number == requests:
            return made, spans
    raise AssertionError


def cpu_s(container: str) -> float:
    """Processor seconds of a container's first process."""
    pid = docker("inspect", "-f", "{{.State.Pid}}", container).strip()
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def docker(*arguments: str) -> str:
    """Run docker."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout


def bytes_in(container: str, path: str) -> int:
    """Return the bytes of a folder in a container's volume, as files take them on disk."""
    mounts = docker("inspect", "-f", "{{range .Mounts}}{{.Destination}} {{.Source}}\n{{end}}", container)
    for line in mounts.splitlines():
        destination, _, source = line.partition(" ")
        if destination and path.startswith(destination):
            folder = Path(source + path.removeprefix(destination))
            return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    raise LookupError(path)


def queue_bytes(client: httpx.Client) -> float:
    """Return what waits for Tempo, as the collector counts it."""
    for line in client.get("http://127.0.0.1:8888/metrics").text.splitlines():
        if line.startswith("otelcol_exporter_queue_size") and "tempo" in line:
            return float(line.rpartition(" ")[2])
    raise LookupError


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--project", default="groqscope")
    options = parser.parse_args()
    names = {s: f"{options.project}-{s}-1" for s in SERVICES}
    exports, spans = batches(options.requests, seed=11)
    size = sum(map(len, exports))
    print(f"{options.requests} requests, {spans} spans, {size / options.requests:.0f} bytes per request in OTLP")
    with httpx.Client(trust_env=False, timeout=60) as client:
        post = traffic.post_by(client, COLLECTOR)
        before = {s: cpu_s(names[s]) for s in SERVICES}
        begin = time.monotonic()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda body: post("traces", body), exports))
        accepted = time.monotonic() - begin
        while queue_bytes(client):
            time.sleep(0.5)
        time.sleep(5)  # Tempo writes down what it holds for two seconds
        client.get("http://127.0.0.1:3200/flush").raise_for_status()
        time.sleep(20)
        used = {s: cpu_s(names[s]) - before[s] for s in SERVICES}
        print(f"accepted in {accepted:.1f} s, {spans / accepted:.0f} spans/s with everything on this machine")
        for service in ("otel-collector", "tempo"):
            print(f"{service}: {used[service]:.1f} s of one core, {spans / used[service]:.0f} spans/s per core")
        docker("stop", "--time", "60", names["tempo"])
        print(
            f"Tempo's blocks: {bytes_in(names['tempo'], '/var/tempo/blocks') / options.requests:.0f} bytes per request"
        )
        waiting = exports[: len(exports) // 4]
        for body in waiting:
            post("traces", body)
        time.sleep(2)
        held = bytes_in(names["otel-collector"], "/var/lib/otelcol/queue")
        count = len(waiting) * PER_BATCH
        queued = queue_bytes(client) / count
        print(f"queue while Tempo is down: {queued:.0f} bytes per request, {held / count:.0f} on disk")
        docker("start", names["tempo"])


if __name__ == "__main__":
    main()
