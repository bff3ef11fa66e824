"""Wheel and sdist, built once, and environments to install them into."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Built:
    """The two files of a release."""

    wheel: Path
    sdist: Path


@dataclass(frozen=True)
class Installed:
    """An environment, and an empty directory that commands run in."""

    python: Path
    directory: Path

    def run(self, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the empty directory, as a shell does in the activated environment."""
        clean = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "VIRTUAL_ENV"}}
        home = {"GROQSCOPE_HOME": str(self.directory / "home"), "PATH": f"{self.python.parent}:{clean['PATH']}"}
        environment = {**clean, **home, **settings}
        return subprocess.run(
            [shutil.which(command[0], path=environment["PATH"]) or command[0], *command[1:]],
            cwd=self.directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build both, without network: the build's own needs are in the development environment."""
    target = tmp_path_factory.mktemp("dist")
    for kind in ("sdist", "wheel"):
        command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(target)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
    (wheel,), (sdist,) = target.glob("*.whl"), target.glob("*.tar.gz")
    return Built(wheel, sdist)


def environment(directory: Path) -> Path:
    """Make an empty environment, and return its Python."""
    venv.create(directory, with_pip=False, symlinks=True)
    return directory / "bin" / "python"


def pip(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pip of this environment for another one."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--quiet",
        "--python",
        str(python),
        "install",
    ]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="session")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Install the wheel alone, away from the source; its dependencies are lent by this environment."""
    place = tmp_path_factory.mktemp("installed")
    python = environment(place / "venv")
    done = pip(python, "--no-deps", "--no-index", str(built.wheel))
    assert done.returncode == 0, done.stderr
    (site,) = (place / "venv" / "lib").glob("python*/site-packages")
    # A path in a .pth file is searched, but its own .pth files, of editable installs, are not read.
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    # The one command that a dependency brings, as pip would have written it.
    agent = python.parent / "opentelemetry-instrument"
    agent.write_text(f"#!{python}\nfrom opentelemetry.instrumentation.auto_instrumentation import run\nrun()\n")
    agent.chmod(0o755)
    empty = place / "empty"
    empty.mkdir()
    return Installed(python, empty)
