"""`groqscope stack init` writes what `docker compose up` needs."""

from pathlib import Path

import pytest
import yaml

from groqscope import __version__
from groqscope.cli.app import run

ROOT = Path(__file__).parents[2]


def test_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything the compose file mounts is there, the same as in the checkout."""
    target = tmp_path / "observability"

    assert run(["stack", "init", str(target)]) == 0
    services = yaml.safe_load((target / "docker-compose.yml").read_text("utf-8"))["services"]
    mounts = [v.split(":")[0] for s in services.values() for v in s.get("volumes", ()) if v.startswith("./")]
    assert mounts
    assert [m for m in mounts if not (target / m).exists()] == []
    assert (target / "docker-compose.yml").read_bytes() == (ROOT / "docker-compose.yml").read_bytes()
    assert len(list((target / "dashboards" / "json").iterdir())) == len(list((ROOT / "dashboards" / "json").iterdir()))
    assert f"cd {target} && docker compose up -d" in capsys.readouterr().out


def test_the_demo_image_needs_no_checkout(tmp_path: Path) -> None:
    """The image of the demo is built from the released package, of this version."""
    run(["stack", "init", str(tmp_path)])
    dockerfile = (tmp_path / "stack" / "demo" / "Dockerfile").read_text("utf-8")
    copied = [line.split()[1] for line in dockerfile.splitlines() if line.startswith("COPY")]

    assert f"groqscope[simulator,pydantic-ai]=={__version__}" in dockerfile
    assert [path for path in copied if not (tmp_path / path).exists()] == []


def test_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same again is no mistake; a file that was changed is kept, unless overwriting is asked for."""
    run(["stack", "init", str(tmp_path)])

    assert run(["stack", "init", str(tmp_path)]) == 0
    changed = tmp_path / "stack" / "tempo" / "tempo.yaml"
    changed.write_text("mine: true\n")
    assert run(["stack", "init", str(tmp_path)]) == 2
    assert "tempo.yaml exists and differs" in capsys.readouterr().err
    assert changed.read_text() == "mine: true\n"
    assert run(["stack", "init", str(tmp_path), "--force"]) == 0
    assert changed.read_text() != "mine: true\n"


def test_a_place_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistake in the directory is one sentence."""
    (tmp_path / "file").write_text("")

    assert run(["stack", "init", str(tmp_path / "file")]) == 2
    assert f"{tmp_path / 'file'} exists and is not a directory" in capsys.readouterr().err
    assert run(["stack", "init", str(tmp_path / "file" / "below")]) == 2
    assert f"{tmp_path / 'file' / 'below'} " in capsys.readouterr().err
