"""From an empty directory, with only the wheel: each command as the README writes it."""

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
        "groqscope/simulator/recordings/README.md",
        "groqscope/_stack/docker-compose.yml",
        "groqscope/_stack/dashboards/json/groq-overview.json",
        f"{info}/licenses/LICENSE",
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


def test_stack(installed: Any) -> None:
    """The compose file, the configuration and the dashboards come out of the wheel as they are in the checkout."""
    done = installed.run("groqscope", "stack", "init", "monitoring")
    written = installed.directory / "monitoring"

    assert done.returncode == 0, done.stderr
    for path in ("docker-compose.yml", "stack/collector/collector.yaml", "dashboards/json/groq-latency.json"):
        assert (written / path).read_bytes() == (ROOT / path).read_bytes()


def test_demo(installed: Any) -> None:
    """The demo plays and is audited, and the command that it names shows the same again."""
    done = installed.run("groqscope", "demo")
    assert done.returncode == 0, done.stderr
    (again,) = re.findall(r"the table again +\S*groqscope (audit \S+)", done.stdout)
    shown = installed.run("groqscope", *again.split())

    assert shown.returncode == 0, shown.stderr
    assert "where the time went" in shown.stdout


def test_a_program_and_its_audit(installed: Any) -> None:
    """The README's program leaves a record that the README's commands show; a budget decides the exit status."""
    program = "\n".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL))
    with Simulator(Answer("Hello there")) as groq:
        settings = {"GROQ_BASE_URL": groq.base_url, "GROQ_API_KEY": "none"}
        done = installed.run("python", "-c", program, **settings)
    assert done.returncode == 0, done.stderr
    (first, *_) = re.findall(r"(req_\w+)\n", installed.run("groqscope", "audit").stdout)

    assert "client, ms" in installed.run("groqscope", "audit", first).stdout
    assert installed.run("groqscope", "audit", "--budget", "duration.max < 1min").returncode == 0
    assert installed.run("groqscope", "audit", "--budget", "duration.max < 1us").returncode == 1
