"""Prints the tables: `make phases`."""

import sys

from support import savings
from support.ground_truth.runner import Bench, summary, table
from support.ground_truth.scenarios import SCENARIOS


def _savings() -> tuple[list[str], list[str]]:
    """Return the lines of the tables that compare with the request as it would have been."""
    with savings.bench() as bench:
        runs = [bench.cell(cell) for cell in savings.CELLS]
        causes = [bench.cause(cause) for cause in savings.CAUSES]
    return list(savings.speeds_table(runs)), list(savings.causes_table(causes))


def main() -> int:
    """Print the tables; 1 when something is beyond the tolerance."""
    with Bench().running() as bench:
        runs = [bench.run(scenario, mode) for scenario in SCENARIOS for mode in scenario.modes]
    wrong, patient = sum(bool(run.wrong) for run in runs), sum(run.patient for run in runs)
    speeds, causes = _savings()
    busy = f"; {patient} runs could not be had undisturbed" if patient else ""
    last = f"{len(SCENARIOS)} scenarios, {len(runs)} runs, {wrong} of them beyond 5 ms or 5 %{busy}"
    sys.stdout.write("\n".join((*table(runs), "", *summary(runs), "", *speeds, "", *causes, "", last)) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
