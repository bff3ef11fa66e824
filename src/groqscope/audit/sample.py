"""The values of one set of requests, or of runs, that a comparison needs."""

from collections.abc import Iterable
from typing import Final

from groqscope.audit.distribution import Values
from groqscope.audit.fields import Getter, find
from groqscope.audit.run_fields import PREFIX, find_of_run
from groqscope.runs import PART_KINDS, Run
from groqscope.timeline import PHASE_NAMES, RequestRecord

_MEASURES: Final = ("duration", "ttfc", "ttft", "tpot")
_NO_LIMIT: Final = 2**62
COMPARED: Final = (*_MEASURES, *(f"phase.{name}" for name in PHASE_NAMES))
_GETTERS: Final = tuple((name, find(name).get) for name in COMPARED)
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

    def add(self, record: RequestRecord) -> None:
        """Add one request, unless it failed or the caller ended it early: its duration would be misleading."""
        if record.outcome == "completed":
            self._add(record.model, _GETTERS, record)

    def add_run(self, run: Run) -> None:
        """Add one run by its name, unless it failed or was interrupted."""
        if not (run.failed or run.interrupted):
            self._add(run.name, _RUN_GETTERS, run)

    def _add(self, name: str | None, getters: Iterable[tuple[str, Getter]], one: RequestRecord | Run) -> None:
        measures = self.models.setdefault(name, {})
        for measure, get in getters:
            value = get(one)
            if isinstance(value, int | float):
                measures.setdefault(measure, Values(_NO_LIMIT)).add(value)

    def want(self, model: str | None, measure: str, ranks: Iterable[int]) -> None:
        """Note which values of a measure are needed, by their rank: here all are known."""

    def fetch(self) -> None:
        """Get the values that are needed: here all are known."""
