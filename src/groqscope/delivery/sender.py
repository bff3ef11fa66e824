"""Sends to one OTLP endpoint over HTTP, and returns the outcome.

    Delivered      the endpoint accepted it; a part may be rejected, which must not be sent again
    Refused        the endpoint will never accept it; it must not be sent again
    Unavailable    the endpoint may accept it later

This follows the OTLP specification: 429, 502, 503, 504 and requests without a response may be retried, after
`Retry-After` if the endpoint sends it; every other status is final. If a response is lost, the accepted data is sent
twice: delivery is at least once, and back ends can recognise duplicates by the ids of their spans.
"""

import gzip
import os
import ssl
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import msgspec

from groqscope._exchange import AnswerTooLongError, exchange, without_password
from groqscope._version import __version__
from groqscope._visible import visible
from groqscope.delivery.transcode import Signal, to_protobuf

if TYPE_CHECKING:
    import httpx

HttpProtocol = Literal["http/protobuf", "http/json"]

_CONTENT_TYPES: Final[Mapping[HttpProtocol, str]] = {
    "http/protobuf": "application/x-protobuf",
    "http/json": "application/json",
}
_COMPRESS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "gzip": lambda data: gzip.compress(data, 6),
    "deflate": zlib.compress,
}
_RETRYABLE: Final = frozenset({429, 502, 503, 504})
_MAX_ANSWER: Final = 1024 * 1024
_MAX_MESSAGE: Final = 500
_MAX_RETRY_AFTER: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Delivered:
    """The endpoint accepted it."""

    rejected: int = 0
    """Spans, data points or log records that it rejected."""
    message: str = ""
    """The endpoint's message about them."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The endpoint will never accept it."""

    reason: str
    status: int | None = None
    """The HTTP status; `None` if it was not sent."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The endpoint may accept it later."""

    reason: str
    retry_after: float | None = None
    """Seconds from the `Retry-After` header, if there was one."""
    status: int | None = None
    """The HTTP status; `None` if there was no response."""


Delivery = Delivered | Refused | Unavailable


class OtlpSender:
    """Sends one signal to one URL; may be used by one thread at a time, and in a child process after a fork."""

    def __init__(
        self,
        endpoint: str,
        signal: Signal,
        *,
        protocol: HttpProtocol = "http/protobuf",
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
        compression: str = "none",
        certificate: str | None = None,
        client_certificate: str | None = None,
        client_key: str | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.signal: Signal = signal
        self.protocol: HttpProtocol = protocol
        self._headers = {
            "user-agent": f"groqscope/{__version__}",
            **{k.lower(): v for k, v in (headers or {}).items()},
            "content-type": _CONTENT_TYPES[protocol],
        }
        self._compress = _COMPRESS.get(compression)
        if self._compress is not None:
            self._headers["content-encoding"] = compression
        self._timeout = timeout
        self._tls = (certificate, client_certificate, client_key)
        self._client: httpx.Client | None = None
        self._pid = os.getpid()

    def send_line(self, line: bytes) -> Delivery:
        """Send a stored line of OTLP JSON."""
        if self.protocol == "http/json":
            return self.send(line)
        try:
            return self.send(to_protobuf(line, self.signal))
        except ValueError as error:
            return Refused(str(error))

    def send(self, payload: bytes) -> Delivery:
        """Send one export request, encoded as the protocol requires."""
        try:
            client = self._connected()
            body = self._compress(payload) if self._compress else payload
            request = client.build_request("POST", self.endpoint, headers=self._headers, content=body)
            response = exchange(client, request, seconds=self._timeout, max_bytes=_MAX_ANSWER)
        except Exception as error:  # noqa: BLE001 - after any failure the data can be sent later
            return Unavailable(_reason(error))
        return self._outcome(response, response.content)

    @property
    def name(self) -> str:
        """The endpoint without credentials, for messages."""
        return without_password(self.endpoint)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; a later request opens a new one."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connected(self) -> "httpx.Client":
        import httpx

        if self._client is None or self._pid != os.getpid():
            self._pid = os.getpid()
            self._client = httpx.Client(timeout=self._timeout, verify=self._verify())
        return self._client

    def _verify(self) -> ssl.SSLContext | bool:
        authority, certificate, key = self._tls
        if authority is None and certificate is None:
            return True
        context = ssl.create_default_context(cafile=authority)
        if certificate is not None:
            context.load_cert_chain(certificate, key)
        return context

    def _outcome(self, response: "httpx.Response", answer: bytes) -> Delivery:
        status = response.status_code
        if 200 <= status < 300:
            try:
                return self._partial(answer)
            except Exception:  # noqa: BLE001 - the status means success, although the body is unreadable
                return Delivered()
        reason = f"HTTP {status} {response.reason_phrase}".strip()
        if status in _RETRYABLE:
            return Unavailable(reason, _retry_after(response.headers.get("retry-after")), status)
        return Refused(reason, status)

    def _partial(self, answer: bytes) -> Delivered:
        if not answer.strip():
            return Delivered()
        if self.protocol == "http/json":
            success: dict[str, Any] = msgspec.json.decode(answer).get("partialSuccess") or {}
            rejected = next((int(v) for k, v in success.items() if k.startswith("rejected")), 0)
            return Delivered(rejected, visible(str(success.get("errorMessage", "")), limit=_MAX_MESSAGE))
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

        # The responses of all signals have the same field numbers.
        partial = ExportTraceServiceResponse.FromString(answer).partial_success
        return Delivered(partial.rejected_spans, visible(partial.error_message, limit=_MAX_MESSAGE))


def _retry_after(value: str | None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, as a number or as a date."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER) if seconds == seconds else None  # noqa: PLR0124 - NaN is not itself


def _reason(error: Exception) -> str:
    text = visible(str(error).strip(), limit=_MAX_MESSAGE)
    if isinstance(error, AnswerTooLongError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
