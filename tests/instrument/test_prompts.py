"""Why nothing was cached: every cause that the simulator can have is named, and none where nothing changed."""

import asyncio
import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.canaries import CANARY
from support.scope import Exported, http_client

import groqscope
from groqscope.instrument import prompts, recorder
from groqscope.instrument.prompts import BLOCK, LIFETIME_NS, Memory, Miss, read
from groqscope.simulator import Answer, PromptCache, Simulator
from groqscope.timeline import RequestRecord, Usage

MODEL = "openai/gpt-oss-120b"
HOUR_NS = 3_600 * 10**9


def tool(name: str) -> dict[str, Any]:
    """A tool of 130 tokens."""
    description = f"The tool {name}: " + "what it does and when to call it. " * 12
    return {"type": "function", "function": {"name": name, "description": description, "parameters": {}}}


TOOLS = [tool(name) for name in ("search", "read", "write", "list", "ask")]
SYSTEM = "You are an agent of a shop. " + "Answer in one sentence, and never guess what a tool can tell. " * 40
HISTORY = [
    {"role": "system", "content": SYSTEM},
    {"role": "user", "content": "What do we have in stock? " * 20},
    {"role": "assistant", "content": "All that you asked for is there. " * 20},
    {"role": "user", "content": "And what is on its way? " * 20},
]
BODY: dict[str, Any] = {"model": MODEL, "tools": TOOLS, "messages": HISTORY, "tool_choice": "auto"}


def messages(*changes: tuple[int, str]) -> list[dict[str, Any]]:
    """The conversation with the contents of some messages replaced."""
    changed = copy.deepcopy(HISTORY)
    for index, content in changes:
        changed[index]["content"] = content
    return changed


def plain(system: str, question: str, **more: Any) -> dict[str, Any]:
    """A request without tools."""
    asked = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    return {"model": MODEL, "messages": asked, **more}


@dataclass
class Shop:
    """A client whose requests are observed, the simulator it asks, and a clock for both."""

    client: Any
    sim: Simulator
    cache: PromptCache
    exported: Exported
    now: int = field(default_factory=time.time_ns)

    def ask(self, **body: Any) -> RequestRecord:
        """Ask, and return the record."""
        record = groqscope.record_of(self.client.chat.completions.create(**body))
        assert record is not None
        return record

    @property
    def cached(self) -> int | None:
        """What the simulator had cached of the last request."""
        return self.sim.settle()[-1].cached_tokens


@pytest.fixture(scope="module")
def caching() -> Iterator[tuple[Simulator, PromptCache]]:
    """A simulator that caches prompts."""
    cache = PromptCache()
    with Simulator(Answer("Yes."), prompt_cache=cache) as sim:
        yield sim, cache


@pytest.fixture
def shop(caching: tuple[Simulator, PromptCache], exported: Exported, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A shop with nothing cached."""
    sim, cache = caching
    cache.clear()
    with exported.client("sync", sim.base_url) as client:
        made = Shop(client, sim, cache, exported)

        def tick() -> int:
            made.now += 1_000_000
            return made.now

        cache.clock = lambda: made.now / 1e9
        monkeypatch.setattr(recorder, "time", SimpleNamespace(time_ns=tick, time=time.time))
        yield made


CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "tools in another order": (BODY, {**BODY, "tools": TOOLS[::-1]}, "tools"),
    "a tool more": (BODY, {**BODY, "tools": [tool("new"), *TOOLS]}, "tools"),
    "a tool's description": (BODY, {**BODY, "tools": [tool("sea"), *TOOLS[1:]]}, "tools"),
    "without its tools": ({**BODY, "tool_choice": None}, {**BODY, "tools": [], "tool_choice": None}, "tools"),
    "a timestamp in the system prompt": (
        plain("It is 12:00:01. " + SYSTEM, "What is in stock?"),
        plain("It is 12:00:07. " + SYSTEM, "Where is my order?"),
        "system",
    ),
    "an ID of another length": (
        plain("Request 9 of us. " + SYSTEM, "What is in stock?"),
        plain("Request 10 of us. " + SYSTEM, "Where is my order?"),
        "system",
    ),
    "a system prompt before a long history": (
        {"model": MODEL, "messages": messages((0, "It is 12:00:01."))},
        {"model": MODEL, "messages": messages((0, "It is 12:00:07."))},
        "system",
    ),
    "the first message, without a system prompt": (
        {"model": MODEL, "messages": [{"role": "user", "content": "I am 1. " + SYSTEM}]},
        {"model": MODEL, "messages": [{"role": "user", "content": "I am 2. " + SYSTEM}]},
        "message[0]",
    ),
    "an early message of a long conversation": (
        {"model": MODEL, "messages": [{"role": "system", "content": "Be brief."}, *HISTORY[1:], *HISTORY[1:]]},
        {
            "model": MODEL,
            "messages": [{"role": "system", "content": "Be brief."}, *messages((1, "?"))[1:], *HISTORY[1:]],
        },
        "message[1]",
    ),
    "what comes in the middle": (
        {"model": MODEL, "messages": [*HISTORY[:2], {"role": "assistant", "content": "1"}, *HISTORY, *HISTORY]},
        {"model": MODEL, "messages": [*HISTORY[:2], {"role": "assistant", "content": "2"}, *HISTORY, *HISTORY]},
        "message[2]",
    ),
    "how tools are chosen": (BODY, {**BODY, "tool_choice": "required"}, "tool_choice"),
    "the effort of reasoning": (BODY, {**BODY, "reasoning_effort": "high"}, "reasoning_effort"),
    "the form of the answer": (BODY, {**BODY, "response_format": {"type": "json_object"}}, "response_format"),
    "the model": (BODY, {**BODY, "model": "openai/gpt-oss-20b"}, "model"),
    "too short": (plain("Be brief. " * 10, "Is it?"), plain("Be brief. " * 10, "And this?"), "too short"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_is_named(shop: Shop, change: str) -> None:
    """The first difference from an earlier request, in the record, on the span and in `--where`'s words."""
    first, second, reason = CHANGES[change]
    assert shop.ask(**first).cache_miss is None
    record = shop.ask(**second)
    cached = shop.cached or 0

    assert record.cache_miss == reason
    if reason == "too short":
        assert record.cache_missed_tokens is None
        return
    assert record.cache_missed_tokens is not None
    assert record.cache_missed_tokens % BLOCK == 0
    # Asked once more, the simulator has cached what was missing, but for what is only in the second.
    shop.ask(**second)
    would_be = shop.cached or 0
    assert 0.5 * (would_be - cached) <= record.cache_missed_tokens <= would_be - cached + BLOCK


def test_the_cause_is_named_each_time(shop: Shop) -> None:
    """A timestamp in the system prompt comes with every request, whatever else is asked."""
    found = [shop.ask(**plain(f"It is 12:00:{n:02}. " + SYSTEM, f"Question {n}")).cache_miss for n in range(12)]
    assert found == [None, *["system"] * 11]


def test_what_expired_says_when_it_was_last_used(shop: Shop) -> None:
    """Two hours and ten minutes after the last use."""
    shop.ask(**BODY)
    shop.now += 2 * HOUR_NS + 600 * 10**9
    record = shop.ask(**BODY)

    assert shop.cached == 0
    assert record.cache_miss == "expired"
    assert record.cache_last_used_ns is not None
    assert record.cache_last_used_ns // 10**9 == 7_800
    assert shop.ask(**BODY).cache_miss is None
    assert shop.cached


def test_the_provider_is_named_where_the_prefix_was_the_same(shop: Shop) -> None:
    """Groq forgot it: hits are not guaranteed."""
    shop.ask(**BODY)
    shop.cache.clear()
    record = shop.ask(**{**BODY, "messages": [*HISTORY, {"role": "user", "content": "And now?"}]})

    assert shop.cached == 0
    assert record.cache_miss == "provider"


def test_nothing_is_named_where_nothing_changed(shop: Shop) -> None:
    """A conversation that grows, other questions to the same system prompt, and the same request again."""
    asked: list[dict[str, Any]] = []
    for turn in range(6):
        asked = [*HISTORY, *asked[4:], {"role": "user", "content": f"Question {turn}, " + "in many words. " * 30}]
        assert shop.ask(**{**BODY, "messages": asked}).cache_miss is None
    other = "Stories are what you write. " * 80
    for turn in range(6):
        assert shop.ask(**plain(other, f"Question {turn}, " + "in many words. " * 10)).cache_miss is None
    for _ in range(3):
        assert shop.ask(**BODY).cache_miss is None
        assert shop.cached


def test_prompts_with_nothing_in_common_are_no_miss(shop: Shop) -> None:
    """Two agents with system prompts of their own, in turn."""
    for turn in range(4):
        assert shop.ask(**plain("You translate into French. " * 60, f"Text {turn}")).cache_miss is None
        assert shop.ask(**plain("A judge of short stories you are. " * 60, f"Story {turn}")).cache_miss is None


def test_a_model_without_a_cache_has_no_miss(shop: Shop) -> None:
    """Absent is not zero."""
    for _ in range(2):
        record = shop.ask(**{**BODY, "model": "llama-3.3-70b-versatile"})
        assert (record.usage.cached_tokens, record.cache_miss) == (None, None)
        assert (record.cache_saved, record.cache_lost) == (None, None)


def test_money_saved_and_lost_follows_from_the_tokens(shop: Shop) -> None:
    """Half the price of input tokens, which is 15 cents for a million here."""
    shop.ask(**BODY)
    hit = shop.ask(**BODY)
    lost = shop.ask(**{**BODY, "tools": TOOLS[::-1]})

    assert hit.usage.cached_tokens
    assert hit.cache_saved == pytest.approx(hit.usage.cached_tokens * 0.075e-6)
    assert hit.cache_lost is None
    assert lost.cache_missed_tokens
    assert lost.cache_lost == pytest.approx(lost.cache_missed_tokens * 0.075e-6)


def test_it_is_off_when_asked(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an argument, else by a variable; then nothing is remembered."""
    monkeypatch.setattr(prompts, "read", lambda _: pytest.fail("a prompt was read"))
    with Simulator(Answer("Yes.")) as sim:
        exported.options["cache_doctor"] = False
        with exported.client("sync", sim.base_url) as client:
            client.chat.completions.create(**BODY)
        exported.options["cache_doctor"] = None
        monkeypatch.setenv(prompts.VARIABLE, "Off")
        with exported.client("sync", sim.base_url) as client:
            client.chat.completions.create(**BODY)


def test_another_account_has_a_cache_of_its_own(exported: Exported, shop: Shop) -> None:
    """Two keys: what one asked is not cached for the other, so nothing is missed."""
    shop.ask(**BODY)
    shop.cache.clear()
    with exported.client("sync", shop.sim.base_url, api_key="another") as client:
        record = groqscope.record_of(client.chat.completions.create(**BODY))
    assert record is not None
    assert record.cache_miss is None


def test_openai_goes_the_same_way(exported: Exported) -> None:
    """Whatever the SDK, the request is read at the same place."""
    openai = pytest.importorskip("openai")
    cache = PromptCache()
    body = {key: value for key, value in BODY.items() if key != "reasoning_effort"}
    with Simulator(Answer("Yes."), prompt_cache=cache) as sim:
        host = sim.base_url.removeprefix("http://")
        exported.options["groq_hosts"] = [host]
        client = openai.OpenAI(base_url=f"{sim.base_url}/openai/v1", api_key="test", http_client=http_client("sync"))
        client = exported.instrument(client)
        client.chat.completions.create(**body)
        answer = client.chat.completions.create(**{**body, "tools": TOOLS[::-1]})
        client.close()
    record = groqscope.record_of(answer)
    assert record is not None
    assert record.cache_miss == "tools"


RESPONSE: dict[str, Any] = {
    "model": MODEL,
    "instructions": SYSTEM,
    "input": HISTORY[1:],
    "tools": [{"type": "function", **offered["function"], "strict": False} for offered in TOOLS],
    "tool_choice": "auto",
    "reasoning": {"effort": "low"},
}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tool_choice": "required"}, "tool_choice"),
        ({"reasoning": {"effort": "high"}}, "reasoning_effort"),
        ({"text": {"format": {"type": "json_object"}}}, "response_format"),
        ({"tools": RESPONSE["tools"][::-1]}, "tools"),
        ({"instructions": "It is 12:00. " + SYSTEM}, "system"),
        ({}, None),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_the_responses_api(change: dict[str, Any], reason: str | None, exported: Exported, shop: Shop) -> None:
    """The same reasons, in the words of chat completions."""
    openai = pytest.importorskip("openai")
    exported.options["groq_hosts"] = [shop.sim.base_url.removeprefix("http://")]
    with openai.OpenAI(
        base_url=f"{shop.sim.base_url}/openai/v1", api_key="test", http_client=http_client("sync")
    ) as bare:
        client = exported.instrument(bare)
        client.responses.create(**RESPONSE)
        record = groqscope.record_of(client.responses.create(**(RESPONSE | change)))
    assert record is not None
    assert record.cache_miss == reason


def test_no_text_leaves_the_process(exported: Exported) -> None:
    """Every part of a prompt has a canary: in no span, metric or record is a byte of it."""

    def body(number: int) -> dict[str, Any]:
        system = f"{CANARY} {number} " + SYSTEM
        return {
            "model": MODEL,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": CANARY}],
            "tools": [tool(f"t{CANARY}")],
            "tool_choice": "auto",
        }

    with Simulator(Answer("Yes."), prompt_cache=PromptCache()) as sim, exported.client("sync", sim.base_url) as client:
        answers = [client.chat.completions.create(**body(number)) for number in range(3)]
    records = [groqscope.record_of(answer) for answer in answers]

    assert [record and record.cache_miss for record in records] == [None, "system", "system"]
    assert CANARY not in repr(records)
    assert all(CANARY not in span.to_json() for span in exported.spans)


# -- the memory by itself


def _miss(memory: Memory, body: dict[str, Any], *, cached: int | None = None, at: int = 0, model: str = MODEL) -> Any:
    prompt = read(body)
    usage = Usage(input_tokens=len(str(body)) // 4, output_tokens=1, cached_tokens=cached)
    return memory.add(prompt, usage, account="a", model=model, began=at, ended=at + 1)


def test_a_request_that_still_ran_is_not_expected_to_help() -> None:
    """Two at once: neither can have what the other has not left yet."""
    memory = Memory()
    prompt = read(BODY)
    usage = Usage(input_tokens=3_000, output_tokens=1)
    for _ in range(2):
        assert memory.add(prompt, usage, account="a", model=MODEL, began=0, ended=10) is None
    later = memory.add(prompt, usage, account="a", model=MODEL, began=11, ended=12)
    assert later is not None
    assert later.reason == "provider"


def test_a_model_that_reports_cached_tokens_is_one_that_caches() -> None:
    """Whatever Groq's list says; the fewest that it cached are its minimum."""
    memory = Memory()
    assert not memory.caches("new/model")
    memory.add(None, Usage(input_tokens=500, cached_tokens=384), account="a", model="new/model", began=0, ended=1)
    assert memory.caches("new/model")
    body = plain(SYSTEM[:2200], "?")
    assert _miss(memory, body, model="new/model", at=2) is None
    assert _miss(memory, body, model="new/model", at=4) == Miss("provider", 512)


def test_what_is_no_prompt_is_not_read() -> None:
    """Whatever the caller sent: nothing raises."""
    assert read({}) is None
    assert read({"messages": "hello"}) is None
    assert read({"messages": [object()]}) is None
    assert read({"messages": [{"role": "user", "content": "\ud800"}]}) is None
    assert read({"messages": [{}] * 1_001}) is None
    assert read({"messages": []}) is not None
    assert read({"messages": ["a", 1, None], "tools": "none"}) is not None


def test_the_memory_is_bounded() -> None:
    """However many prompts, models and accounts."""
    memory = Memory()
    for number in range(3_000):
        prompt = read(plain(str(number), "?" * 600))
        usage = Usage(input_tokens=200, cached_tokens=0)
        memory.add(prompt, usage, account=number % 40, model=f"m{number % 50}", began=number, ended=number)
    accounts = memory._accounts
    assert len(accounts) <= 16
    assert all(len(known) <= 2_048 for account in accounts.values() for known in account._prefixes.values())
    assert all(len(account._prefixes) <= 32 for account in accounts.values())
    assert all(len(recent) <= 8 for account in accounts.values() for recent in account._recent.values())
    for number in range(3_000):
        memory.add(read(plain(str(number), "?")), None, account="one", model=MODEL, began=number, ended=number)
    assert len(accounts["one"]._prefixes[MODEL]) == 2_048


_words = st.builds(
    lambda word, times: word * times, st.text("abcdefgh ", min_size=5, max_size=9), st.integers(300, 400)
)
_message = st.builds(lambda role, text: {"role": role, "content": text}, st.sampled_from(["user", "assistant"]), _words)
_conversations = st.lists(_message, min_size=2, max_size=6)


@given(conversation=_conversations, more=st.lists(_message, max_size=3))
def test_a_conversation_that_grows_never_changed(conversation: list[Any], more: list[Any]) -> None:
    """Whatever its messages: if nothing is cached of it, that is the provider's doing."""
    memory = Memory()
    assert _miss(memory, {"messages": conversation}) is None
    grown = _miss(memory, {"messages": [*conversation, *more]}, at=2)
    assert grown is None or grown.reason in ("provider", "too short")


@given(conversation=_conversations, data=st.data())
def test_the_message_that_changed_is_the_one_named(conversation: list[Any], data: st.DataObject) -> None:
    """Wherever it is, before something that stayed."""
    place = data.draw(st.integers(0, len(conversation) - 2))
    memory = Memory()
    assert _miss(memory, {"messages": conversation}) is None
    changed = copy.deepcopy(conversation)
    changed[place]["content"] = "!" + changed[place]["content"]
    miss = _miss(memory, {"messages": changed}, at=2)
    # What came before it may have been enough for a hit, which then was the provider's to give.
    assert miss is not None
    assert miss.reason in {f"message[{place}]", "provider"}
    if not place:
        assert miss.reason == "message[0]"


@given(conversation=_conversations, age=st.integers(0, 4 * LIFETIME_NS))
def test_only_what_is_older_than_two_hours_expired(conversation: list[Any], age: int) -> None:
    """By the time of its last use."""
    memory = Memory()
    _miss(memory, {"messages": conversation})
    miss = _miss(memory, {"messages": conversation}, at=1 + age)
    assert miss is not None
    expected = Miss("expired", miss.tokens, age) if age > LIFETIME_NS else Miss("provider", miss.tokens)
    assert miss == expected


def test_pydantic_ai_goes_the_same_way(exported: Exported) -> None:
    """An agent whose instructions hold the time; the second request of a run has what the first left."""
    from pydantic_ai import Agent
    from pydantic_ai.providers.groq import GroqProvider

    from groqscope.models.groq import GroqModel

    cache = PromptCache()
    with Simulator(Answer("Yes."), prompt_cache=cache) as sim:

        async def ask() -> None:
            async with exported.client("async", sim.base_url) as client:
                for second in range(3):
                    model = GroqModel(MODEL, provider=GroqProvider(groq_client=client))
                    agent = Agent(model, instructions=f"It is 12:00:0{second}. " + SYSTEM)
                    await agent.run("What is in stock?")

        asyncio.run(ask())
    assert [record.cache_miss for record in exported.records] == [None, "system", "system"]
