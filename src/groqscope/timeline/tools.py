"""Assembles tool calls from fragments, in bounded memory.

A fragment belongs to the call with its (choice, index). Without an index, it belongs to the call with its id; a new id
begins a new call, and a fragment without an id continues the last one. Groq sends each call in one chunk; fragments,
parallel and interleaved calls are supported too.
"""

import json
import secrets
from hashlib import blake2b

from groqscope.timeline.record import ExecutedTool, ToolCall

Arrival = tuple[int, int]
"""The time of a read, and how much earlier its bytes may have arrived."""
_KNOWN_WITHIN = 10


def known_between(first: Arrival, last: Arrival) -> int | None:
    """Return the time between two arrivals, if its error is at most a tenth."""
    length = last[0] - first[0]
    return length if (first[1] + last[1]) * _KNOWN_WITHIN <= length else None


MAX_CALLS = 32
"""Limit of calls that are kept; more are only counted."""
MAX_EXECUTED = 16
MAX_ARGUMENTS = 16_384
"""Limit of characters of arguments that are kept per call, to check whether they are JSON."""
MAX_ARGUMENTS_TOTAL = 32_768
MAX_COUNTED = 1_024
"""Limit of further calls that are distinguished, so that each counts once however many fragments it has."""


_SALT = secrets.token_bytes(16)
"""Without a salt, hashes of common arguments could be looked up."""


class _Call:
    __slots__ = ("args", "choice", "deltas", "first", "id", "index", "last", "name", "size", "start")

    def __init__(self, choice: int, index: int, start: Arrival | None, came: Arrival | None) -> None:
        self.choice = choice
        self.index = index
        self.id: str | None = None
        self.name: str | None = None
        self.deltas = 0
        self.size = 0
        self.args: list[str] | None = []
        self.start = start
        self.first = self.last = came


class _Executed:
    __slots__ = ("announced", "output", "type")

    def __init__(self, type_: str, announced: Arrival | None) -> None:
        self.type = type_
        self.announced = announced
        self.output: Arrival | None = None


class ToolAssembly:
    """The tool calls of one request."""

    __slots__ = ("_beyond", "_calls", "_executed", "_kept", "_order")

    def __init__(self) -> None:
        self._calls: dict[tuple[int, int], _Call] = {}
        self._order: list[_Call] = []
        self._executed: dict[int, _Executed] = {}
        self._kept = 0
        self._beyond: set[tuple[int, int | str | None]] = set()

    def add(
        self,
        choice: int,
        index: int | None,
        call_id: str | None,
        name: str | None,
        arguments: str | None,
        *,
        start: Arrival | None,
        came: Arrival | None,
    ) -> None:
        """Add one fragment, which arrived at `came`, after `start`; both are `None` when not streamed."""
        call = self._find(choice, index, call_id, start, came)
        if call is None:
            if len(self._beyond) < MAX_COUNTED:
                self._beyond.add((choice, call_id if index is None else index))
            return
        call.deltas += 1
        call.last = came
        if call_id and call.id is None:
            call.id = call_id
        if name and call.name is None:
            call.name = name
        if arguments:
            call.size += len(arguments) if arguments.isascii() else len(arguments.encode("utf-8", "surrogatepass"))
            if call.args is not None:
                if call.size > MAX_ARGUMENTS or self._kept + len(arguments) > MAX_ARGUMENTS_TOTAL:
                    self._kept -= sum(map(len, call.args))
                    call.args = None
                else:
                    self._kept += len(arguments)
                    call.args.append(arguments)

    def _find(
        self, choice: int, index: int | None, call_id: str | None, start: Arrival | None, came: Arrival | None
    ) -> _Call | None:
        if index is None:
            known = next((c for c in self._order if c.choice == choice and c.id == call_id), None) if call_id else None
            if known is None and not call_id:
                known = next((c for c in reversed(self._order) if c.choice == choice), None)
            if known is not None:
                return known
            index = 1 + max((c.index for c in self._order if c.choice == choice), default=-1)
        call = self._calls.get((choice, index))
        if call is None:
            if len(self._order) >= MAX_CALLS:
                return None
            call = self._calls[choice, index] = _Call(choice, index, start, came)
            self._order.append(call)
        return call

    def executed(self, index: int, type_: str, came: Arrival | None, *, has_output: bool) -> None:
        """Note a tool that Groq runs: once when it is announced, once with its output."""
        known = self._executed.get(index)
        if known is None:
            if len(self._executed) < MAX_EXECUTED:
                # Announced together with its output: its duration is not known.
                self._executed[index] = _Executed(type_, None if has_output else came)
        elif has_output and known.output is None:
            known.output = came

    def calls(self, start_ns: int) -> tuple[ToolCall, ...]:
        """Return the calls so far, in the order in which they began; `start_ns` is the issue of the request."""
        return tuple(_frozen(call, start_ns) for call in self._order)

    def executed_tools(self, start_ns: int) -> tuple[ExecutedTool, ...]:
        """Return the tools that Groq ran."""
        tools: list[ExecutedTool] = []
        for index, tool in sorted(self._executed.items()):
            began, output = tool.announced, tool.output
            begin_ns = None if began is None else known_between((start_ns, 0), began)
            length = None if began is None or output is None else known_between(began, output)
            tools.append(ExecutedTool(index=index, type=tool.type, start_ns=begin_ns, duration_ns=length))
        return tuple(tools)

    @property
    def dropped(self) -> int:
        """The number of calls beyond those kept."""
        return len(self._beyond)

    @property
    def anything(self) -> bool:
        """Whether there was a tool call."""
        return bool(self._order)


def _frozen(call: _Call, start_ns: int) -> ToolCall:
    first, last, start = call.first, call.last, call.start
    valid, hashed = (None, None) if call.args is None else _examine("".join(call.args))
    return ToolCall(
        index=call.index,
        choice=call.choice,
        id=call.id,
        name=call.name,
        deltas=call.deltas,
        arguments_size=call.size,
        arguments_valid=valid,
        arguments_hash=hashed,
        first_delta_ns=None if first is None else first[0] - start_ns,
        delta_ns=None if first is None or last is None else last[0] - first[0],
        assembly_ns=None if start is None or last is None else known_between(start, last),
    )


def _examine(text: str) -> tuple[bool, str]:
    """Return whether a text is JSON, and a hash: of its value if it is JSON, else of the text."""
    try:
        text = json.dumps(json.loads(text), sort_keys=True)
        valid = True
    except (ValueError, RecursionError):
        valid = False
    return valid, blake2b(text.encode("utf-8", "surrogatepass"), key=_SALT, digest_size=8).hexdigest()
