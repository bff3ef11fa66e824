"""The README is right: its code runs, its commands exist, its links lead somewhere."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from groqscope.simulator import Answer, Simulator
from groqscope.store import read_records

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "examples" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def groq() -> Iterator[Simulator]:
    with Simulator(Answer("Hello there")) as simulator:
        yield simulator


def _run(groq: Simulator, home: Path, *command: str) -> str:
    environment = {**os.environ, "GROQ_BASE_URL": groq.base_url, "GROQ_API_KEY": "none", "GROQSCOPE_HOME": str(home)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_programs_run(groq: Simulator, tmp_path: Path) -> None:
    """The five lines leave a record in the local store; the agent's model can be created."""
    _run(groq, tmp_path / "home", sys.executable, "-c", "\n".join(PROGRAMS))
    (record,) = read_records([tmp_path / "home" / "store"])

    assert (record.model, record.outcome) == ("llama-3.1-8b-instant", "completed")


def test_a_screen_and_a_half() -> None:
    """Nobody reads more than that: what does not fit is in the documentation."""
    assert len(README.splitlines()) <= 80


@pytest.mark.slow
@pytest.mark.skipif(find_spec("opentelemetry.distro") is not None, reason="the distro sets providers of its own")
def test_zero_code(groq: Simulator, tmp_path: Path) -> None:
    """A program that knows nothing of groqscope leaves its record when `opentelemetry-instrument` runs it."""
    program = tmp_path / "app.py"
    program.write_text(
        "\n".join(line for line in PROGRAMS[0].splitlines() if not re.search("groqscope|[aA]gent", line))
    )
    _run(
        groq,
        tmp_path / "home",
        str(Path(sys.executable).parent / "opentelemetry-instrument"),
        sys.executable,
        str(program),
    )
    (record,) = read_records([tmp_path / "home" / "store"])

    assert record.outcome == "completed"


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """In the repository every link leads to a file, every image exists, every anchor is a heading."""
    broken: list[str] = []
    for link in re.findall(r"(?:\]\(|<img src=\"|<a href=\")([^)\s\"]+)", page.read_text("utf-8")):
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if not re.match(r"[a-z]+:", link) and not (target.exists() and (not anchor or anchor in _anchors(target))):
            broken.append(link)

    assert broken == []


def test_the_readme_names_each_page_once() -> None:
    """Every page of the documentation is linked by its name, and none twice."""
    listed = re.findall(r"\]\(docs/([\w-]+\.md)\)", README)

    assert sorted(listed) == sorted(p.name for p in (ROOT / "docs").glob("*.md") if p.name != "index.md")


def test_make_targets_exist() -> None:
    """Every `make` command of the README is a target."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))

    assert set(re.findall(r"make ([a-z-]+)  ", README)) <= targets
