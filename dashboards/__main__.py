"""Write `dashboards/json`, or check that it is what the code makes."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import audit, latency, overview, pipeline

FOLDER = Path(__file__).parent / "json"
BOARDS = (overview, latency, audit, pipeline)


_NOT_FOR_ALL_VARIABLES = ("id", "auto", "auto_count", "auto_min")
"""What the SDK writes for every variable: one id for all of them, which makes Grafana forget them, and intervals."""


def _plain(board: object) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(board, cls=JSONEncoder))
    for variable in plain["templating"].get("list", []):
        for key in _NOT_FOR_ALL_VARIABLES:
            variable.pop(key, None)
    plain.pop("style", None)  # "dark", which nothing after 10.1 knows
    for panel in plain["panels"]:
        if panel["options"] is None:
            del panel["options"]
        elif panel["type"] == "heatmap":
            panel["options"]["tooltip"]["mode"] = "single"  # of later Grafanas, what `show` is to 10.1
    return plain


def render() -> dict[str, str]:
    """Return each dashboard's file name and content."""
    return {f"{b.UID}.json": json.dumps(_plain(b.build()), indent=2, sort_keys=True) + "\n" for b in BOARDS}


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m dashboards", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file differs")
    check = parser.parse_args().check
    wanted = render()
    present = {f.name: f.read_text(encoding="utf-8") for f in FOLDER.glob("*.json")}
    stale = sorted(n for n in wanted.keys() | present.keys() if wanted.get(n) != present.get(n))
    if check:
        for name in stale:
            print(f"dashboards/json/{name} is not what the code makes; run: python -m dashboards", file=sys.stderr)
        return 1 if stale else 0
    FOLDER.mkdir(exist_ok=True)
    for name in stale:
        if name in wanted:
            (FOLDER / name).write_text(wanted[name], encoding="utf-8")
        else:
            (FOLDER / name).unlink()
        print(f"dashboards/json/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
