"""Results of two executions of the audit, compared; and records that can be told from each other."""

import dataclasses
import math
import random
from dataclasses import replace
from typing import Any

from groqscope.timeline import RequestRecord
from support.traffic import START


def same(a: Any, b: Any, path: str = "") -> None:
    """Compare results to the last digit, but for sums of fractions, which depend on the order of adding."""
    if dataclasses.is_dataclass(a):
        for field in dataclasses.fields(a):
            if path != ".provenance" or field.name not in {"sources", "files", "repeated"}:
                same(getattr(a, field.name), getattr(b, field.name), f"{path}.{field.name}")
    elif isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        for number, pair in enumerate(zip(a, b, strict=True)):
            same(*pair, f"{path}[{number}]")
    elif isinstance(a, float) and isinstance(b, float) and path.endswith((".total", ".cost", ".measured")):
        assert math.isclose(a, b, rel_tol=1e-12), path
    else:
        assert a == b, path
        assert type(a) is type(b), path


def _price(usd: float | None) -> float | None:
    return usd if usd is None or usd < 10**9 else None


def reasonable(record: RequestRecord, number: int, chance: random.Random) -> RequestRecord:
    """Give a record ids of its own, and a start near the others."""
    return replace(
        record,
        trace_id=f"{number:032x}",
        span_id=f"{number:016x}",
        start_unix_ns=START + chance.randrange(6 * 10**11),
        model=chance.choice(["llama", "gpt", None, record.model]),
        **{name: _price(getattr(record, name)) for name in ("cost", "cost_estimate", "cache_saved", "cache_lost")},
    )
