"""What is known of one link between two services."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "broken", "unknown"]
"""`unknown`: a link before it is broken, so nothing can be said."""


@dataclass(frozen=True, slots=True)
class Link:
    """One link, whether it is whole, and what to do when it is not."""

    name: str
    state: State
    detail: str
    remedy: str | None = None
