"""The values of one set of requests, or of runs, that a comparison needs."""

from collections.abc import Iterable, Sequence
from typing import Final

from groqscope.audit.distribution import Values
from groqscope.audit.fields import find
from groqscope.audit.run_fields import PREFIX, find_of_run
from groqscope.audit.table import Table, known, split, where
from groqscope.runs import PART_KINDS, Run
from groqscope.timeline import PHASE_NAMES

_MEASURES: Final = ("duration", "ttfc", "ttft", "tpot")
_NO_LIMIT: Final = 2**62
COMPARED: Final = (*_MEASURES, *(f"phase.{name}" for name in PHASE_NAMES))
_FIELDS: Final = tuple(map(find, COMPARED))
PARTS: Final = tuple(f"{PREFIX}{kind}" for kind in PART_KINDS)
COMPARED_OF_RUNS: Final = (
    *(f"{PREFIX}{name}" for name in ("duration", "first_answer", "first_audio")),
    *PARTS,
    *(f"{PREFIX}{name}" for name in ("cost", "requests", "tools", "input_tokens", "output_tokens")),
)
_RUN_GETTERS: Final = tuple((name, find_of_run(name).get) for name in COMPARED_OF_RUNS)


class Sample:
    """The values of one set, by model and measure."""

    def __init__(self) -> None:
        self.models: dict[str | None, dict[str, Values]] = {}

    def add(self, table: Table) -> None:
        """Add requests, except those that failed or that the caller ended early: their duration would be misleading."""
        completed = where(table, [outcome == "completed" for outcome in table.column("outcome")])
        for model, these in split(completed, completed.column("model")) if len(completed) else ():
            for field in _FIELDS:
                self._add(model, field.name, known(these.values(field)))

    def add_run(self, run: Run) -> None:
        """Add one run by its name, unless it failed or was interrupted."""
        if not (run.failed or run.interrupted):
            for measure, get in _RUN_GETTERS:
                value = get(run)
                self._add(run.name, measure, [value] if isinstance(value, int | float) else [])

    def _add(self, name: str | None, measure: str, values: Sequence[float]) -> None:
        measures = self.models.setdefault(name, {})
        if values:
            if measure not in measures:
                measures[measure] = Values(_NO_LIMIT)
            measures[measure].extend(values)

    def want(self, model: str | None, measure: str, ranks: Iterable[int]) -> None:
        """Note which values of a measure are needed, by their rank: here all are known."""

    def fetch(self) -> None:
        """Get the values that are needed: here all are known."""
