"""The workflows run commands that exist, with pinned actions and minimal permissions."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def commands(workflow: Path) -> list[str]:
    jobs: dict[str, Any] = yaml.safe_load(workflow.read_text("utf-8"))["jobs"]
    return [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda w: w.name)
def test_targets_exist(workflow: Path) -> None:
    """Every `make` target that a workflow runs is in the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    wanted = {found for run in commands(workflow) for found in re.findall(r"make ([a-z-]+)", run)}

    assert wanted
    assert wanted <= targets


def test_the_pythons_of_the_matrix_are_those_of_the_package() -> None:
    """CI tests each Python that the package names."""
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))["jobs"]
    named = re.findall(r'Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text("utf-8"))

    assert jobs["test"]["strategy"]["matrix"]["python"] == named


def test_the_gate_waits_for_all() -> None:
    """One job stands for all the others."""
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))["jobs"]

    assert set(jobs["gate"]["needs"]) == set(jobs) - {"gate"}


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda w: w.name)
def test_actions_are_pinned_by_commit(workflow: Path) -> None:
    """A tag can be moved to other code; a commit cannot. Its version stands beside it."""
    used = re.findall(r"uses: (.*)", workflow.read_text("utf-8"))

    assert used
    assert [line for line in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}  # v\d+(\.\d+)+", line)] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda w: w.name)
def test_permissions_are_minimal(workflow: Path) -> None:
    """Each workflow may read the repository; only publishing may do one thing more."""
    told = yaml.safe_load(workflow.read_text("utf-8"))
    more = {name: job["permissions"] for name, job in told["jobs"].items() if "permissions" in job}

    assert told["permissions"] == {"contents": "read"}
    assert more in ({}, {"publish": {"id-token": "write"}})


def test_contributing_names_files_that_are_there() -> None:
    """The files that the walks of docs/contributing.md go through exist."""
    walks = (ROOT / "docs/contributing.md").read_text("utf-8").partition("## Run one test")[2]
    named = set(re.findall(r"(?:src|tests|docs)/[\w/]+\.(?:py|md)", walks))

    assert len(named) > 10
    assert [path for path in sorted(named) if not (ROOT / path).is_file()] == []
