"""The examples of frameworks run as their readers would run them, against the simulator."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from groqscope.simulator import Answer, Simulator, ToolCall
from groqscope.store import read_records

EXAMPLES = Path(__file__).parents[2] / "examples"
MODULES = {
    "with_agno.py": "agno",
    "with_haystack.py": "haystack",
    "with_instructor.py": "instructor",
    "with_langchain.py": "langchain_groq",
    "with_livekit.py": "livekit",
    "with_llama_index.py": "llama_index",
    "with_openai.py": "openai",
    "with_openai_agents.py": "agents",
    "with_pipecat.py": "pipecat",
    "with_smolagents.py": "smolagents",
}
HERE = [name for name, module in MODULES.items() if find_spec(module)]


def test_each_has_a_module() -> None:
    """No example is left out."""
    assert set(MODULES) == {path.name for path in EXAMPLES.glob("with_*.py")}


@pytest.mark.parametrize("name", HERE)
def test_an_example(name: str, sim: Simulator, tmp_path: Path) -> None:
    """The answer is printed, and each request has left a record with its tokens and its cost."""
    answers = {
        "with_instructor.py": [Answer(tool_calls=[ToolCall("City", '{"name":"Oslo"}')])],
        "with_openai_agents.py": [Answer(tool_calls=[ToolCall("temperature", '{"city":"Bergen"}')]), Answer("Yes.")],
    }.get(name, [Answer("The air scatters blue light.")])
    sim.play(answers)
    settings = {
        "GROQ_API_KEY": "none",
        "GROQ_BASE_URL": sim.base_url,
        "GROQSCOPE_HOSTS": sim.base_url.removeprefix("http://"),
        "GROQSCOPE_HOME": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        env={**os.environ, **settings},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    records = list(read_records([tmp_path / "store"]))

    assert done.returncode == 0, done.stderr
    assert {"with_instructor.py": "Oslo", "with_openai_agents.py": "Yes."}.get(name, "blue light.") in done.stdout
    assert len(records) == len(answers) == done.stdout.count("<RequestRecord")
    assert all(record.outcome == "completed" and record.usage.output_tokens and record.cost for record in records)
