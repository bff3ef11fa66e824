"""From an empty directory, with only the wheel: each command as the README writes it."""

import os
import re
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

import groqscope
from groqscope.simulator import Answer, Simulator

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def test_what_is_in_the_wheel(built: Any) -> None:
    """The package, its types, templates, recordings and the stack are in it, with the licences; tests are not."""
    names = set(zipfile.ZipFile(built.wheel).namelist())
    info = f"groqscope-{groqscope.__version__}.dist-info"

    assert {
        "groqscope/py.typed",
        "groqscope/audit/reports/templates/report.html",
        "groqscope/audit/reports/templates/drawing.js",
        "groqscope/simulator/recordings/README.md",
        "groqscope/_stack/docker-compose.yml",
        "groqscope/_stack/dashboards/json/groq-overview.json",
        *(f"groqscope/ui/static/{path.name}" for path in (ROOT / "src/groqscope/ui/static").iterdir()),
        f"{info}/licenses/LICENSE",
        f"{info}/licenses/src/groqscope/ui/static/uplot-LICENSE.txt",
        f"{info}/licenses/src/groqscope/simulator/recordings/LICENSE-Apache-2.0.txt",
        f"{info}/entry_points.txt",
    } <= names
    assert [n for n in names if not n.startswith(("groqscope/", info))] == []
    assert [n for n in names if "__pycache__" in n or "tests" in n.split("/")] == []


def test_what_is_in_the_sdist(built: Any) -> None:
    """The source distribution has what the tests and the documentation need, and nothing generated."""
    top = f"groqscope-{groqscope.__version__}"
    with tarfile.open(built.sdist) as archive:
        names = {n.removeprefix(f"{top}/") for n in archive.getnames()}

    assert {"src/groqscope/__init__.py", "tests/conftest.py", "mkdocs.yml", "stack/tempo/tempo.yaml"} <= names
    assert [n for n in names if "__pycache__" in n or n.startswith((".venv", "site/", ".git/"))] == []


def test_installed_apart_from_the_source(installed: Any) -> None:
    """What runs is the wheel, not the checkout."""
    shown = installed.run("python", "-c", "import groqscope; print(groqscope.__file__)").stdout

    assert str(installed.python.parents[1]) in shown
    assert str(ROOT / "src") not in shown


def test_commands(installed: Any) -> None:
    """Help, version and doctor work, by the command's name and by `python -m`."""
    assert "Begin with `groqscope demo`" in installed.run("groqscope", "--help").stdout
    assert installed.run("python", "-m", "groqscope", "--version").stdout.startswith(
        f"groqscope {groqscope.__version__} ("
    )
    doctor = installed.run("groqscope", "doctor")
    assert doctor.returncode == 0, doctor.stdout
    assert doctor.stdout.endswith("All is well.\n")


def test_demo(installed: Any) -> None:
    """The demo plays and is audited, and the command that it names shows the same again."""
    done = installed.run("groqscope", "demo")
    assert done.returncode == 0, done.stderr
    (again,) = re.findall(r"the whole report +\S*groqscope (audit \S+)", done.stdout)
    shown = installed.run("groqscope", *again.split())

    assert shown.returncode == 0, shown.stderr
    assert "where the time went" in shown.stdout


SHELL = [
    re.sub(r"\s{2,}#.*", "", line)
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
]
"""Every line of the README's shell blocks, without its comment."""
PROGRAM = "\n".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL))
"""The README's Python, one block after the other."""
ELSEWHERE = {
    "make demo": "needs the checkout; `groqscope demo`, which it runs, is tried above",
    "make test": "needs the checkout, and runs this",
    "pip install .": "the wheel is installed already; what pip does with it is tried in test_extras.py",
    "groqscope ui --open": "opens a browser; tests/ui tries it, and test_extras.py from the wheel",
    "export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318": "the services are not there: records go to files",
}
"""Lines that an empty directory has nothing for, and why."""


@pytest.fixture(scope="module")
def tried(installed: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run the README's program and then each line of its shell blocks as written; return what came of each."""
    bare = [line for line in PROGRAM.splitlines() if not re.search("groqscope|agent", line, re.IGNORECASE)]
    body = "\n".join(f"    {line}" for line in bare)
    (installed.directory / "app.py").write_text(f"for _ in range(20):  # as many as a p95 needs\n{body}\n", "utf-8")
    tools = tmp_path_factory.mktemp("tools")
    (tools / "docker").write_text('#!/bin/sh\necho "docker $* in ${PWD##*/}"\n', "utf-8")
    (tools / "docker").chmod(0o755)
    lines = [line for line in SHELL if line not in ELSEWHERE]
    with Simulator(Answer("Hello there")) as groq:
        groq.play([Answer("Hello there", request_id="req_01jreadme"), Answer("Hello there")])
        settings = {"GROQ_BASE_URL": groq.base_url, "GROQ_API_KEY": "none"}
        settings["PATH"] = f"{installed.python.parent}:{tools}:{os.environ['PATH']}"
        settings["GROQSCOPE_HOME"] = str(installed.directory / "readme")
        done = {"the program": installed.run("python", "-c", PROGRAM, **settings)}
        for line in lines:
            command = f"timeout --preserve-status --signal INT 20 {line}" if line.startswith("groqscope tail") else line
            done[line] = installed.run("sh", "-c", command, **settings)
    return done


SHOWN = {
    "the program": "",
    "groqscope doctor": "All is well.",
    "opentelemetry-instrument python app.py": "",
    "groqscope audit": "where the time went",
    "groqscope audit req_01j": "req_01jreadme  llama-3.1-8b-instant  not streamed",
    "groqscope audit --budget 'duration.p95 < 2s'": "ok  duration.p95 < 2s",
    "groqscope tail": "llama-3.1-8b-instant",
    "groqscope stack init monitoring && cd monitoring && docker compose up -d": "docker compose up -d in monitoring",
    "groqscope stack check": "application -> collector",
}
"""What is seen of each."""


def test_every_line_of_the_readme_is_tried(tried: Any) -> None:
    """A line that is added to the README is run here too, or has a reason why not."""
    assert {"the program", *SHELL} == {*SHOWN, *ELSEWHERE}
    assert set(tried) == set(SHOWN)


@pytest.mark.parametrize("line", SHOWN)
def test_readme(line: str, tried: Any) -> None:
    """From an empty directory with only the wheel, a line of the README does what the README says."""
    done = tried[line]

    assert SHOWN[line] in done.stdout
    # No service listens here, or another one does: the check says which, with its status.
    assert done.returncode == 0 or line == "groqscope stack check", done.stderr
    assert "Traceback" not in done.stderr


def test_zero_code(tried: Any) -> None:
    """`opentelemetry-instrument` alone makes every request of the program a record."""
    assert "21 requests." in tried["groqscope audit"].stdout.splitlines()[0]


def test_a_budget_that_is_exceeded(tried: Any, installed: Any) -> None:
    """The exit status is 1."""
    home = str(installed.directory / "readme")

    assert installed.run("groqscope", "audit", "--budget", "duration.max < 1us", GROQSCOPE_HOME=home).returncode == 1


def test_the_stack_is_that_of_the_checkout(tried: Any, installed: Any) -> None:
    """The compose file, the configuration and the dashboards in the wheel are those of the checkout."""
    written = installed.directory / "monitoring"

    for path in ("docker-compose.yml", "stack/collector/collector.yaml", "dashboards/json/groq-latency.json"):
        assert (written / path).read_bytes() == (ROOT / path).read_bytes()
