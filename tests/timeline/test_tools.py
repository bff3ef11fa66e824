"""Tool calls from fragments: whole, parallel, interleaved, without ids, too many, too long."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.observed import MS, Observed, at

from groqscope.timeline import RequestRecord, ToolCall


def _stream() -> Observed:
    return Observed(stream=True).tell(prepared=1, sending=2, sent=3).answered(20).tell(returned=21, asked=22)


def test_call_that_comes_whole() -> None:
    """Groq sends a call in one chunk after a silence: the silence is the time of assembly."""
    seen = _stream().chunk(30).tell(returned=31, asked=40)
    record = seen.tool(70, 0, '{"city": "Oslo"}', id="call_1", name="get_weather").end(71)

    assert record.tool_calls == (
        ToolCall(
            index=0,
            id="call_1",
            name="get_weather",
            deltas=1,
            arguments_size=16,
            arguments_valid=True,
            arguments_hash=record.tool_calls[0].arguments_hash,
            first_delta_ns=70 * MS,
            delta_ns=0,
            assembly_ns=40 * MS,
        ),
    )


def test_hashes_of_arguments() -> None:
    """Equal arguments have equal hashes, however they are formatted; different ones have different hashes."""
    texts = ['{"a": 1, "b": 2}', '{"b":2,"a":1}', '{"a": 1, "b": 3}', "no JSON", "no JSON", ""]
    seen = _stream()
    for index, text in enumerate(texts):
        seen = seen.tool(30 + index, index, text, id=f"call_{index}", name="f")
    hashes = [str(call.arguments_hash) for call in seen.end(40).tool_calls]

    assert hashes[0] == hashes[1]
    assert hashes[3] == hashes[4]
    assert len(set(hashes)) == 4
    assert all(len(h) == 16 and int(h, 16) >= 0 for h in hashes)


def test_hash_is_salted_by_the_process() -> None:
    """Another process has another hash for the same arguments, so that none can be looked up."""
    code = (
        "from groqscope.timeline.tools import ToolAssembly as A\n"
        "a = A(); a.add(0, 0, 'c', 'f', '{}', start=None, came=None); print(a.calls(0)[0].arguments_hash)"
    )
    first, second = (subprocess.check_output([sys.executable, "-c", code], text=True) for _ in range(2))

    assert first != second


def test_call_in_fragments() -> None:
    """Assembly lasts until the last fragment; name and id come with the first."""
    seen = _stream().chunk(30).tell(returned=31, asked=40).tool(50, 0, '{"city"', id="call_1", name="get_weather")
    call = seen.tell(returned=51, asked=52).tool(60, 0, ': "Tromsø"}').end(61).tool_calls[0]

    assert (call.deltas, call.arguments_size, call.arguments_valid) == (2, 19, True)
    assert (call.first_delta_ns, call.delta_ns, call.assembly_ns) == (50 * MS, 10 * MS, 30 * MS)


def test_call_in_the_first_chunk() -> None:
    """If nothing came before it, assembly begins when the request was sent."""
    call = _stream().tool(70, 0, "{}").end(71).tool_calls[0]

    assert call.assembly_ns == 67 * MS


def test_calls_of_one_chunk_share_their_start() -> None:
    """Two calls in one chunk arrived together."""
    seen = _stream().chunk(30).tell(returned=31, asked=40).tool(70, 0, "{}")
    seen.timeline.tool_delta(at(70), 0, 1, "b", "g", "{}")

    assert [c.assembly_ns for c in seen.end(71).tool_calls] == [40 * MS, 40 * MS]


def test_call_in_the_same_read_as_the_chunk_before() -> None:
    """It arrived together with that chunk."""
    seen = _stream().chunk(30).tell(returned=31, asked=40).tool(30, 0, "{}")

    assert seen.end(41).tool_calls[0].assembly_ns == 0


def test_a_call_that_arrived_while_the_caller_worked_has_no_length() -> None:
    """It may have been waiting for any part of the caller's 38 ms: its assembly time is unknown, not 1 ms."""
    seen = _stream().chunk(30).tell(returned=31, asked=69)

    assert seen.tool(70, 0, "{}").end(71).tool_calls[0].assembly_ns is None


def test_a_tool_run_by_groq_that_ended_while_the_caller_worked_has_no_length() -> None:
    """The same holds for a tool that Groq ran."""
    seen = _stream().chunk(30)
    seen.timeline.tool_executed(at(30), 0, "search", has_output=False)
    seen.tell(returned=31, asked=69).chunk(70)
    seen.timeline.tool_executed(at(70), 0, "search", has_output=True)
    (tool,) = seen.end(71).executed_tools

    assert (tool.start_ns, tool.duration_ns) == (30 * MS, None)


def test_calls_of_a_whole_answer_have_no_times() -> None:
    """They have a size, but no moments."""
    seen = Observed().tell(prepared=1, sending=2, sent=3).answered(20).tell(last_byte=21)
    seen.timeline.tool_delta(None, 0, 0, "call_1", "f", "{}")
    call = seen.end(22).tool_calls[0]

    assert (call.first_delta_ns, call.delta_ns, call.assembly_ns) == (None, None, None)
    assert (call.deltas, call.arguments_size) == (1, 2)


_calls = st.dictionaries(
    st.tuples(st.integers(0, 2), st.integers(0, 5)),
    st.tuples(st.text(max_size=40), st.lists(st.integers(0, 40), max_size=4)),
    min_size=1,
    max_size=6,
)


def _fragments(arguments: str, cuts: list[int]) -> list[str]:
    bounds = [0, *sorted(c for c in cuts if c < len(arguments)), len(arguments)]
    return [arguments[a:b] for a, b in pairwise(bounds)]


def _assembled(order: list[tuple[tuple[int, int], int, str]]) -> dict[tuple[int, int], ToolCall]:
    seen = Observed(stream=True)
    for (choice, index), nth, text in order:
        opening = {"id": f"{choice}/{index}", "name": f"f{index}"} if nth == 0 else {}
        seen.tool(10, index, text, choice=choice, **opening)
    # Which fragment the read brought first decides whose wait it was.
    return {(c.choice, c.index): replace(c, assembly_ns=None) for c in seen.end(10).tool_calls}


@given(calls=_calls, data=st.data())
def test_any_interleaving_gives_the_same_calls(calls: dict[tuple[int, int], Any], data: st.DataObject) -> None:
    """The fragments of parallel calls may be mixed in any way that keeps each call's own in order."""
    queues = {
        key: [(key, i, text) for i, text in enumerate(_fragments(arguments, cuts))]
        for key, (arguments, cuts) in calls.items()
    }
    one_by_one = [fragment for queue in queues.values() for fragment in queue]
    order = data.draw(st.permutations([key for key, *_ in one_by_one]))
    mixed = [queues[key].pop(0) for key in order]

    found = _assembled(mixed)

    assert found == _assembled(one_by_one)
    for key, (arguments, _) in calls.items():
        assert found[key].arguments_size == len(arguments.encode())
        assert found[key].arguments_valid == _valid(arguments)
        assert (found[key].id, found[key].name) == (f"{key[0]}/{key[1]}", f"f{key[1]}")


def _valid(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("arguments", ['{"city":', "", "{'a': 1}", "[" * 5_000], ids=["cut", "empty", "quotes", "deep"])
def test_arguments_that_are_not_json(arguments: str) -> None:
    """A call that was cut off, or whose arguments no parser accepts, is kept, and marked as invalid."""
    assert _stream().tool(30, 0, arguments).end(31).tool_calls[0].arguments_valid is False


def test_fragments_without_index_follow_their_id() -> None:
    """Without an index, calls are told apart by id; a new id opens a new call."""
    seen = _stream().tool(30, None, "[1", id="a", name="f").tool(31, None, "[2", id="b", name="g")
    record = seen.tool(32, None, ", 3]", id="a").tool(33, None, "]", id="b").end(34)

    assert [(c.index, c.id, c.name, c.deltas, c.arguments_valid) for c in record.tool_calls] == [
        (0, "a", "f", 2, True),
        (1, "b", "g", 2, True),
    ]


def test_fragments_without_index_and_id_belong_to_the_last_call() -> None:
    """They belong to the call that came last in their choice, or open a first one."""
    seen = _stream().tool(30, None, "[1").tool(31, None, "]").tool(32, None, "[", id="b").tool(33, None, "]")
    record = seen.tool(34, None, "[]", choice=1).end(35)

    assert [(c.choice, c.index, c.id, c.deltas) for c in record.tool_calls] == [
        (0, 0, None, 2),
        (0, 1, "b", 2),
        (1, 0, None, 1),
    ]
    assert all(c.arguments_valid for c in record.tool_calls)


def test_call_without_id() -> None:
    """An id that never came stays absent; one that came late is taken."""
    record = _stream().tool(30, 0, "{").tool(31, 1, "{}").tool(32, 0, "}", id="late", name="f").end(33)

    assert [(c.id, c.name, c.arguments_valid) for c in record.tool_calls] == [("late", "f", True), (None, None, True)]


def test_more_calls_than_the_limit() -> None:
    """32 calls are kept; the rest are counted, as calls and not as fragments."""
    seen = _stream()
    for nth in range(3):
        for index in range(40):
            seen.tool(30 + nth, index, "1", id=f"call_{index}" if nth == 0 else None)
    record = seen.end(40)

    assert [c.index for c in record.tool_calls] == list(range(32))
    assert all((c.deltas, c.arguments_size) == (3, 3) for c in record.tool_calls)
    assert record.tool_calls_dropped == 8


def test_arguments_longer_than_the_limit() -> None:
    """Above 16 KiB the size is still counted, but validity is unknown; other calls are not affected."""
    seen = _stream()
    for _ in range(17):
        seen.tool(30, 0, "1" * 1_024)
    seen.tool(31, 1, '"' + "é" * 100 + '"')
    long, short = seen.end(40).tool_calls

    assert (long.arguments_size, long.arguments_valid) == (17 * 1_024, None)
    assert (short.arguments_size, short.arguments_valid) == (202, True)


def test_arguments_of_all_calls_are_bounded() -> None:
    """All calls together keep at most 32 KiB of arguments; what an overlong call kept is released."""
    seen = _stream()
    for index in range(3):
        seen.tool(30, index, '"' + "x" * 16_000 + '"')
    seen.tool(31, 0, "x" * 1_000)
    seen.tool(32, 3, '"' + "y" * 8_000 + '"')

    assert [c.arguments_valid for c in seen.end(40).tool_calls] == [None, True, None, True]


def test_tools_that_groq_ran() -> None:
    """A tool is announced first, and again with its output; one that comes at once or never ends has no length."""
    seen = _stream()
    for ms, index, done in ((30, 0, False), (35, 1, False), (60, 0, True), (61, 0, True), (62, 2, True)):
        seen.chunk(ms)
        seen.timeline.tool_executed(at(ms), index, "search", has_output=done)
    record = seen.end(70)

    assert [(t.index, t.start_ns, t.duration_ns) for t in record.executed_tools] == [
        (0, 30 * MS, 30 * MS),
        (1, 35 * MS, None),
        (2, None, None),
    ]


def test_output_tokens_are_estimated_only_without_tools_and_usage() -> None:
    """In recorded traffic content and reasoning chunks are one token each, but tool calls come whole."""

    def estimate(seen: Observed) -> RequestRecord:
        return seen.chunk(30).chunk(31).chunk(32, 0).end(33, "closed")

    assert estimate(_stream()).output_tokens_estimate == 2
    assert estimate(_stream().tool(29, 0, "{}")).output_tokens_estimate is None
    assert replace(estimate(_stream()), output_tokens_estimate=None).usage.output_tokens is None
