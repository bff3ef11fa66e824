"""The Parquet of a history in another engine: Spark, as a cluster of a driver and two executors."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stack_support.given import needs
from stack_support.programs import ROOT
from support.files import write_store
from support.traffic import traffic

from groqscope import history
from groqscope.cli.app import run

pytestmark = needs("SPARK")

DAY = 86_400 * 10**9
SCRIPT = ROOT / "stack/scale/spark/by_model.py"


def spark(folder: Path, *arguments: str, master: str = "local-cluster[2,1,1024]") -> list[dict[str, Any]]:
    """Run the script, by default on a cluster of processes, and return its rows."""
    home = Path(os.environ["SPARK"]).resolve()
    local = ["--conf", "spark.ui.enabled=false", "--conf", f"spark.local.dir={folder}/local"]
    local += ["--conf", "spark.sql.shuffle.partitions=2"]
    addresses = ["--conf", "spark.driver.host=127.0.0.1", "--conf", "spark.driver.bindAddress=127.0.0.1"]
    submit = ["--master", master, *local, *addresses, "pyspark-shell"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(home),
        "SPARK_HOME": str(home / "pyspark"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_WORKER_DIR": str(folder / "work"),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_SUBMIT_ARGS": " ".join(submit),
    }
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=540,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_figures_are_those_of_the_audit(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Counts, exact percentiles, tokens and cost by model, of all days; of one day its partition alone is read."""
    for place in range(3):
        made = (
            replace(r, trace_id=f"{place + 1}{r.trace_id or ''}"[:32], start_unix_ns=r.start_unix_ns + place * DAY)
            for r in traffic(300, place)
        )
        write_store(tmp_path / "store", made)
    history.compact(tmp_path / "store", now_ns=4 * 10**18)
    partitions = sorted((tmp_path / "store/history/requests").iterdir())
    assert len(partitions) == 3
    day = partitions[-1].name.removeprefix("day=")
    assert run(["audit", str(tmp_path / "store"), "--json"]) == 0
    expected = {one["model"]: one for one in json.loads(capsys.readouterr().out)["models"]}

    found = spark(tmp_path, str(tmp_path / "store/history"))

    assert [row["requests"] for row in found] == sorted((one["requests"] for one in expected.values()), reverse=True)
    for row in found:
        one = expected[row["model"]]
        assert row["requests"] == one["requests"]
        assert row["duration_p95_ms"] == pytest.approx(one["duration"]["p95"] / 1e6, rel=1e-12)
        assert row["output_tokens"] == one["output_tokens"]
        assert row.get("cost_usd") == pytest.approx(one["cost"], rel=1e-9)

    for part in partitions[:2]:  # were they read, it would fail
        for file in part.rglob("*.parquet"):
            file.write_bytes(b"PAR1" + bytes(8) + b"PAR1")
    of_day = spark(tmp_path, str(tmp_path / "store/history"), day, master="local[1]")
    assert sum(row["requests"] for row in of_day) == 300
