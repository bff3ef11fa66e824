"""A process that ends in the middle of a stream exports that stream's span, whatever ends first."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import exits

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exported_by(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with what each program exported."""
    directory = tmp_path_factory.mktemp("exits")
    tests = Path(__file__).parents[1]
    path = os.pathsep.join((str(tests), os.environ.get("PYTHONPATH", "")))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")} | {"PYTHONPATH": path}
    done = subprocess.run(  # noqa: PLW1510 - the caller looks at the status
        [sys.executable, "-m", "support.exits", str(directory)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")
    return directory


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the programs are forked from one that has everything imported")
@pytest.mark.parametrize("scenario", exits.EXPECTED, ids=lambda s: s.__name__)
def test_exported_once(scenario: exits.Scenario, exported_by: Path) -> None:
    """Exactly the streams that were open are exported, each once, with the chunks seen until then."""
    lines = (exported_by / scenario.__name__).read_text().splitlines()

    assert [tuple(json.loads(line)) for line in lines] == exits.EXPECTED[scenario]
