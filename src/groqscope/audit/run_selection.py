"""What an engine can tell of a question about runs: which traces have a request that may fit.

A run fits when one of its requests does, with a condition in which `run.NAME` is the run's own. What the run is, the
engine does not know; so it is asked for a weaker condition, that holds for the request of each run that fits, whatever
the run is. Python tests the runs of these traces with the whole condition.
"""

from groqscope.audit.columns import Named
from groqscope.audit.conditions import Comparison, Condition, Junction, Negation
from groqscope.audit.expression import compile_where
from groqscope.audit.run_fields import find_in_runs, is_of_run
from groqscope.audit.selected import conditions_of
from groqscope.audit.selection import Query
from groqscope.history import Having


def having(query: Query, beginning: str = "") -> Having:
    """Return what a trace has to have for a run in it to be selected, and for an ID with this beginning."""
    values = Named("t")
    where = None if query.where is None else of_request(compile_where(query.where, find_in_runs).condition)
    condition = " AND ".join(conditions_of(query, where, values)) or "true"
    return Having(condition=condition, values=values.values, beginning=beginning)


def of_request(condition: Condition, *, negated: bool = False) -> Condition | None:
    """Return what a condition, or its opposite, demands of the request alone; `None`: nothing."""
    match condition:
        case Negation():
            return of_request(condition.part, negated=not negated)
        case Junction():
            parts = [of_request(part, negated=negated) for part in condition.parts]
            known = tuple(part for part in parts if part is not None)
            every = (condition.word == "and") is not negated
            if not known or (len(known) < len(parts) and not every):
                return None
            return Junction("and" if every else "or", known)
        case _:
            fields = (condition.field, condition.other if isinstance(condition, Comparison) else None)
            if any(field is not None and is_of_run(field.name) for field in fields):
                return None
            return Negation(condition) if negated else condition
