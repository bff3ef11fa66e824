"""Ends without warning: what is lost, and that it is no more than said."""

import json
import threading
import time
from pathlib import Path

import pytest
from support.collector import Answer, collector
from support.figures import Figure
from support.processes import outcomes, run, start, stored

from groqscope.store import read_records

pytestmark = pytest.mark.slow

FLUSH_S = 0.3
"""The flush interval here (`OTEL_BSP_SCHEDULE_DELAY`); 5 s where nothing is set."""
ENOUGH = 60
"""Requests that end before the kill, however slow the machine."""
BUSY_S = 1.0
"""What a loaded machine may add: the exporter's thread has to run."""


@pytest.mark.wall_clock
def test_kill(tmp_path: Path, figure: Figure) -> None:
    """`kill -9` loses at most what ended within the last flush interval; what is on disk is whole."""
    program = start(
        tmp_path,
        """
        import json
        groqscope.configure()
        groqscope.instrument()
        groqscope.on_record(lambda record: print(json.dumps([record.span_id, time.time()])))
        mine = client()
        while True:
            ask(1, mine)
            time.sleep(0.002)
        """,
        OTEL_BSP_SCHEDULE_DELAY=str(int(FLUSH_S * 1000)),
    )
    with program:
        assert program.stdout is not None
        lines = [program.stdout.readline()]
        enough = time.monotonic() + 4 * FLUSH_S
        while len(lines) < ENOUGH or time.monotonic() < enough:
            lines.append(program.stdout.readline())
        killed = time.time()
        program.kill()
        lines += program.stdout.read().splitlines()
    ended = dict(json.loads(line) for line in lines[:-1])  # the last one may be half a line
    kept = {record.span_id for record in stored(tmp_path)}
    lost = {span: at for span, at in ended.items() if span not in kept}
    oldest = killed - min(lost.values(), default=killed)
    figure(
        f"kill -9, flush interval {FLUSH_S} s",
        f"{len(ended)} requests ended, {len(lost)} of them lost, the oldest {oldest:.2f} s before the kill",
    )

    assert len(ended) >= ENOUGH - 1
    assert kept
    assert oldest < FLUSH_S + BUSY_S


@pytest.mark.parametrize(
    ("ending", "status"),
    [("raise SystemExit(3)", 3), ("raise LookupError", 1), ("os.kill(os.getpid(), signal.SIGTERM)", -15), ("", 0)],
    ids=["sys.exit", "unhandled exception", "SIGTERM", "end of the program"],
)
def test_ends_with_open_streams(tmp_path: Path, ending: str, status: int) -> None:
    """What had ended is in the store, and streams that were open are there as abandoned, each once."""
    run(
        tmp_path,
        f"""
        groqscope.configure()
        groqscope.instrument()
        ask(2)
        left_open.extend((opened(), opened()))
        {ending}
        """,
        status=status,
    )

    assert outcomes(tmp_path) == ["abandoned"] * 2 + ["completed"] * 2


def test_sigterm_in_the_middle_of_a_read(tmp_path: Path) -> None:
    """SIGTERM that finds the program waiting for Groq ends the stream as abandoned, with what was seen until then."""
    run(
        tmp_path,
        """
        from support.exits import CHUNK
        from support.scope import Pieces, STREAM, Wire, groq_client
        import httpx

        class Waits(Pieces):
            def __iter__(self):
                yield CHUNK
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(60)

        groqscope.configure()
        groqscope.instrument()
        headers = {"content-type": "text/event-stream"}
        wire = Wire(lambda _: httpx.Response(200, headers=headers, stream=Waits([])))
        list(groq_client("sync", http={"transport": wire}).chat.completions.create(**STREAM))
        """,
        status=-15,
    )
    (record,) = stored(tmp_path)

    assert (record.outcome, record.chunks) == ("abandoned", 1)


def test_flush_exports_what_the_garbage_collector_found(tmp_path: Path) -> None:
    """A stream that was dropped inside a cycle has ended once it is collected, and `flush()` exports it."""
    run(
        tmp_path,
        """
        import gc
        groqscope.configure()
        groqscope.instrument()
        cycle = [opened()]
        cycle.append(cycle)
        del cycle
        gc.collect()
        groqscope.flush()
        os._exit(0)
        """,
    )

    assert outcomes(tmp_path) == ["abandoned"]


def test_sigterm_with_an_endpoint_that_hangs(tmp_path: Path) -> None:
    """An endpoint that takes requests and never answers costs nothing: what it did not take waits on disk."""
    hold = threading.Event()
    with collector() as endpoint:
        endpoint.default = Answer(hold=hold)
        run(
            tmp_path,
            """
            groqscope.configure()
            groqscope.instrument()
            ask(3)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
            """,
            status=-15,
            OTEL_EXPORTER_OTLP_ENDPOINT=endpoint.url,
        )
        hold.set()

    assert len(list(read_records((tmp_path / "spool").rglob("traces-*.jsonl")))) == 3
    assert len(list((tmp_path / "spool").rglob("metrics-*.jsonl"))) == 1
