"""Phases, told as stories: what happens when, and which phase its time belongs to."""

from support.observed import MS, Observed, at, in_ms

from groqscope.timeline import Phases, Usage


def _sent(**request: object) -> Observed:
    """Return a request over a new TLS connection, sent 10 ms after issue."""
    return Observed(**request).tell(prepared=1, connecting=2, securing=5, sending=9, sent=10)


def test_streamed_request_over_a_new_connection() -> None:
    """Every boundary begins the next phase; after the first token the wait is over."""
    seen = _sent(stream=True).tell(headers=40).answered(41).tell(returned=42, asked=43)
    seen.chunk(50, channel=0).tell(returned=51, asked=52)
    seen.chunk(60).tell(returned=61, asked=71).chunk(80).tell(returned=81, asked=82, last_byte=90)
    record = seen.end(91)

    assert in_ms(record.phases) == {
        "prepare": 1,
        "pool_wait": 1,
        "connect": 3,
        "tls": 4,
        "send": 1,
        "network": 32 + 8 + 8,
        "receive": 1 + 9 + 1 + 8,
        "consume": 1 + 1 + 10 + 1,
        "finish": 1,
    }
    assert record.duration_ns == 91 * MS
    assert record.phases.wait == 48 * MS
    assert record.connection_reused is False


def test_whole_answer_over_an_open_connection() -> None:
    """Without a stream the wait lasts until the body is read, and includes the time that Groq spent generating."""
    seen = Observed().tell(prepared=1, sending=2, sent=3, headers=80).answered(81).tell(last_byte=83)
    usage = Usage(queue_time=0.01, prompt_time=0.02, completion_time=0.04)
    seen.timeline.used(at(84), usage)
    record = seen.end(85)

    assert in_ms(record.phases) == {
        "prepare": 1,
        "pool_wait": 1,
        "send": 1,
        "queue": 10,
        "prefill": 20,
        "network": 10,
        "generate": 40,
        "finish": 2,
    }
    assert record.connection_reused is True
    assert record.phases_clamped is False
    assert (record.attempts[0].connect_ns, record.attempts[0].tls_ns) == (None, None)


def test_a_stream_has_no_generate_phase() -> None:
    """Generation is observed as chunks arrive: the reported time is not taken out of the wait for the first."""
    seen = _sent(stream=True).answered(40).chunk(60)
    seen.timeline.used(at(60), Usage(queue_time=0.01, prompt_time=0.02, completion_time=0.5))
    phases = in_ms(seen.end(61).phases)

    assert {"queue": 10, "prefill": 20, "network": 20}.items() <= phases.items()
    assert "generate" not in phases


def test_reported_times_that_do_not_fit_are_cut() -> None:
    """Queue, prefill and generate are cut in that order, none becomes negative, and the record says so."""
    seen = _sent().answered(40).tell(last_byte=40)
    seen.timeline.used(at(41), Usage(queue_time=0.025, prompt_time=0.02, completion_time=0.04))
    record = seen.end(41)

    assert record.phases_clamped is True
    assert (record.phases.queue, record.phases.prefill, record.phases.generate) == (25 * MS, 5 * MS, 0)
    assert record.phases.network == 0
    assert record.phases.total() == record.duration_ns


def test_reported_times_that_make_no_sense_are_ignored() -> None:
    """A negative time, or one that is not a number, is not part of the wait."""
    seen = _sent().answered(40).tell(last_byte=40)
    seen.timeline.used(at(41), Usage(queue_time=-1.0, prompt_time=float("nan"), completion_time=float("inf")))
    record = seen.end(41)

    assert (record.phases.queue, record.phases.prefill, record.phases.generate) == (None, None, 30 * MS)
    assert record.phases_clamped is True


def test_retries_are_one_phase() -> None:
    """`retry` is from the start of the first attempt to that of the last: failed attempts, back-off and rebuilding."""
    seen = _sent(stream=True).tell(headers=30).failed(31, error="rate_limit_exceeded").tell(backed_off=531)
    seen.tell(prepared=533, sending=534, sent=535, headers=560).failed(561, 503).tell(backed_off=1_061)
    seen.tell(prepared=1_062, sending=1_063, sent=1_064, headers=1_090).answered(1_091).chunk(1_100)
    record = seen.end(1_101)

    assert in_ms(record.phases) == {
        "prepare": 1,
        "retry": 1_061,
        "pool_wait": 1,
        "send": 1,
        "network": 36,
        "receive": 1,
    }
    assert record.retries == 2
    assert [a.status for a in record.attempts] == [429, 503, 200]
    assert [a.error_type for a in record.attempts] == ["rate_limit_exceeded", "503", None]
    assert [a.backoff_ns for a in record.attempts] == [500 * MS, 500 * MS, None]
    assert [a.start_ns for a in record.attempts] == [1 * MS, 533 * MS, 1_062 * MS]
    assert [a.duration_ns for a in record.attempts] == [30 * MS, 28 * MS, 28 * MS]
    assert [a.connection_reused for a in record.attempts] == [False, True, True]


def test_attempt_shows_where_its_time_went() -> None:
    """Connect, TLS, send and wait are measured between the attempt's own boundaries."""
    attempt = _sent().tell(headers=30).answered(31).end(40).attempts[0]

    assert (attempt.connect_ns, attempt.tls_ns, attempt.send_ns, attempt.wait_ns) == (3 * MS, 4 * MS, 1 * MS, 20 * MS)
    assert attempt.duration_ns == 29 * MS


def test_attempts_are_bounded() -> None:
    """Beyond 16 attempts the newest takes the last place, and the others are counted."""
    seen = Observed()
    for i in range(20):
        seen.tell(prepared=10 * i).failed(10 * i + 5)
    record = seen.end(200)

    assert len(record.attempts) == 16
    assert record.attempts_dropped == 4
    assert record.attempts[-1].start_ns == 190 * MS
    assert record.retries == 19


def test_request_without_tls() -> None:
    """Over plain HTTP, connecting lasts until sending begins."""
    record = Observed().tell(prepared=1, connecting=2, sending=7, sent=8).answered(20).tell(last_byte=21).end(22)

    assert in_ms(record.phases) == {
        "prepare": 1,
        "pool_wait": 1,
        "connect": 5,
        "send": 1,
        "network": 13,
        "finish": 1,
    }


def test_proxy_is_part_of_connect() -> None:
    """A proxy's CONNECT is sent and answered before TLS begins: all of it is `connect`."""
    seen = Observed().tell(prepared=1, connecting=2, sending=4, sent=5, headers=8)
    seen.tell(securing=9, sending=14, sent=15, headers=30).answered(31).tell(last_byte=32)
    record = seen.end(32)

    assert in_ms(record.phases) == {
        "prepare": 1,
        "pool_wait": 1,
        "connect": 7,
        "tls": 5,
        "send": 1,
        "network": 17,
        "finish": 0,
    }
    assert record.attempts[0].connect_ns == 7 * MS


def test_proxy_that_speaks_tls() -> None:
    """There are two handshakes, the proxy's and the server's: the last one is `tls`, the rest is `connect`."""
    seen = Observed().tell(prepared=1, connecting=2, securing=3, sending=5, sent=6, headers=8)
    phases = in_ms(seen.tell(securing=9, sending=14, sent=15).answered(31).end(31).phases)

    assert (phases["connect"], phases["tls"], phases["send"]) == (7, 5, 1)


def _exchanged(status: int | None, **then: float) -> Observed:
    """Return a request that was sent and answered, and what the transport did next, without returning to the SDK."""
    seen = Observed().tell(prepared=1, connecting=2, securing=4, sending=7, sent=8)
    seen.timeline.headers(at(20), status)
    return seen.tell(last_byte=21, **then)


def test_a_redirect_sends_again() -> None:
    """A redirect is an attempt that did not fail: waiting for it is `network`, and each sending is `send`."""
    seen = _exchanged(307, sending=30).tell(sent=32, headers=50)
    record = seen.answered(51).tell(last_byte=51).end(51)

    assert in_ms(record.phases) == {
        "prepare": 1, "pool_wait": 1, "connect": 2, "tls": 3, "send": 3, "network": 41, "finish": 0,
    }  # fmt: skip
    assert [(a.status, a.error_type, a.backoff_ns) for a in record.attempts] == [(307, None, None), (200, None, None)]
    assert (record.retries, record.connection_reused) == (0, True)


def test_a_redirect_to_another_host() -> None:
    """The second host's connection, its proxy's CONNECT included, leaves the phases of the first as they are."""
    seen = _exchanged(302, connecting=30).tell(sending=32, sent=33, headers=34).tell(securing=35).tell(sending=40)
    record = seen.tell(sent=41, headers=50).answered(51).end(51)

    assert in_ms(record.phases) == {
        "prepare": 1, "pool_wait": 1, "connect": 7, "tls": 8, "send": 2, "network": 32,
    }  # fmt: skip
    assert [a.status for a in record.attempts] == [302, 200]


def test_a_transport_that_tries_again() -> None:
    """A failure that the transport recovers from is a retry with its back-off, none of it `send`."""
    seen = _exchanged(429, connecting=121).tell(sending=122, sent=123, headers=150)
    record = seen.answered(151).end(151)

    assert in_ms(record.phases) == {"prepare": 1, "retry": 120, "connect": 1, "send": 1, "network": 28}
    first, last = record.attempts
    assert (first.status, first.error_type, first.backoff_ns, first.duration_ns) == (429, "429", 100 * MS, 20 * MS)
    assert (last.status, last.start_ns, record.retries) == (200, 121 * MS, 1)


def test_a_transport_that_connects_again() -> None:
    """A connection that could not be made, and the pause before the next, are a retry too."""
    seen = Observed().tell(prepared=1, connecting=2)
    seen.timeline.broke(at(10), "ConnectError")
    record = seen.tell(connecting=30, sending=31, sent=32, headers=40).answered(40).end(40)

    assert in_ms(record.phases) == {"prepare": 1, "retry": 29, "connect": 1, "send": 1, "network": 8}
    assert [(a.status, a.error_type) for a in record.attempts] == [(None, "ConnectError"), (200, None)]


def test_credentials_renewed() -> None:
    """An answer that asks for credentials is not a failure if the next request has them; otherwise it is."""
    seen = _exchanged(401)
    seen.timeline.challenged()
    renewed = seen.tell(sending=30, sent=31, headers=50).answered(51).end(51)
    repeated = _exchanged(401, sending=30).tell(sent=31, headers=50).answered(51).end(51)

    assert (renewed.retries, renewed.phases.retry, renewed.attempts[0].error_type) == (0, None, None)
    assert (repeated.retries, repeated.phases.retry, repeated.attempts[0].error_type) == (1, 29 * MS, "401")


def test_a_failure_after_a_redirect() -> None:
    """A failure makes everything before it a retry; the SDK's own retry includes what its transport tried."""
    seen = _exchanged(307, sending=30).tell(sent=31)
    seen.timeline.headers(at(40), 503)
    seen.tell(sending=60, sent=61).failed(70, None, "ReadError").tell(backed_off=80, prepared=81)
    record = seen.tell(sending=82, sent=83, headers=90).answered(90).end(90)

    assert in_ms(record.phases) == {"prepare": 1, "retry": 80, "pool_wait": 1, "send": 1, "network": 7}
    assert [a.status for a in record.attempts] == [307, 503, None, 200]
    assert record.retries == 2


def test_transport_without_trace_events() -> None:
    """The time before the answer is part of the wait, and the record names the phases that were not seen."""
    seen = Observed(stream=True).tell(prepared=1).answered(50, unseen=True).chunk(60)
    record = seen.end(61)

    assert in_ms(record.phases) == {"prepare": 1, "network": 59, "receive": 1}
    assert record.phases_unseen == ("pool_wait", "connect", "tls", "send")
    assert record.connection_reused is None


def test_transport_expected_without_trace_events_that_has_some() -> None:
    """If trace events come after all, the phases are measured by them."""
    record = _sent().answered(40, unseen=True).end(41)

    assert record.phases_unseen == ()
    assert record.phases.tls == 4 * MS


def test_retry_over_a_transport_without_trace_events() -> None:
    """Its attempts are `retry` and `network` just as well."""
    seen = Observed(stream=True).tell(prepared=1).failed(20).tell(backed_off=120)
    record = seen.tell(prepared=121).answered(150, unseen=True).chunk(160).end(160)

    assert in_ms(record.phases) == {"prepare": 1, "retry": 120, "network": 39, "receive": 0}


def test_failure_ends_in_the_phase_in_which_it_happened() -> None:
    """An attempt that never connected ends in `connect`, and nothing is made up after it."""
    seen = Observed().tell(prepared=1, connecting=2)
    record = seen.failed(102, None, "ConnectTimeout").end(103, "error", "ConnectTimeout")

    assert in_ms(record.phases) == {"prepare": 1, "pool_wait": 1, "connect": 101}
    assert record.attempts[0].error_type == "ConnectTimeout"
    assert record.attempts[0].connection_reused is None
    assert record.status is None


def test_failure_before_anything_was_sent() -> None:
    """A call that fails while it is built is all `prepare`, and has no attempt."""
    record = Observed().end(3, "error", "TypeError")

    assert record.phases == Phases(prepare=3 * MS)
    assert record.attempts == ()
    assert (record.outcome, record.error_type) == ("error", "TypeError")


def test_error_status_of_the_last_attempt() -> None:
    """The attempt that answered with an error has the call's error; its status is the record's."""
    record = _sent().tell(headers=30).answered(31, 400).tell(last_byte=32).end(33, "error", "tool_use_failed")

    assert record.status == 400
    assert record.attempts[-1].error_type == "tool_use_failed"


def test_error_inside_a_stream_is_not_an_error_of_the_attempt() -> None:
    """An attempt that brought a stream has succeeded, whatever the stream says later."""
    record = _sent(stream=True).answered(31, 200).chunk(40).end(50, "error", "tool_use_failed")

    assert record.error_type == "tool_use_failed"
    assert record.attempts[-1].error_type is None


def test_dropped_stream_ends_at_the_last_moment_in_our_code() -> None:
    """Garbage collection may come late: the time after the caller last took control does not count."""
    seen = _sent(stream=True).answered(40).tell(returned=41, asked=42).chunk(60).tell(returned=61)
    end, outcome = seen.timeline.end(at(9_000), "abandoned")
    record = seen.timeline.record(None, outcome)

    assert end == at(61)
    assert record.duration_ns == 61 * MS
    assert record.outcome == "abandoned"
    assert in_ms(record.phases)["consume"] == 1


def test_stream_that_nobody_read() -> None:
    """It was returned and never read: the caller's time is not part of the request."""
    record = _sent(stream=True).answered(40).tell(returned=41).end(9_000, "abandoned")

    assert record.duration_ns == 41 * MS
    assert record.phases.consume is None


def test_close_brings_control_back() -> None:
    """The caller's last turn before `close()` is `consume`; closing is `finish`."""
    seen = _sent(stream=True).answered(40).chunk(50).tell(returned=51, closing=151)
    record = seen.end(153, "closed")

    assert in_ms(record.phases)["consume"] == 100
    assert in_ms(record.phases)["finish"] == 2
    assert record.outcome == "closed"


def test_stream_that_was_left_after_the_answer_was_complete() -> None:
    """Once every choice has its finish reason, the caller has had the whole answer."""
    for outcome in ("closed", "abandoned"):
        seen = _sent(stream=True, choice_count=2).answered(40).chunk(50)
        seen.timeline.choice_finished(1, "length")

        assert seen.end(60, outcome).outcome == outcome

        seen.timeline.choice_finished(0, "stop")
        record = seen.end(60, outcome)

        assert record.outcome == "completed"
        assert record.finish_reasons == ("stop", "length")


def test_cancelled_stays_cancelled() -> None:
    """A cancellation or an error stays one even if the answer was complete."""
    for outcome in ("cancelled", "error", "truncated"):
        seen = _sent(stream=True).answered(40).chunk(50)
        seen.timeline.choice_finished(0, "stop")

        assert seen.end(60, outcome).outcome == outcome


def test_slow_caller_is_consume() -> None:
    """The time between two turns is the caller's, however the chunks arrived."""
    seen = _sent(stream=True).answered(40).tell(returned=41)
    for i in range(10):
        seen.tell(asked=42 + 100 * i).chunk(43 + 100 * i).tell(returned=44 + 100 * i)
    record = seen.tell(asked=1_044, last_byte=1_045).end(1_046)

    assert in_ms(record.phases)["consume"] == 1 + 9 * 98 + 100
    assert record.phases.total() == record.duration_ns


def test_observation_without_a_prepared_attempt() -> None:
    """A client whose callback is not ours still has an attempt, from the first sign of it on."""
    record = Observed().tell(sending=3, sent=4).answered(20).end(21)

    assert in_ms(record.phases) == {"prepare": 3, "send": 1, "network": 17}
    assert record.attempts[0].start_ns == 3 * MS


def test_live_record_changes_nothing() -> None:
    """Reading the record of a running request, at any moment, does not change what it becomes."""
    seen, unseen = (_sent(stream=True).answered(40).tell(returned=41, asked=42) for _ in range(2))
    assert seen.live(45).phases.total() == 45 * MS
    for each in (seen, unseen):
        each.chunk(50).tell(returned=51)
    live = seen.live(80)

    assert live.outcome is None
    assert live.duration_ns == 80 * MS
    assert in_ms(live.phases)["consume"] == 1 + 29
    assert live == seen.live(80)

    for each in (seen, unseen):
        each.tell(asked=90, last_byte=95)
    assert seen.end(96) == unseen.end(96)


def test_live_record_before_the_last_moment_known() -> None:
    """If the clock lies before the last observation, the record is as of that observation."""
    assert _sent().live(2).duration_ns == 10 * MS


def test_error_body_of_a_failed_attempt_is_part_of_the_retry() -> None:
    """The SDK reads a failed attempt's body before it sleeps: that is not the end of the request."""
    seen = _sent().tell(headers=30, last_byte=32).failed(33).tell(backed_off=43)
    record = seen.tell(prepared=44, sending=45, sent=46).answered(50).tell(last_byte=51).end(51)

    assert in_ms(record.phases) == {
        "prepare": 1,
        "retry": 43,
        "pool_wait": 1,
        "send": 1,
        "network": 5,
        "finish": 0,
    }


def test_reported_times_that_fit_exactly() -> None:
    """Times that leave nothing for the network are not cut."""
    seen = _sent(stream=True).answered(40).chunk(60)
    seen.timeline.used(at(60), Usage(queue_time=0.02, prompt_time=0.03))
    record = seen.end(61)

    assert record.phases.network == 0
    assert record.phases_clamped is False


def test_only_the_last_attempt_says_what_was_unseen() -> None:
    """A first attempt without trace events does not hide the phases of the last one."""
    seen = Observed().tell(prepared=1).answered(20, 503, unseen=True).failed(21, 503)
    record = seen.tell(prepared=31, sending=32, sent=33).answered(40, unseen=True).end(41)

    assert record.phases_unseen == ()
    assert record.phases.send == 1 * MS
