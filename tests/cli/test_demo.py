"""`groqscope demo`, run as users run it."""

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from groq import AsyncGroq, Groq
from support.programs import Programs

from groqscope.audit import AuditError, load
from groqscope.cli.demo import demo
from groqscope.cli.demo_scenes import SCENES, Skipped, Stage
from groqscope.cli.demo_stages import LIVE, RECORDED, most_it_costs
from groqscope.simulator import Answer, Failure, Received, Simulator, ToolCall


def run(*arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from groqscope.cli import main; main()", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "GROQ_API_KEY"} | dict(environ or {})
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment, input="")


@pytest.mark.slow
def test_the_demo_shows_everything_that_happens_to_requests(tmp_path: Path) -> None:
    """Each scene plays; the store holds what the recordings say; the audit and what to do next are printed."""
    done = run("demo", "--directory", str(tmp_path))

    assert (done.returncode, done.stderr) == (0, "")
    assert all(scene.title in done.stdout for scene in SCENES)
    assert len(done.stdout.splitlines()) <= 62
    records = list(load(tmp_path))
    # what to type next: the slowest, by an ID that is there
    slowest = max(records, key=lambda record: record.duration_ns)
    assert f" audit {tmp_path} {slowest.request_id}\n" in done.stdout
    assert len(records) == 15
    assert sorted(str(record.outcome) for record in records if record.outcome != "completed") == [
        "abandoned",
        "error",
        "error",
    ]
    assert [record.retries for record in records if record.retries] == [1]
    assert {record.error_type for record in records} == {None, "tool_use_failed", "model_not_found"}
    assert [call.name for record in records for call in record.tool_calls] == ["get_something_by_name"]
    assert [tool.type for record in records for tool in record.executed_tools] == ["search"]
    # the agent is a run, and the command that is named shows it
    (trace_id,) = re.findall(
        rf" the agent, as a run +\S.* audit {re.escape(str(tmp_path))} ([0-9a-f]{{32}})\n", done.stdout
    )
    run_shown = run("audit", str(tmp_path), trace_id)
    assert (run_shown.returncode, run_shown.stderr) == (0, "")
    sentence = r"invoke_agent assistant: \S+ m?s, 3 requests, 2 tool executions"
    assert re.match(sentence, run_shown.stdout)
    assert re.search(f"And one run, {sentence}", done.stdout)
    # the wait for a retry is in one request only; the slow reader's time is its own
    slow = next(record for record in records if record.request_id == "req_01jqz98j8aebc9adbjntxg8qwg")
    assert slow.phases.consume >= 27 * 40_000_000


def test_live_without_a_key_is_refused(programs: Programs) -> None:
    """No GROQ_API_KEY: what is missing and where it comes from, status 2."""
    done = programs.command("demo", "--live", "--yes")

    assert done.status == 2
    assert "GROQ_API_KEY" in done.stderr


def test_live_asks_before_it_costs(programs: Programs) -> None:
    """No terminal to ask on: the price is said, nothing is sent, status 2."""
    done = programs.command("demo", "--live", GROQ_API_KEY="test", GROQ_BASE_URL="http://127.0.0.1:1")

    assert done.status == 2
    assert "at most $0.0" in done.stdout
    assert "--yes" in done.stderr


@pytest.mark.slow
def test_live_asks_the_server_of_the_environment(tmp_path: Path) -> None:
    """With a key and `--yes` the scenes that need no recording play against Groq's address."""
    words = Answer("some words " * 6)
    call = Answer(tool_calls=[ToolCall("get_something_by_name", '{"name":"example"}')])

    def answer(received: Received) -> Answer:
        tools = received.json.get("tools")
        return call if tools and received.messages[-1]["role"] == "user" else words

    with Simulator(answer) as sim:
        environ = {"GROQ_API_KEY": "test", "GROQ_BASE_URL": sim.base_url}
        done = run("demo", "--live", "--yes", "--directory", str(tmp_path), environ=environ)
        asked = {served.received.model for served in sim.settle()}

    assert (done.returncode, done.stderr) == (0, "")
    assert asked == {request["model"] for request in LIVE.values()}
    assert all(scene.title in done.stdout for scene in SCENES if scene.key in LIVE)


@pytest.mark.slow
def test_a_scene_that_fails_is_told(tmp_path: Path) -> None:
    """A key that is not valid: the demo goes on, says what failed, status 1."""
    with Simulator(Failure(401)) as sim:
        environ = {"GROQ_API_KEY": "test", "GROQ_BASE_URL": sim.base_url}
        done = run("demo", "--live", "--yes", "--directory", str(tmp_path), environ=environ)

    assert done.returncode == 1
    assert "failed: AuthenticationError" in done.stdout
    assert "a stream, sync" in done.stderr


def test_without_pydantic_ai_its_scene_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is missing: a line that names the command that installs it."""
    monkeypatch.setitem(sys.modules, "pydantic_ai", None)
    scene = next(scene for scene in SCENES if scene.key == "agent")

    with pytest.raises(Skipped, match=r"pip install 'groqscope\[pydantic-ai\]'"):
        scene.play(Stage(Groq(api_key="unused"), AsyncGroq, {}), {})


def test_every_scene_has_something_to_ask() -> None:
    """Each scene has a recording; those of the live demo are scenes, and cost little."""
    requests, dollars = most_it_costs()

    assert {scene.key for scene in SCENES} == set(RECORDED)
    assert set(LIVE) < set(RECORDED)
    assert requests == 13
    assert 0 < dollars < 0.01


def test_without_the_simulator_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is missing: one sentence with the command, and the other way; nothing was begun."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "uvicorn" else find(name, *rest)
    )

    with pytest.raises(AuditError, match=r"pip install 'groqscope\[simulator\]'; or use --live"):
        demo()
