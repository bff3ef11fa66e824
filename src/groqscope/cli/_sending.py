"""Sending stored OTLP lines over HTTP and remembering which.

A file is known by its first line, wherever it lies and whatever it is called, and by how many of its lines were
accepted; that is written down after each accepted request. So a line is sent twice only when the process dies, or the
connection breaks, between the endpoint's acceptance and our note; the spans then carry the same ids as before.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import unquote, urlsplit

import msgspec

from groqscope.audit import AuditError, SourceError
from groqscope.store import ReadReport, home
from groqscope.store._sources import lines, sources

if TYPE_CHECKING:
    import httpx

BATCH: Final = 1 << 20
"""Bytes of one request, as far as one line is not longer."""
TIMEOUT: Final = 30.0
TRIES: Final = 6
MAX_WAIT: Final = 60.0
"""Seconds between two tries at most, whatever the endpoint asks for."""
_AGAIN: Final = frozenset({429, 502, 503, 504})
_SIGNALS: Final = {"resourceSpans": "traces", "resourceMetrics": "metrics", "resourceLogs": "logs"}


class _Document(msgspec.Struct, rename="camel"):
    resource_spans: list[msgspec.Raw] | None = None
    resource_metrics: list[msgspec.Raw] | None = None
    resource_logs: list[msgspec.Raw] | None = None


_decode = msgspec.json.Decoder(_Document).decode


@dataclass(slots=True)
class Sent:
    """What became of the lines."""

    lines: int = 0
    before: int = 0
    """Lines that had been sent already."""
    rejected: int = 0
    """Spans, points or log records that the endpoint did not want."""
    reasons: tuple[str, ...] = ()

    def sentence(self, name: str) -> str:
        """Say it."""
        words = [f"sent {self.lines:,} line{'' if self.lines == 1 else 's'} to {name}"]
        if self.before:
            words.append(f"{self.before:,} had been sent before")
        if self.rejected:
            words.append(f"{self.rejected:,} entries were rejected ({'; '.join(self.reasons) or 'no reason given'})")
        return ", ".join(words)


class Ledger:
    """How many lines of each file an endpoint has accepted."""

    def __init__(self, endpoint: str, *, forget: bool = False, directory: Path | None = None) -> None:
        folder = directory if directory is not None else home() / "push"
        self._path = folder / f"{hashlib.sha256(endpoint.encode()).hexdigest()[:16]}.json"
        self._sent: dict[str, int] = {} if forget else self._read()

    def sent(self, file: str) -> int:
        """Give how many lines of a file were accepted."""
        return self._sent.get(file, 0)

    def note(self, accepted: dict[str, int]) -> None:
        """Write down how far files were accepted.

        Raises:
            AuditError: it cannot be written.
        """
        self._sent.update(accepted)
        fresh = self._path.with_suffix(f".{os.getpid()}")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.write_text(json.dumps(self._sent), encoding="utf-8")
            fresh.replace(self._path)
        except OSError as error:
            raise AuditError(f"what was sent cannot be written down in {self._path}: {error.strerror}") from error

    def _read(self) -> dict[str, int]:
        try:
            known = json.loads(self._path.read_text(encoding="utf-8"))
            return {str(file): int(number) for file, number in known.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}


class Sender:
    """One OTLP endpoint over HTTP."""

    def __init__(
        self,
        endpoint: str | None,
        headers: Sequence[tuple[str, str]] = (),
        *,
        client: "httpx.Client | None" = None,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        if endpoint is None:
            raise AuditError("where to? name an --endpoint, for example http://127.0.0.1:4318")
        parts = urlsplit(endpoint)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise AuditError(f"--endpoint {endpoint!r} is no address: write for example http://127.0.0.1:4318")
        self.endpoint = endpoint.rstrip("/")
        self._headers = {"content-type": "application/json", **dict(headers)}
        self._client = client
        self._wait = wait
        self._reached = False

    @property
    def name(self) -> str:
        """The address, without a password in it."""
        parts = urlsplit(self.endpoint)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def __enter__(self) -> Self:
        if self._client is None:
            import httpx

            self._client = httpx.Client(timeout=TIMEOUT)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._client.close()

    def send(self, signal: str, body: bytes) -> dict[str, Any]:
        """Send one request, again and again while the endpoint asks for patience; give its answer.

        Raises:
            SourceError: it cannot be reached, or does not want it.
        """
        import httpx

        if self._client is None:
            raise AssertionError
        url = self._url(signal)
        for attempt in range(TRIES):
            last = attempt == TRIES - 1
            try:
                answer = self._client.post(url, content=body, headers=self._headers)
            except httpx.HTTPError as error:
                # An address that never answered is more likely wrong than down.
                if last or not self._reached:
                    raise SourceError(f"{self.name} cannot be reached ({error}); {_RESUME}") from error
                self._wait(2.0**attempt)
                continue
            self._reached = True
            if answer.is_success:
                return _json(answer)
            if answer.status_code not in _AGAIN or last:
                said = answer.text.strip().replace("\n", " ")[:200]
                raise SourceError(f"{self.name} answered {answer.status_code}{f': {said}' if said else ''}; {_RESUME}")
            self._wait(_patience(answer, attempt))
        raise AssertionError

    def _url(self, signal: str) -> str:
        known = tuple(f"/v1/{name}" for name in _SIGNALS.values())
        return self.endpoint if self.endpoint.endswith(known) else f"{self.endpoint}/v1/{signal}"


_RESUME: Final = "run the same command again to go on from there"


def send_files(paths: Iterable[str], sender: Sender, ledger: Ledger, report: ReadReport) -> Sent:
    """Send every line that was not accepted before.

    Raises:
        AuditError: the endpoint cannot be reached or does not want it; what was accepted until then is written down.
    """
    sent = Sent()
    for source in sources(paths, report):
        for path in source.paths:
            for batch in _batches(_unsent(path, ledger, report, sent)):
                _post(batch, sender, ledger, sent)
    return sent


@dataclass(slots=True)
class _Line:
    file: str
    number: int
    """Lines of the file up to and with this one."""
    signal: str
    entries: list[msgspec.Raw]
    size: int


def _unsent(path: Path | None, ledger: Ledger, report: ReadReport, sent: Sent) -> Iterator[_Line]:
    file, known = "", 0
    for place, (number, line, complete) in enumerate(lines(path, report), 1):
        if not file:
            file = hashlib.sha256(line.strip()).hexdigest()[:32]
            known = ledger.sent(file)
        if place <= known:
            sent.before += 1
            continue
        try:
            document = _decode(line)
        except msgspec.MsgspecError as error:
            if not complete:
                return  # still being written, or torn: a later push sends it when it is whole
            report.warn(str(path or "-"), number, f"not OTLP JSON, not sent: {error}")
            continue
        for key, entries in zip(_SIGNALS, msgspec.structs.astuple(document), strict=True):
            if entries:
                yield _Line(file, place, key, entries, len(line))


def _batches(found: Iterator[_Line]) -> Iterator[list[_Line]]:
    batch: list[_Line] = []
    size = 0
    for line in found:
        if batch and (size + line.size > BATCH or line.signal != batch[0].signal):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += line.size
    if batch:
        yield batch


def _post(batch: list[_Line], sender: Sender, ledger: Ledger, sent: Sent) -> None:
    signal = batch[0].signal
    body = msgspec.json.encode({signal: [entry for line in batch for entry in line.entries]})
    answer = sender.send(_SIGNALS[signal], body)
    ledger.note({line.file: line.number for line in batch})
    sent.lines += len(batch)
    partial = answer.get("partialSuccess")
    if isinstance(partial, dict):
        rejected = sum(int(v) for k, v in partial.items() if k.startswith("rejected"))
        sent.rejected += rejected
        reason = str(partial.get("errorMessage") or "")
        if reason and reason not in sent.reasons:
            sent.reasons += (reason[:200],)


def _json(answer: "httpx.Response") -> dict[str, Any]:
    try:
        given = answer.json()
    except ValueError:
        return {}
    return given if isinstance(given, dict) else {}


def _patience(answer: "httpx.Response", attempt: int) -> float:
    try:
        asked = float(answer.headers.get("retry-after", ""))
    except ValueError:
        asked = 2.0**attempt
    return min(MAX_WAIT, max(0.0, asked))


def headers_of(given: Iterable[str]) -> list[tuple[str, str]]:
    """Read headers as `NAME=VALUE`, after those of OTEL_EXPORTER_OTLP_HEADERS.

    Raises:
        AuditError: one has no name.
    """
    environment = [part for part in os.environ.get("OTEL_EXPORTER_OTLP_HEADERS", "").split(",") if part.strip()]
    found: list[tuple[str, str]] = []
    for text, source in [*((e, "OTEL_EXPORTER_OTLP_HEADERS") for e in environment), *((g, "--header") for g in given)]:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise AuditError(f"{source}: a header is written as NAME=VALUE")
        value = unquote(value.strip()) if source != "--header" else value.strip()
        found.append((name.strip().lower(), value))
    return found
