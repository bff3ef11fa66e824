"""`python fuzz`: throw mutated inputs at every reader; a process per target.

    python fuzz --runs 10000000            so many inputs over all targets
    python fuzz sse where --seconds 60     two targets, for a minute
    python fuzz otlp --atheris             one target, led by coverage (pip install atheris)

An input that makes a reader fail is written to fuzz/found; the exit status is 1.
"""

import argparse
import hashlib
import random
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing import Process, Queue
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from targets import TARGETS, Target, seeds

FOUND = Path(__file__).parent / "found"
LONGEST = 4_096
KEPT = 512
"""Mutated inputs that others are made from."""
_BYTES = (b"\x00", b"\xff", b"\xed\xa0\x80", b"\r", b"\n\n", b"\r\n\r\n", b'"', b"\\", b"\\ud800", b"{", b"[", b"]}")
_WORDS = (b"null", b"true", b"-1", b"1e999", b"NaN", b"9" * 25, b"0.1", b"'", b"(", b" and ", b"data: ", b"[" * 200)


def mutate(rng: random.Random, pool: list[bytes]) -> bytes:
    """Make an input of others: cut, join, repeat, swap bytes, put in what readers stumble over."""
    data = pool[rng.randrange(len(pool))]
    for _ in range(rng.randrange(1, 4)):
        at, kind = rng.randrange(len(data) + 1), rng.randrange(7)
        end = min(len(data), at + rng.randrange(1, 24))
        if kind == 0:
            data = data[:at] + data[end:]
        elif kind == 1:
            data = data[:at] + rng.randbytes(rng.randrange(1, 5)) + data[at:]
        elif kind == 2:
            data = data[:end] + data[at:]
        elif kind == 3:
            other = pool[rng.randrange(len(pool))]
            data = data[:at] + other[rng.randrange(len(other) + 1) :]
        elif kind == 4 and at < len(data):
            data = data[:at] + bytes((data[at] ^ (1 << rng.randrange(8)),)) + data[at + 1 :]
        else:
            word = (_BYTES if kind == 5 else _WORDS)[rng.randrange(12)]
            data = data[:at] + word + data[end if rng.random() < 0.5 else at :]
    return data[:LONGEST]


def fuzz(name: str, runs: int, seconds: float, seed: int, done: "Queue[tuple[str, int, float, int]]") -> None:
    """Run one target; tell how many inputs it took, how long, and how many it failed on."""
    target, rng = TARGETS[name], random.Random(f"{name}{seed}")
    pool = list(seeds(name))
    began, count, failed = time.monotonic(), 0, set[str]()
    while count < runs and len(failed) < 20:
        if count % 1_000 == 0 and time.monotonic() - began > seconds:
            break
        data = mutate(rng, pool)
        count += 1
        problem = attempt(target, data)
        if problem is not None and problem not in failed:
            failed.add(problem)
            keep(name, data, problem)
        if rng.random() < 0.01:
            if len(pool) < KEPT:
                pool.append(data)
            else:
                pool[rng.randrange(len(pool) // 2, len(pool))] = data
    done.put((name, count, time.monotonic() - began, len(failed)))


def attempt(target: Target, data: bytes) -> str | None:
    """Return where a target fails on an input, if it does."""
    try:
        target(data)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
    return None


def keep(name: str, data: bytes, problem: str) -> None:
    """Write a failing input down."""
    FOUND.mkdir(exist_ok=True)
    path = FOUND / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    print(f"{name}: {problem}: {path.relative_to(FOUND.parent.parent)}", flush=True)


def by_coverage(name: str, runs: int, seconds: float) -> None:
    """Let atheris lead; it ends the process itself."""
    import atheris

    def one(data: bytes) -> None:
        TARGETS[name](data)

    corpus = FOUND.parent / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for data in seeds(name):
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    atheris.instrument_all()
    limits = [f"-runs={runs}", f"-max_total_time={int(seconds)}", f"-max_len={LONGEST}"]
    atheris.Setup([sys.argv[0], str(corpus), *limits], one)
    atheris.Fuzz()


def main() -> int:
    """Read the arguments and fuzz."""
    parser = argparse.ArgumentParser(prog="fuzz", description="Throw mutated inputs at every reader.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--runs", type=int, default=10_000_000, help="inputs over all targets")
    parser.add_argument("--seconds", type=float, default=900.0, help="at most so long per target")
    parser.add_argument("--jobs", type=int, default=2, help="targets at a time")
    parser.add_argument("--seed", type=int, default=1, help="another one makes other inputs")
    parser.add_argument("--atheris", action="store_true", help="led by coverage, one target")
    given = parser.parse_args()
    names: list[str] = given.targets or list(TARGETS)
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        parser.error(f"no such target: {unknown[0]}; there are {', '.join(TARGETS)}")
    if given.atheris:
        by_coverage(names[0], given.runs, given.seconds)
        return 0
    return report(
        names, given.jobs, lambda name, done: (name, given.runs // len(names), given.seconds, given.seed, done)
    )


def report(names: list[str], jobs: int, arguments: Callable[[str, Any], tuple[Any, ...]]) -> int:
    """Run the targets, some at a time, and print a line for each."""
    done: Queue[tuple[str, int, float, int]] = Queue()
    waiting, total, failures = list(names), 0, 0
    for _ in range(min(jobs, len(waiting))):
        Process(target=fuzz, args=arguments(waiting.pop(0), done)).start()
    for _ in names:
        name, count, seconds, failed = done.get()
        total, failures = total + count, failures + failed
        print(f"{name:10} {count:>10,} inputs in {seconds:6.0f} s, {failed} failures", flush=True)
        if waiting:
            Process(target=fuzz, args=arguments(waiting.pop(0), done)).start()
    print(f"{'all':10} {total:>10,} inputs, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
