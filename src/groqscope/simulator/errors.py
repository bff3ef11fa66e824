"""Groq's error answers, by status."""

import json
from typing import Any

from groqscope.simulator.plan import Plan, Write
from groqscope.simulator.received import Received
from groqscope.simulator.script import Failure

_RATE_LIMIT = (
    "{} for model `{{model}}` in organization `org_00000000000000000000000000` service tier `on_demand` "
    "on tokens per minute (TPM): "
)
# status: (message, type, code); None where Groq omits it
BODIES: dict[int, tuple[str, str, str | None]] = {
    400: ("'messages' : minimum number of items is 1", "invalid_request_error", None),
    401: ("Invalid API Key", "invalid_request_error", "invalid_api_key"),
    403: ("Access denied. Please check your network settings.", "invalid_request_error", "forbidden"),
    404: (
        "The model `{model}` does not exist or you do not have access to it.",
        "invalid_request_error",
        "model_not_found",
    ),
    405: ("Method not allowed for this URL.", "invalid_request_error", "method_not_allowed"),
    408: ("The request body did not arrive in time.", "invalid_request_error", "request_timeout"),
    409: ("The request conflicts with another one.", "invalid_request_error", "conflict"),
    413: (
        _RATE_LIMIT.format("Request too large")
        + "Limit 6000, Requested 9120, please reduce your message size and try again.",
        "tokens",
        "rate_limit_exceeded",
    ),
    422: ("The request could not be processed.", "invalid_request_error", "unprocessable_entity"),
    424: ("A server that the request depends on failed.", "invalid_request_error", "failed_dependency"),
    429: (
        _RATE_LIMIT.format("Rate limit reached")
        + "Limit 6000, Used 5447, Requested 783. Please try again in {seconds}s.",
        "tokens",
        "rate_limit_exceeded",
    ),
    498: ("Flex tier capacity exceeded, please try again.", "flex_tier", "capacity_exceeded"),
    500: ("Internal Server Error", "internal_server_error", None),
    502: ("Bad Gateway", "internal_server_error", None),
    503: ("Service unavailable. Please try again later.", "internal_server_error", "service_unavailable"),
}


def plan_failure(failure: Failure, received: Received, headers: dict[str, str]) -> Plan:
    """Return the plan of an error answer; a 429 has a `retry-after` header."""
    retry_after = 1.0 if failure.retry_after is None and failure.status == 429 else failure.retry_after
    if retry_after is not None and retry_after >= 0:
        headers["retry-after"] = f"{retry_after:g}"
    body = json.dumps({"error": _error(failure, received, retry_after)}).encode()
    headers |= {"content-type": "application/json", "content-length": str(len(body)), **failure.headers}
    return Plan(
        status=failure.status,
        headers=headers,
        before_headers=failure.delays.before_headers,
        writes=(Write(body, failure.delays.before_first),),
        before_end=failure.delays.before_close,
    )


def _error(failure: Failure, received: Received, retry_after: float | None) -> dict[str, Any]:
    message, kind, code = BODIES.get(failure.status, ("The request failed.", "api_error", None))
    message = message.format(model=received.model or "unknown", seconds=f"{max(0.0, retry_after or 0.0):g}")
    error: dict[str, Any] = {"message": failure.message or message, "type": failure.type or kind}
    if code := failure.code or code:
        error["code"] = code
    if failure.failed_generation is not None:
        error["failed_generation"] = failure.failed_generation
    return error
