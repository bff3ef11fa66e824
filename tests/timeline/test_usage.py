"""Usage: totals, what each chunk added, and nothing counted twice."""

from support.observed import MS, Observed, at

from groqscope.timeline import ModelUsage, Usage, UsageDelta


def _stream() -> Observed:
    return Observed(stream=True).tell(prepared=1, sending=2, sent=3).answered(20).chunk(30)


def test_usage_of_the_last_chunk() -> None:
    """Groq reports it once, in the last chunk: total and delta are the same."""
    seen, usage = _stream(), Usage(input_tokens=10, output_tokens=5, queue_time=0.01)
    seen.chunk(40, 0).timeline.used(at(40), usage)
    record = seen.end(41)

    assert record.usage == usage
    assert record.usage_deltas == (UsageDelta(chunk_index=1, time_ns=40 * MS, usage=usage),)
    assert record.output_tokens_estimate is None


def test_usage_twice_is_counted_once() -> None:
    """The same usage at two places of a chunk, or in two chunks, adds nothing the second time."""
    seen, usage = _stream(), Usage(input_tokens=10, output_tokens=5)
    for ms in (40, 40, 50):
        seen.timeline.used(at(ms), usage)
    record = seen.end(51)

    assert record.usage == usage
    assert len(record.usage_deltas) == 1


def test_cumulative_usage() -> None:
    """Totals may grow: each delta is what its chunk added, and the deltas add up to the total."""
    seen = _stream()
    for i, (tokens, seconds) in enumerate([(1, 0.25), (3, 0.5), (9, 1.0)]):
        seen.chunk(40 + i)
        seen.timeline.used(at(40 + i), Usage(input_tokens=10, output_tokens=tokens, completion_time=seconds))
    record = seen.end(51)

    assert record.usage == Usage(input_tokens=10, output_tokens=9, completion_time=1.0)
    assert [d.usage for d in record.usage_deltas] == [
        Usage(input_tokens=10, output_tokens=1, completion_time=0.25),
        Usage(output_tokens=2, completion_time=0.25),
        Usage(output_tokens=6, completion_time=0.5),
    ]
    assert [d.chunk_index for d in record.usage_deltas] == [1, 2, 3]


def test_a_later_usage_does_not_remove_what_is_known() -> None:
    """OpenAI-like servers send a second usage without times, in a chunk of its own."""
    seen = _stream()
    seen.timeline.used(at(40), Usage(input_tokens=10, output_tokens=5, queue_time=0.01))
    seen.chunk(41, 0).timeline.used(at(41), Usage(input_tokens=10, output_tokens=6, reasoning_tokens=0))
    record = seen.end(51)

    assert record.usage == Usage(input_tokens=10, output_tokens=6, queue_time=0.01, reasoning_tokens=0)
    assert record.usage_deltas[1].usage == Usage(output_tokens=1, reasoning_tokens=0)


def test_usage_that_never_came() -> None:
    """It stays unknown: no zeros, no deltas."""
    record = _stream().end(31, "closed")

    assert record.usage == Usage()
    assert record.usage_deltas == ()
    assert record.output_tokens_estimate == 1


def test_whole_answer_has_no_deltas() -> None:
    """Only chunks have deltas."""
    seen = Observed().tell(prepared=1, sending=2, sent=3).answered(20).tell(last_byte=21)
    seen.timeline.used(at(22), Usage(input_tokens=10))

    assert seen.end(23).usage_deltas == ()


def test_deltas_are_bounded() -> None:
    """16 deltas are kept, the others are counted, and the total is still right."""
    seen = _stream()
    for i in range(20):
        seen.timeline.used(at(40 + i), Usage(output_tokens=i))
    record = seen.end(99)

    assert (len(record.usage_deltas), record.usage_deltas_dropped) == (16, 4)
    assert record.usage.output_tokens == 19


def test_models_of_a_compound_system() -> None:
    """The breakdown by model is kept if a later usage comes without it."""
    seen, models = _stream(), (ModelUsage(model="a", input_tokens=1, output_tokens=2),)
    seen.timeline.used(at(40), Usage(input_tokens=1), models)
    seen.timeline.used(at(41), Usage(input_tokens=2))

    assert seen.end(42).usage_models == models
