"""The recorded exchanges of `tests/recordings`, as bytes on the wire."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "recordings"


@dataclass(frozen=True, eq=False)
class Recording:
    """One exchange."""

    name: str
    request: dict[str, Any]
    status: int
    headers: dict[str, str]
    payloads: tuple[str, ...]
    """Of the events of a stream, `[DONE]` too; empty when not streamed."""
    events: tuple[bytes, ...]
    """The stream as it was on the wire, event by event; empty when not streamed."""
    body: bytes
    """What came over the wire after the headers."""

    @property
    def streamed(self) -> bool:
        """Whether the answer was a stream."""
        return bool(self.payloads)


@cache
def recordings() -> tuple[Recording, ...]:
    """Return all of them, in order of their names."""
    return tuple(_read(path) for path in sorted(FOLDER.glob("*.json")))


def _read(path: Path) -> Recording:
    exchange = json.loads(path.read_text("utf-8"))
    response = exchange["response"]
    payloads = tuple(response.get("sse", ()))
    names = response.get("sse_event_names", {})
    events = tuple(
        (f"event: {names[str(i)]}\n" if str(i) in names else "").encode() + f"data: {payload}\n\n".encode()
        for i, payload in enumerate(payloads)
    )
    return Recording(
        name=path.stem,
        request=exchange["request"]["body"],
        status=response["status"],
        headers=response["headers"],
        payloads=payloads,
        events=events,
        body=b"".join(events) or json.dumps(response["body"], ensure_ascii=False).encode(),
    )


def streams() -> tuple[Recording, ...]:
    """Return the streamed ones."""
    return tuple(r for r in recordings() if r.streamed)


def wholes() -> tuple[Recording, ...]:
    """Return those answered in one piece, errors left out."""
    return tuple(r for r in recordings() if not r.streamed and r.status == 200)


def cut_at(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Return the data in pieces, cut at these places, in any order; those beyond its end cut nothing off."""
    bounds = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(bounds)]
