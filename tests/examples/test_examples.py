"""Each example runs as its reader would run it, against the simulator."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from groqscope.simulator import Answer, Delays, Simulator, ToolCall
from groqscope.store import read_records

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
SETTINGS = {"GROQ_API_KEY": "none", "PYDANTIC_AI_NO_BANNER": "1"}


@pytest.fixture
def groq() -> Iterator[Simulator]:
    answer = Answer("The air scatters blue light.", delays=Delays(before_headers=0.02, per_chunk=0.001))
    with Simulator(answer) as simulator:
        yield simulator


def environment(groq: Simulator, home: Path) -> dict[str, str]:
    return {**os.environ, **SETTINGS, "GROQ_BASE_URL": groq.base_url, "GROQSCOPE_HOME": str(home)}


def run(groq: Simulator, home: Path, name: str) -> str:
    command = [sys.executable, str(EXAMPLES / name)]
    done = subprocess.run(
        command, env=environment(groq, home), cwd=home, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
    return done.stdout


def test_script(groq: Simulator, tmp_path: Path) -> None:
    """The answer is printed, then the phases, and the record is in the local store."""
    output = run(groq, tmp_path, "script.py")
    (record,) = read_records([tmp_path / "store"])

    assert output.startswith("The air scatters blue light.\n\nreq_")
    assert re.search(r"^  queue +[\d.]+ ms$", output, re.MULTILINE)
    assert record.outcome == "completed"


def test_fan_out(groq: Simulator, tmp_path: Path) -> None:
    """Fifty streams leave fifty records; with twenty connections, thirty streams wait for one."""
    output = run(groq, tmp_path, "fan_out.py")
    records = list(read_records([tmp_path / "store"]))

    assert output.startswith("50 streams over 20 connections")
    assert len(records) == 50
    assert {r.outcome for r in records} == {"completed"}
    assert sum(r.phases.pool_wait > 5_000_000 for r in records) >= 20


def test_slow_answer(groq: Simulator, tmp_path: Path) -> None:
    """The verdict on the run names why it is slow."""
    groq.play(Answer("Warm and loud.", delays=Delays(before_first=0.15)))
    output = run(groq, tmp_path, "slow_answer.py")

    assert "4 requests one after the other that did not need each other's answers" in output
    assert output.splitlines()[-1].startswith("groqscope audit ")


def test_agent(groq: Simulator, tmp_path: Path) -> None:
    """Both tools are called, and each request has its line."""
    calls = [ToolCall(name, ['{"city":"Bergen"}']) for name in ("temperature", "time_of_day")]
    groq.play([Answer(tool_calls=calls), Answer("Yes, it is.")])
    output = run(groq, tmp_path, "agent.py")

    assert output.startswith("Yes, it is.\nrequest 1: ")
    assert "tool calls: temperature, time_of_day\nrequest 2: " in output


def test_one_trace(groq: Simulator, tmp_path: Path) -> None:
    """The request to Groq is in the trace that the browser began, below the server's span; the answer is streamed."""
    pytest.importorskip("fastapi", reason="the example's own dependency, in the development environment")
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES), "--port", "0", "fastapi_app:app"]
    server = subprocess.Popen(command, env=environment(groq, tmp_path), stderr=subprocess.PIPE, text=True)
    try:
        with httpx.Client(base_url=_address(server), timeout=60, trust_env=False) as browser:
            page = browser.get("/").text
            header = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
            with browser.stream("GET", "/ask", params={"question": "Why?"}, headers=header) as answer:
                pieces = [piece for piece in answer.iter_text() if piece]
    finally:
        server.terminate()
        server.communicate(timeout=60)
    (record,) = read_records([tmp_path / "store"])
    spans = {span["spanId"]: span for span in _spans(tmp_path / "store")}
    served = spans[spans[record.span_id]["parentSpanId"]]

    assert "traceparent" in page
    assert "".join(pieces) == "The air scatters blue light."
    assert len(pieces) > 1
    assert record.trace_id == trace
    assert (served["name"], served["parentSpanId"]) == ("GET /ask", "00f067aa0ba902b7")


def _spans(store: Path) -> Iterator[dict[str, Any]]:
    for file in store.glob("traces-*.jsonl"):
        for line in file.read_text("utf-8").splitlines():
            for resource in json.loads(line)["resourceSpans"]:
                for scope in resource["scopeSpans"]:
                    yield from scope["spans"]


def _address(server: "subprocess.Popen[str]") -> str:
    """Wait for uvicorn to say where it listens."""
    assert server.stderr is not None
    said: list[str] = []
    for line in server.stderr:
        said.append(line)
        if running := re.search(r"running on (http://[\d.:]+)", line):
            return running[1]
    raise AssertionError("".join(said))


def test_budget(tmp_path: Path) -> None:
    """The budget is kept, with nothing but the plugin that comes with groqscope."""
    settings = {**os.environ, "GROQSCOPE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--rootdir"]
    done = subprocess.run(
        [*command, str(tmp_path), "-c", os.devnull, str(EXAMPLES / "test_budget.py")],
        env=settings,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_every_example_is_listed() -> None:
    """The examples' page names each file, and nothing else."""
    listed = set(re.findall(r"\]\((\w+\.py)\)", (EXAMPLES / "README.md").read_text("utf-8")))

    assert listed == {path.name for path in EXAMPLES.glob("*.py")}
