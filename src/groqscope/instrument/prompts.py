"""What this process remembers of its prompts, so that what Groq's prompt cache did not hold has a reason.

Groq caches the exact beginning of a prompt (<https://console.groq.com/docs/prompt-caching>). Of each request to a model
that caches, salted hashes are kept here, chained from the beginning: of what a prompt begins with (`tool_choice`,
`response_format`, `reasoning_effort`, `tools`) and of each message. When an answer says that fewer tokens were cached
than earlier requests should have left, the first difference from them is the reason. Hashes stay in the process, and
texts are not kept; only labels, numbers of tokens and times leave it.

The tokens of a part are estimated: Groq counted those of the whole prompt, and a part's share of its bytes is its
share of them.

Nothing here takes a lock: a stream may be ended by the garbage collector in the middle of any of these lines. Each step
on shared data is one operation of a dictionary or a deque.
"""

import os
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from pydantic_core import to_json

from groqscope.timeline import CACHING_MODELS, Usage

VARIABLE: Final = "GROQSCOPE_CACHE_DOCTOR"
_OFF: Final = frozenset({"0", "false", "no", "off"})

LIFETIME_NS: Final = 7200 * 10**9
"""An entry is forgotten after two hours without use, as Groq says."""
BLOCK: Final = 128
"""Tokens that are cached together: every number of cached tokens that Groq shows is a multiple of it."""
_MINIMUM: Final = 1024
"""Groq caches from 128 to 1,024 tokens on, depending on the model; it does not say which. For a model that has cached
fewer, that is the minimum."""
_SEEN_CACHED: Final = {"openai/gpt-oss-120b": 256}
"""Fewest cached tokens in recorded answers."""
_SETTINGS: Final = ("tool_choice", "response_format", "reasoning_effort")
"""What a prompt begins with. Groq says that a changed `tool_choice` or output schema changes the prefix; and the models
whose prompts it caches find the reasoning effort in their system message."""
_ORDER: Final = (*_SETTINGS, "tools")
_SYSTEM: Final = ("system", "developer")

_WINDOW: Final = 64
_FIRST_EDGE: Final = 512
"""Bytes of about one block. Within a part that changed, 64 bytes are compared that end this far from its beginning and
from its end, then twice as far, and so on: so much of it stayed the same."""

_MAX_PREFIXES: Final = 2048
_MAX_RECENT: Final = 8
_MAX_MODELS: Final = 32
_MAX_ACCOUNTS: Final = 16
_MAX_MESSAGES: Final = 1000
_NOTABLE: Final = 0.25
"""A miss is worth naming if at least this share of what could have been cached was not."""

_NEVER: Final = 2**63
_salt = os.urandom(16)


_Piece = tuple[int, int]
"""Of a message, a tool or a setting: a salted hash and the size in bytes."""
_Edges = tuple[tuple[int, ...], tuple[int, ...]]
"""Hashes of what is compared of a message that changed, from its beginning and from its end."""


class Miss(NamedTuple):
    """Why a prompt, or much of it, was not cached."""

    reason: str
    """The first part that changed (`tools`, `system`, `message[2]`), `model`, `expired`, `provider` or `too short`."""
    tokens: int | None
    """Tokens that would have been cached, estimated; `None` where none would have been."""
    last_used_ns: int | None = None
    """How long before this request what expired was last used."""


class Prompt(NamedTuple):
    """The hashes of one prompt."""

    labels: list[str]
    parts: list[list[_Piece]]
    """The pieces of each part: the tools of `tools`, and one of every other."""
    edges: dict[int, _Edges]
    """Of the larger messages, by part."""
    chain: list[int]
    """After each part, the hash of everything up to it."""
    ends: list[int]
    """After each part, the bytes up to it."""
    settings: int
    """How many parts come before tools and messages."""


def wanted(given: bool | None) -> bool:  # noqa: FBT001 - as `instrument` got it
    """Return whether reasons are looked for: as given, else as the environment says, else they are."""
    return os.environ.get(VARIABLE, "").strip().lower() not in _OFF if given is None else given


def read(body: Mapping[str, Any]) -> Prompt | None:
    """Return the hashes of a request's prompt; `None` where it has no messages, too many, or what JSON cannot hold."""
    messages = body.get("messages")
    if not isinstance(messages, list | tuple) or len(messages) > _MAX_MESSAGES:
        return None
    labels, parts, edges, chain, ends, _ = prompt = Prompt(
        [], [], {}, [], [], sum(body.get(name) is not None for name in _SETTINGS)
    )
    try:
        _read_beginning(body, labels, parts)
        for index, message in enumerate(messages):
            data = to_json(message)
            if len(data) >= _FIRST_EDGE:
                edges[len(parts)] = _edges(data)
            labels.append(f"message[{index}]")
            parts.append([_piece(data)])
    except (TypeError, ValueError, RecursionError):
        return None  # it could not be sent either
    if messages and isinstance(messages[0], Mapping) and messages[0].get("role") in _SYSTEM:
        labels[-len(messages)] = "system"
    link = end = 0
    for part in parts:
        for piece, size in part:
            link = hash((link, piece))
            end += size
        chain.append(link)
        ends.append(end)
    return prompt


def _read_beginning(body: Mapping[str, Any], labels: list[str], parts: list[list[_Piece]]) -> None:
    for name in _SETTINGS:
        if body.get(name) is not None:
            labels.append(name)
            parts.append([_piece(name.encode() + to_json(body[name]))])
    tools = body.get("tools")
    if isinstance(tools, list | tuple) and tools:
        labels.append("tools")
        parts.append([_piece(to_json(tool)) for tool in tools])


def _piece(data: bytes) -> _Piece:
    return hash(_salt + data), len(data)


def _edges(data: bytes) -> _Edges:
    head: list[int] = []
    tail: list[int] = []
    size, edge = len(data), _FIRST_EDGE
    while edge <= size:
        head.append(hash(_salt + data[edge - _WINDOW : edge]))
        tail.append(hash(_salt + data[size - edge : size - edge + _WINDOW]))
        edge *= 2
    return tuple(head), tuple(tail)


_Seen = tuple[int, int]
"""When a prefix was used first and last, in Unix nanoseconds."""


class Memory:
    """What this process asked of Groq, by account: one's prompts are not cached for another."""

    def __init__(self) -> None:
        self._fewest: dict[str, int] = {}
        """The fewest tokens that each model was seen to cache, of the models that were seen to cache at all."""
        self._accounts: dict[object, _Account] = {}

    def caches(self, model: str | None) -> bool:
        """Return whether a model is known to cache prompts."""
        return model in CACHING_MODELS or model in self._fewest

    def add(
        self, prompt: Prompt | None, usage: Usage | None, *, account: object, model: str, began: int, ended: int
    ) -> Miss | None:
        """Remember a prompt that Groq has processed; return why so little of it was cached, where that is known.

        Args:
            prompt: its hashes, if they were read.
            usage: what the answer said; `None` if it said nothing, so that nothing can be missed.
            account: what tells one account's requests from another's.
            model: the model that was asked.
            began: when the request was issued, Unix nanoseconds; one that still ran then is not expected to help.
            ended: when it ended.
        """
        miss = None
        if prompt is not None:
            known = self._accounts.setdefault(account, _Account())
            _bound(self._accounts, _MAX_ACCOUNTS)
            miss = None if usage is None else known.judge(prompt, model, usage, began, self._least(model))
            known.add(prompt, model, began, ended)
        if usage is not None and usage.cached_tokens is not None:
            self._fewest[model] = max(BLOCK, min(self._least(model), usage.cached_tokens or _MINIMUM))
            _bound(self._fewest, _MAX_MODELS)
        return miss

    def _least(self, model: str) -> int:
        return self._fewest.get(model) or _SEEN_CACHED.get(model, _MINIMUM)


class _Account:
    """The prompts of one account."""

    def __init__(self) -> None:
        self._prefixes: dict[str, dict[int, _Seen]] = {}
        """When each prefix was used, by model and its hash; the one used longest ago first."""
        self._recent: dict[str, deque[tuple[Prompt, int]]] = {}
        """The last prompts by model, and when each request ended."""

    def add(self, prompt: Prompt, model: str, began: int, ended: int) -> None:
        """Remember a prompt."""
        known = self._prefixes.setdefault(model, {})
        _bound(self._prefixes, _MAX_MODELS)
        for link in prompt.chain:
            seen = known.pop(link, None)
            known[link] = (ended if seen is None or began - seen[1] > LIFETIME_NS else seen[0]), ended
        _bound(known, _MAX_PREFIXES)
        recent = self._recent.setdefault(model, deque(maxlen=_MAX_RECENT))
        _bound(self._recent, _MAX_MODELS)
        recent.append((prompt, ended))

    def judge(self, prompt: Prompt, model: str, usage: Usage, began: int, least: int) -> Miss | None:
        """Return why so little of a prompt was cached; `None` where enough was, or no more could be expected."""
        whole, tokens = prompt.ends[-1] if prompt.ends else 0, usage.input_tokens
        cached = usage.cached_tokens or 0
        if not whole or not tokens or cached >= (1 - _NOTABLE) * tokens:
            return None
        expected = _Expected(tokens / whole, cached, least)
        same, _ = self._longest(prompt, began, model)
        if expected.too_short(whole):
            return Miss("too short", None) if not cached and (same or self._changed(prompt, model, began)[1]) else None
        missed = expected.missed(same)
        if missed is not None and cached < missed:
            return Miss("provider", missed)
        label, alike = self._changed(prompt, model, began)
        candidates: list[tuple[str, int, int | None]] = [(label, alike, None)]
        if not cached:
            old, last = self._longest(prompt, began, model, expired=True)
            candidates.append(("expired", old, began - last))
            candidates.append(("model", self._longest(prompt, began, *self._prefixes)[0], None))
        for reason, size, last_used_ns in candidates:
            missed = expected.missed(size)
            if missed is not None:
                return Miss(reason, missed, last_used_ns)
        return Miss("too short", None) if not cached and (same or alike) else None

    def _longest(self, prompt: Prompt, began: int, *models: str, expired: bool = False) -> tuple[int, int]:
        """Return the bytes of the longest prefix that an earlier request had too, and when one last had it.

        `models`: that asked one of these; `expired`: also where that is longer ago than Groq remembers.
        """
        for index in range(len(prompt.chain) - 1, prompt.settings - 1, -1):
            for model in models:
                first, last = self._prefixes.get(model, {}).get(prompt.chain[index], (_NEVER, 0))
                if first <= began and (expired or began - last <= LIFETIME_NS):
                    return prompt.ends[index], last
        return 0, 0

    def _changed(self, prompt: Prompt, model: str, began: int) -> tuple[str, int]:
        """Return the first part in which a prompt differs from the recent one most like it, and how much is the same.

        That is, in bytes: what is before that part, and what of it and behind it is in both.
        """
        label, most = "", 0
        for other, ended in reversed(tuple(self._recent.get(model, ()))):
            index = _first_difference(prompt, other)
            if index is None or not 0 <= began - ended <= LIFETIME_NS:
                continue
            theirs = {piece for part in other.parts[index:] for piece in part}
            size = prompt.ends[index - 1] if index else 0
            size += sum(piece[1] for part in prompt.parts[index:] for piece in part if piece in theirs)
            size += _kept(prompt, other, index)
            if size > most:
                label, most = min(prompt.labels[index], other.labels[index], key=_order), size
        return label, most


class _Expected(NamedTuple):
    """What could have been cached of a prompt."""

    tokens_a_byte: float
    cached: int
    least: int

    def blocks(self, size: int) -> int:
        """Return the tokens of `size` bytes that could be cached: whole blocks."""
        return int(size * self.tokens_a_byte) // BLOCK * BLOCK

    def too_short(self, size: int) -> bool:
        """Return whether a prompt of `size` bytes is too short for anything of it to be cached."""
        return self.blocks(size) <= self.least

    def missed(self, size: int) -> int | None:
        """Return the tokens of `size` bytes that were not cached, and would have been; `None` where hardly any."""
        whole = self.blocks(size)
        missed = whole - self.cached
        return missed if whole > self.least and missed >= max(BLOCK, _NOTABLE * whole) else None


def _first_difference(one: Prompt, other: Prompt) -> int | None:
    """Return the first part in which two prompts differ; `None` where one is the beginning of the other."""
    for index, (mine, theirs) in enumerate(zip(one.chain, other.chain, strict=False)):
        if mine != theirs:
            return index
    return None


def _kept(prompt: Prompt, other: Prompt, index: int) -> int:
    """Return about how many bytes of a message that changed stayed the same, at its beginning and at its end."""
    mine, theirs = prompt.edges.get(index), other.edges.get(index)
    if mine is None or theirs is None:
        return 0
    kept = 0
    for ours, others in zip(mine, theirs, strict=True):
        same = (place for place, pair in enumerate(zip(ours, others, strict=False)) if pair[0] == pair[1])
        kept += sum(_FIRST_EDGE << place for place in [max(same, default=None)] if place is not None)
    return min(kept, prompt.parts[index][0][1], other.parts[index][0][1])


def _order(label: str) -> int:
    """Return where a part stands: of two different ones in the same place, one prompt lacks the earlier."""
    return _ORDER.index(label) if label in _ORDER else len(_ORDER)


def _bound(known: dict[Any, Any], limit: int) -> None:
    while len(known) > limit:
        # Another thread may change it between any two of these steps.
        with suppress(KeyError, RuntimeError, StopIteration):
            del known[next(iter(known))]


memory = Memory()
"""What this process remembers."""
