"""Recorded exchanges: reading them, and finding the one that answers a request.

`recordings/README.md` describes the file format.
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from groqscope.simulator.received import Received

log = logging.getLogger(__name__)

BUNDLED = Path(__file__).parent / "recordings"
"""The recordings that come with the package."""


class RecordingError(ValueError):
    """A recording that cannot be served; the message names the file and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded exchange with Groq."""

    name: str
    source: str
    """Repository, commit and path of the cassette that it was extracted from."""
    request: Mapping[str, Any]
    """The request's JSON body."""
    status: int
    headers: Mapping[str, str]
    body: Mapping[str, Any] | None = None
    """The response body of a request that is not streamed."""
    sse: tuple[str, ...] = ()
    """The text after `data: ` of each event of a stream."""
    event_names: Mapping[int, str] = field(default_factory=dict[int, str])

    @property
    def stream(self) -> bool:
        """Whether the request asked for a stream."""
        return self.request.get("stream") is True

    @property
    def model(self) -> str:
        """The requested model."""
        return str(self.request.get("model"))

    @property
    def failed(self) -> bool:
        """Whether it ended with an error, as an HTTP status or within the stream."""
        return self.status >= 400 or bool(self.event_names)

    @property
    def request_id(self) -> str | None:
        """`x-request-id`, or the `x_groq.id` that equals it."""
        if known := self.headers.get("x-request-id"):
            return known
        payloads = [self.body] if self.body else [parse(text) for text in self.sse[:1] + self.sse[-2:]]
        ids = [payload["x_groq"].get("id") for payload in payloads if payload and payload.get("x_groq")]
        return ids[0] if ids else None

    @property
    def usage(self) -> Mapping[str, Any] | None:
        """The usage that Groq reported, at the top level or in `x_groq`."""
        if self.body is not None:
            return self.body.get("usage")
        for text in reversed(self.sse):
            payload = parse(text) or {}
            usage = payload.get("usage") or (payload.get("x_groq") or {}).get("usage")
            if usage:
                return usage
        return None


def parse(text: str) -> dict[str, Any] | None:
    """Return an event's payload; `None` for what is not a JSON object, such as `[DONE]`."""
    try:
        parsed: object = json.loads(text)
    except ValueError:
        return None
    return cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else None


def read_recording(path: Path) -> Recording:
    """Read one file.

    Raises:
        RecordingError: it is not JSON, or not in the format that the README describes.
    """
    try:
        raw: Any = json.loads(path.read_bytes())
        response = raw["response"]
        _check(("sse" in response) != ("body" in response), "the response needs either `sse` or `body`")
        names = {int(index): str(name) for index, name in response.get("sse_event_names", {}).items()}
        return Recording(
            name=path.stem,
            source=str(raw.get("source", path.name)),
            request=_mapping(raw["request"]["body"]),
            status=int(response["status"]),
            headers={str(k).lower(): str(v) for k, v in response.get("headers", {}).items()},
            body=_mapping(response["body"]) if "body" in response else None,
            sse=tuple(_text(text) for text in response.get("sse", ())),
            event_names=names,
        )
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read ({error.strerror})") from error
    except KeyError as error:
        raise RecordingError(f"{path}: `{error.args[0]}` is missing") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise RecordingError(f"{path}: not a recording ({error})") from error


def _check(condition: bool, otherwise: str) -> None:  # noqa: FBT001 - an assertion that stays
    if not condition:
        raise ValueError(otherwise)


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"expected an object, found {type(value).__name__}")
    return cast("dict[str, Any]", value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text in `sse`, found {type(value).__name__}")
    return value


def read_recordings(directory: Path) -> tuple[list[Recording], list[RecordingError]]:
    """Read all `*.json` files of a directory, sorted by name; return unreadable ones as errors instead of raising.

    Raises:
        RecordingError: there is no such directory, or it contains no usable recording.
    """
    if not directory.is_dir():
        raise RecordingError(f"{directory}: no such directory")
    found: list[Recording] = []
    errors: list[RecordingError] = []
    for path in sorted(directory.glob("*.json"), key=_natural):
        try:
            found.append(read_recording(path))
        except RecordingError as error:
            errors.append(error)
    if not found:
        because = f": {errors[0]}" if errors else ""
        raise RecordingError(f"{directory} contains no usable recording (*.json){because}")
    return found, errors


def _natural(path: Path) -> tuple[str, int]:
    # the files of one conversation are numbered at the end
    stem, _, number = path.stem.rpartition("_")
    return (stem, int(number)) if number.isdigit() else (path.stem, -1)


class Library:
    """Finds the recording that answers a request.

    That is the one with the same model, stream flag and messages; several of those (a 429, then a 200) are served in
    turn, over and over. If there is none, it is the most similar one with the same model and stream flag. A request for
    a model without recordings gets no answer of another model.
    """

    def __init__(self, recordings: Iterable[Recording]) -> None:
        """Keep the recordings, in the order given."""
        self.recordings: Sequence[Recording] = tuple(recordings)
        self._turns: dict[tuple[str, ...], int] = {}

    def find(self, received: Received) -> Recording | None:
        """Return the recording to serve next; `None` when there is none with that model and stream flag."""
        same = [r for r in self.recordings if r.model == received.model and r.stream == received.stream]
        exact = [r for r in same if r.request.get("messages") == received.messages]
        return self._next(exact or _nearest(same, received))

    def models(self) -> list[str]:
        """Return the recorded models, each with "(streamed)" or "(whole)"."""
        return sorted({f"{r.model} ({'streamed' if r.stream else 'whole'})" for r in self.recordings})

    def _next(self, candidates: Sequence[Recording]) -> Recording | None:
        if not candidates:
            return None
        key = tuple(r.name for r in candidates)
        turn = self._turns.get(key, 0)
        self._turns[key] = turn + 1
        return candidates[turn % len(candidates)]


def _nearest(same: Sequence[Recording], received: Received) -> Sequence[Recording]:
    """Return those most like the request, by tools, number of messages and first message; successes before errors."""
    asked = _likeness(received.json)

    def distance(recording: Recording) -> tuple[bool, int, bool, bool]:
        first, length, tools = _likeness(recording.request)
        return (tools != asked[2], abs(length - asked[1]), first != asked[0], recording.failed)

    least = min(map(distance, same), default=None)
    return [recording for recording in same if distance(recording) == least]


def _likeness(request: Mapping[str, Any]) -> tuple[str, int, list[str]]:
    messages: Any = request.get("messages") or []
    tools: Any = request.get("tools") or []
    first = json.dumps(messages[0].get("content")) if messages and isinstance(messages[0], dict) else ""  # pyright: ignore[reportUnknownMemberType] - JSON
    names = sorted(str(tool.get("function", {}).get("name")) for tool in tools if isinstance(tool, dict))  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType, reportUnknownVariableType] - JSON
    return first, len(messages), names
