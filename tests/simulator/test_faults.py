"""Everything that goes wrong, as the bare SDK sees it."""

import time
from collections.abc import Callable
from typing import Any

import groq
import httpx
import pytest

from groqscope.simulator import (
    Answer,
    Close,
    Connection,
    Cut,
    Delays,
    ErrorEvent,
    Failure,
    Hang,
    Reset,
    Response,
    Simulator,
    Truncated,
)

Ask = Callable[..., Any]
FOUR = Answer(["a", "b", "c", "d"])


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, groq.BadRequestError, None),
        (401, groq.AuthenticationError, "invalid_api_key"),
        (403, groq.PermissionDeniedError, "forbidden"),
        (404, groq.NotFoundError, "model_not_found"),
        (408, groq.APIStatusError, "request_timeout"),
        (409, groq.ConflictError, "conflict"),
        (413, groq.APIStatusError, "rate_limit_exceeded"),
        (422, groq.UnprocessableEntityError, "unprocessable_entity"),
        (424, groq.APIStatusError, "failed_dependency"),
        (429, groq.RateLimitError, "rate_limit_exceeded"),
        (498, groq.APIStatusError, "capacity_exceeded"),
        (500, groq.InternalServerError, None),
        (502, groq.InternalServerError, None),
        (503, groq.InternalServerError, "service_unavailable"),
        (529, groq.InternalServerError, None),
    ],
)
def test_a_status_comes_with_groqs_error_body(sim: Simulator, ask: Ask, status: int, kind: Any, code: Any) -> None:
    """Each status: the SDK's own exception, Groq's code, a message, a request id in the header only."""
    sim.play(Failure(status))
    error = ask(sim).error

    assert type(error) is kind
    assert error.status_code == status
    assert error.body["error"].get("code") == code
    assert error.body["error"]["message"]
    assert error.response.headers["x-request-id"].startswith("req_")
    assert ("retry-after" in error.response.headers) == (status == 429)


def test_an_error_can_be_told_apart_from_the_usual(sim: Simulator, ask: Ask) -> None:
    """What a failure gives replaces the usual body and headers."""
    sim.play(Failure(400, message="m", code="json_validate_failed", failed_generation="{", headers={"x-a": "b"}))
    error = ask(sim).error

    expected = {
        "message": "m",
        "type": "invalid_request_error",
        "code": "json_validate_failed",
        "failed_generation": "{",
    }
    assert error.body == {"error": expected}
    assert error.response.headers["x-a"] == "b"


def test_retry_after_is_sent_as_asked(sim: Simulator, ask: Ask) -> None:
    """429 names the seconds in header and message; a negative number sends no header."""
    sim.play([Failure(429, retry_after=7), Failure(429, retry_after=-1)])
    seven, without = ask(sim).error, ask(sim).error

    assert seven.response.headers["retry-after"] == "7"
    assert "try again in 7s" in seven.body["error"]["message"]
    assert "retry-after" not in without.response.headers


def test_hidden_retries_are_seen_by_the_simulator(sim: Simulator, ask: Ask) -> None:
    """429, 429, 200: the client sees an answer, the ground truth three requests, waits between them."""
    sim.play([Failure(429, retry_after=0.02), Failure(429, retry_after=0.02), Answer("yes")])
    heard = ask(sim, max_retries=2)

    assert heard.text == "yes"
    served = sim.settle()
    assert [s.status for s in served] == [429, 429, 200]
    assert served[1].headers_received_ns - served[0].headers_sent_ns >= 0.02 * 1e9


@pytest.mark.parametrize("reply", [Reset(), Close()])
def test_no_answer_at_all(sim: Simulator, ask: Ask, reply: Any) -> None:
    """Reset or closed before the headers: a connection error, caused by what httpx saw."""
    sim.play(reply)
    error = ask(sim).error

    assert type(error) is groq.APIConnectionError
    assert type(error.__cause__) is (httpx.ReadError if isinstance(reply, Reset) else httpx.RemoteProtocolError)
    assert sim.settle()[0].left == ("reset" if isinstance(reply, Reset) else "cut")


def test_a_hang_is_a_timeout(sim: Simulator, ask: Ask) -> None:
    """No answer until the client gives up."""
    sim.play(Hang())

    assert type(ask(sim, timeout=0.05).error) is groq.APITimeoutError
    assert sim.settle()[0].left == "client left"


@pytest.mark.parametrize(
    ("ending", "text", "error"),
    [
        (Truncated(), "abcd", None),
        (Truncated(3), "ab", None),
        (Truncated(3, partial=9), "ab", None),
        (Cut(3), "ab", httpx.RemoteProtocolError),
        (Cut(3, partial=20), "ab", httpx.RemoteProtocolError),
        (Reset(3), "ab", httpx.ReadError),
        (Hang(3), "ab", httpx.ReadTimeout),
        (ErrorEvent(3), "ab", groq.APIError),
        (ErrorEvent(3, named=False), "ab", groq.APIError),
        (ErrorEvent(), "abcd", groq.APIError),
    ],
    ids=repr,
)
def test_a_stream_that_ends_badly(sim: Simulator, ask: Ask, ending: Any, text: str, error: Any) -> None:
    """Each ending after so many events: what was sent arrives, then what the bare SDK makes of the end."""
    # a pause before the end: a reset throws away what the client has not read yet
    pause = 0.3 if isinstance(ending, Reset) else 0
    sim.play(Answer(FOUR.content, ending=ending, delays=Delays(before_close=pause)))
    heard = ask(sim, timeout=0.5 if isinstance(ending, Hang) else 30)

    assert heard.text == text
    assert type(heard.error) is (type(None) if error is None else error)


def test_the_error_event_is_groqs(sim: Simulator, ask: Ask) -> None:
    """The SDK's error has the body of the event."""
    sim.play(Answer("a", ending=ErrorEvent(1, message="no", failed_generation="{}")))

    assert ask(sim).error.body == {
        "message": "no",
        "type": "invalid_request_error",
        "code": "tool_use_failed",
        "failed_generation": "{}",
        "status_code": 400,
    }


def test_a_page_that_is_not_json(sim: Simulator, ask: Ask) -> None:
    """A proxy's HTML under 502: the SDK's error carries the text."""
    sim.play(Response(b"<html>bad gateway</html>", status=502, content_type="text/html"))
    error = ask(sim).error

    assert (type(error), error.body) == (groq.InternalServerError, "<html>bad gateway</html>")


def test_an_unstreamed_body_can_be_cut(sim: Simulator, ask: Ask) -> None:
    """Fewer bytes than content-length says: a connection error."""
    sim.play(Answer("a b c", ending=Cut(partial=40)))
    heard = ask(sim, stream=False)

    assert type(heard.error) is groq.APIConnectionError


def test_a_connection_can_be_reset_before_anything(ask: Ask) -> None:
    """The first connection is reset, the second taken: one attempt more, and no request was seen on the first."""
    with Simulator(Answer("yes"), connections=[Connection(reset=True), Connection()]) as sim:
        heard = ask(sim, max_retries=1)
        (served,) = sim.settle()

    assert heard.text == "yes"
    assert served.connection.index == 1


def test_a_client_that_leaves_is_noted(sim: Simulator) -> None:
    """A stream closed by the client: the simulator stops writing and says so."""
    sim.play(Answer("a b c d", delays=Delays(per_chunk=0.05)))
    with (
        groq.Groq(base_url=sim.base_url, api_key="test") as client,
        client.chat.completions.create(model="m", messages=[], stream=True) as stream,
    ):
        next(iter(stream))
    (served,) = sim.settle()

    assert served.left == "client left"
    assert len(served.writes) < 6


def test_stopping_cuts_open_streams() -> None:
    """A simulator that stops does not wait for streams that were left open."""
    with Simulator(Answer("a", ending=Hang(1))) as sim:
        client = groq.Groq(base_url=sim.base_url, api_key="test")
        stream = client.chat.completions.create(model="m", messages=[], stream=True)
        next(iter(stream))
        begin = time.monotonic()

    assert time.monotonic() - begin < 5
    stream.close()
    client.close()
