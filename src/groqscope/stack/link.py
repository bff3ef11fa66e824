"""The result of checking one link between two services."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "broken", "unknown"]
"""`unknown`: not checked, because a link before it is broken, or there was nothing to check."""


@dataclass(frozen=True, slots=True)
class Link:
    """One link, whether it works, and what to do when it does not."""

    name: str
    state: State
    detail: str
    remedy: str | None = None
