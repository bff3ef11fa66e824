"""The events of a scripted stream: which chunks an answer consists of, and in which order."""

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from groqscope.simulator.encoding import tool_call_id
from groqscope.simulator.script import Answer, Chunk, Raw, ToolCall, ToolDelta


def split_words(text: str | Sequence[str]) -> list[str]:
    """Split text before each word, as tokens are; return a sequence as it is."""
    return re.findall(r"\s*\S+|\s+$", text) if isinstance(text, str) else list(text)


def chunks_of(answer: Answer, choices: int) -> list[Chunk | Raw]:
    """Return an answer's events before `[DONE]`, without its `inserts`."""
    if answer.chunks is not None:
        return list(answer.chunks)
    rows = [list(_chunks_of_choice(answer, choice)) for choice in range(choices)]
    # all rows have the same length: the choices take turns
    return [chunk for column in zip(*rows, strict=True) for chunk in column]


def _chunks_of_choice(answer: Answer, choice: int) -> Iterator[Chunk]:
    yield Chunk("", role="assistant", choice=choice)
    for text in split_words(answer.reasoning):
        yield Chunk(reasoning=text, choice=choice)
    if answer.executed_tools:
        yield Chunk(executed_tools=answer.executed_tools, choice=choice)
    for text in split_words(answer.content):
        yield Chunk(text, choice=choice)
    for deltas in _tool_deltas(answer):
        yield Chunk(tool_calls=deltas, choice=choice)
    yield Chunk(choice=choice, finish_reason=finish_reason(answer))


def finish_reason(answer: Answer) -> str:
    """Return the finish reason of an answer."""
    return answer.finish_reason or ("tool_calls" if answer.tool_calls else "stop")


def _tool_deltas(answer: Answer) -> Iterator[list[ToolDelta]]:
    calls = [list(_fragments(index, call)) for index, call in enumerate(answer.tool_calls)]
    if answer.tools_come == "in turn":
        yield from ([delta] for call in calls for delta in call)
        return
    ranks = [[delta for delta in rank if delta is not None] for rank in zip_longest(*calls)]
    if answer.tools_come == "together":
        yield from ranks
    else:
        yield from ([delta] for rank in ranks for delta in rank)


def _fragments(index: int, call: ToolCall) -> Iterator[ToolDelta]:
    first, *rest = call.fragments or ("",)
    yield ToolDelta(index, id=tool_call_id() if call.id is None else call.id, name=call.name, arguments=first)
    for fragment in rest:
        yield ToolDelta(index, arguments=fragment)
