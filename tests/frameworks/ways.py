"""How each framework asks Groq: whole, streamed, and with a tool. What comes back is what its user would get.

Imports are inside: each set of `make compat` has some of the frameworks.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

from pydantic import BaseModel

Way = Literal["whole", "streamed", "tool"]
MODEL = "llama-3.3-70b-versatile"
QUESTION = "How is Rome?"


@dataclass(frozen=True)
class Framework:
    """A framework, and what asks Groq by it."""

    name: str
    module: str
    ask: Callable[[str, Way], Any]
    """Takes the address that Groq's SDK would be given."""
    ways: tuple[Way, ...] = ("whole", "streamed", "tool")
    streams: tuple[Way, ...] = ("streamed",)

    def __str__(self) -> str:
        return self.name


def weather(city: str) -> str:
    """Return the weather of a city.

    Args:
        city: its name.
    """
    return f"sunny in {city}"


def langchain(address: str, way: Way) -> str:
    """Ask by ChatGroq, which runs on the groq SDK below 1."""
    from langchain_core.messages import HumanMessage
    from langchain_core.tools import tool
    from langchain_groq import ChatGroq

    model = ChatGroq(model=MODEL, base_url=address, api_key="k")
    if way == "whole":
        return model.invoke(QUESTION).content
    if way == "streamed":
        return "".join(chunk.content for chunk in model.stream(QUESTION))
    offered = tool(weather)
    with_tool, messages = model.bind_tools([offered]), [HumanMessage(QUESTION)]
    messages.append(with_tool.invoke(messages))
    messages += [offered.invoke(call) for call in messages[-1].tool_calls]
    return with_tool.invoke(messages).content


def llama_index(address: str, way: Way) -> str:
    """Ask by LlamaIndex's Groq, which runs on the openai SDK."""
    from llama_index.core.agent.workflow import FunctionAgent
    from llama_index.llms.groq import Groq

    model = Groq(model=MODEL, api_key="k", api_base=f"{address}/openai/v1")
    if way == "whole":
        return model.complete(QUESTION).text
    if way == "streamed":
        return "".join(part.delta for part in model.stream_complete(QUESTION))

    async def run() -> str:
        return str(await FunctionAgent(tools=[weather], llm=model, streaming=False).run(QUESTION))

    return asyncio.run(run())


class City(BaseModel):
    """What instructor is asked for."""

    city: str


def _instructed(client: Any, way: Way) -> Any:
    asked: Any = {"model": MODEL, "response_model": City, "messages": [{"role": "user", "content": QUESTION}]}
    if way == "streamed":
        return [part.city for part in client.chat.completions.create_partial(**asked)][-1]
    return client.chat.completions.create(**asked).city


def instructor_on_groq(address: str, way: Way) -> Any:
    """Ask by instructor around a client of groq's."""
    import groq
    import instructor

    return _instructed(instructor.from_groq(groq.Groq(api_key="k", base_url=address)), way)


def instructor_on_openai(address: str, way: Way) -> Any:
    """Ask by instructor around a client of openai's."""
    import instructor
    import openai

    return _instructed(instructor.from_openai(openai.OpenAI(api_key="k", base_url=f"{address}/openai/v1")), way)


def haystack(address: str, way: Way) -> Any:
    """Ask by Haystack's generator for OpenAI's API, and by its agent."""
    from haystack.components.agents import Agent
    from haystack.components.generators.chat import OpenAIChatGenerator
    from haystack.dataclasses import ChatMessage
    from haystack.tools import create_tool_from_function
    from haystack.utils import Secret

    pieces: list[str] = []
    generator = OpenAIChatGenerator(
        api_key=Secret.from_token("k"),
        model=MODEL,
        api_base_url=f"{address}/openai/v1",
        streaming_callback=(lambda chunk: pieces.append(chunk.content)) if way == "streamed" else None,
    )
    messages = [ChatMessage.from_user(QUESTION)]
    if way == "tool":
        agent = Agent(chat_generator=generator, tools=[create_tool_from_function(weather)])
        return agent.run(messages=messages)["messages"][-1].text
    reply = generator.run(messages)["replies"][0].text
    return "".join(pieces) if way == "streamed" else reply


def smolagents(address: str, way: Way) -> Any:
    """Ask by smolagents' OpenAIModel, and by its agent."""
    from smolagents import OpenAIModel, ToolCallingAgent, tool
    from smolagents.models import ChatMessage, MessageRole

    model = OpenAIModel(model_id=MODEL, api_base=f"{address}/openai/v1", api_key="k")
    messages = [ChatMessage(role=MessageRole.USER, content=QUESTION)]
    if way == "whole":
        return model.generate(messages).content
    if way == "streamed":
        return "".join(part.content or "" for part in model.generate_stream(messages))
    return ToolCallingAgent(tools=[tool(weather)], model=model, verbosity_level=0).run(QUESTION)


def agno(address: str, way: Way) -> Any:
    """Ask by agno's agent, whose Groq runs on the groq SDK."""
    from agno.agent import Agent
    from agno.models.groq import Groq

    model = Groq(id=MODEL, api_key="k", base_url=address)
    agent = Agent(model=model, tools=[weather] if way == "tool" else None, telemetry=False)
    if way == "streamed":
        return "".join(event.content or "" for event in agent.run(QUESTION, stream=True))
    return agent.run(QUESTION).content


def _agents(address: str, way: Way, kind: str) -> Any:
    import agents
    from openai import AsyncOpenAI

    agents.set_tracing_disabled(disabled=True)

    async def run() -> Any:
        async with AsyncOpenAI(base_url=f"{address}/openai/v1", api_key="k") as client:
            model = getattr(agents, kind)(model=MODEL, openai_client=client)
            tools = [agents.function_tool(weather)] if way == "tool" else []
            agent = agents.Agent(name="weatherman", model=model, tools=tools)
            if way != "streamed":
                return (await agents.Runner.run(agent, QUESTION)).final_output
            running = agents.Runner.run_streamed(agent, QUESTION)
            async for _ in running.stream_events():
                pass
            return running.final_output

    return asyncio.run(run())


def openai_agents(address: str, way: Way) -> Any:
    """Ask by the OpenAI Agents SDK, by chat completions."""
    return _agents(address, way, "OpenAIChatCompletionsModel")


def openai_agents_by_responses(address: str, way: Way) -> Any:
    """Ask by the OpenAI Agents SDK, by the Responses API."""
    return _agents(address, way, "OpenAIResponsesModel")


def livekit(address: str, way: Way) -> Any:
    """Ask by LiveKit's plugin for Groq, which always streams."""
    from livekit.agents import llm
    from livekit.plugins import groq

    async def run() -> Any:
        model = groq.LLM(model=MODEL, api_key="k", base_url=f"{address}/openai/v1")
        context = llm.ChatContext()
        context.add_message(role="user", content=QUESTION)
        tools = [llm.function_tool(weather)] if way == "tool" else []
        said, called = "", list[str]()
        async with model.chat(chat_ctx=context, tools=tools) as stream:
            async for chunk in stream:
                if chunk.delta is not None:
                    said += chunk.delta.content or ""
                    called += [call.name for call in chunk.delta.tool_calls]
        await model.aclose()
        return called or said

    return asyncio.run(run())


def pipecat(address: str, way: Way) -> Any:
    """Ask by pipecat's service for Groq, outside a pipeline and in one."""
    from loguru import logger
    from pipecat.frames.frames import LLMContextFrame, LLMTextFrame
    from pipecat.processors.aggregators.llm_context import LLMContext
    from pipecat.services.groq.llm import GroqLLMService
    from pipecat.tests.utils import run_test

    logger.remove()
    if way == "tool":
        return asyncio.run(_pipecat_with_a_tool(address))

    async def run() -> Any:
        service = GroqLLMService(
            api_key="k", base_url=f"{address}/openai/v1", settings=GroqLLMService.Settings(model=MODEL)
        )
        context: Any = LLMContext([{"role": "user", "content": QUESTION}])
        if way == "whole":
            return await service.run_inference(context)
        frames, _ = await run_test(service, frames_to_send=[LLMContextFrame(context)])
        return "".join(frame.text for frame in frames if isinstance(frame, LLMTextFrame))

    return asyncio.run(run())


async def _pipecat_with_a_tool(address: str) -> Any:
    """Let the pipeline call a function and ask again, as it does in a conversation; return what was said last."""
    from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
    from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
    from pipecat.frames.frames import EndFrame, LLMContextFrame
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.runner import PipelineRunner
    from pipecat.pipeline.task import PipelineTask
    from pipecat.processors.aggregators.llm_context import LLMContext
    from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
    from pipecat.services.groq.llm import GroqLLMService

    service = GroqLLMService(
        api_key="k", base_url=f"{address}/openai/v1", settings=GroqLLMService.Settings(model=MODEL)
    )

    async def called(params: Any) -> None:
        await params.result_callback(weather(**params.arguments))

    service.register_function("weather", called)
    schema = FunctionSchema("weather", "Return the weather of a city.", {"city": {"type": "string"}}, ["city"])
    context: Any = LLMContext([{"role": "user", "content": QUESTION}], tools=ToolsSchema([schema]))
    task = PipelineTask(Pipeline([service, LLMContextAggregatorPair(context).assistant()]))

    async def until_answered() -> None:
        await task.queue_frame(LLMContextFrame(context))
        while not _said(context.messages[-1]):  # noqa: ASYNC110 - the context tells nobody
            await asyncio.sleep(0.01)
        await task.queue_frame(EndFrame())

    async with asyncio.timeout(60):
        await asyncio.gather(PipelineRunner(handle_sigint=False).run(task), until_answered())
    return _said(context.messages[-1])


def _said(message: Any) -> Any:
    return message["content"] if message["role"] == "assistant" else None


SOUND = bytes(32_000)
"""A second of silence, 16 kHz."""


def livekit_hears(address: str) -> Any:
    """Transcribe by LiveKit's plugin for Groq."""
    from livekit import rtc
    from livekit.plugins import groq

    async def run() -> Any:
        frame = rtc.AudioFrame(data=SOUND, sample_rate=16_000, num_channels=1, samples_per_channel=16_000)
        hearing = groq.STT(api_key="k", base_url=f"{address}/openai/v1")
        event = await hearing.recognize(frame)
        await hearing.aclose()
        return event.alternatives[0].text

    return asyncio.run(run())


def livekit_speaks(address: str) -> Any:
    """Speak by LiveKit's plugin for Groq, which asks by aiohttp."""
    import aiohttp
    from livekit.plugins import groq

    async def run() -> Any:
        async with aiohttp.ClientSession() as session:
            speaking = groq.TTS(api_key="k", base_url=f"{address}/openai/v1", http_session=session)
            async with speaking.synthesize("Hello") as stream:
                return sum([event.frame.samples_per_channel async for event in stream])

    return asyncio.run(run())


def pipecat_hears(address: str) -> Any:
    """Transcribe by pipecat's service for Groq."""
    from pipecat.frames.frames import TranscriptionFrame
    from pipecat.services.groq.stt import GroqSTTService

    async def run() -> Any:
        service = GroqSTTService(api_key="k", base_url=f"{address}/openai/v1")
        frames = [frame async for frame in service.run_stt(SOUND)]
        return [frame.text for frame in frames if isinstance(frame, TranscriptionFrame)]

    return asyncio.run(run())


def pipecat_speaks(_: str) -> Any:
    """Speak by pipecat's service for Groq, in a pipeline; it takes its address from the groq SDK."""
    from pipecat.frames.frames import TTSAudioRawFrame, TTSSpeakFrame
    from pipecat.services.groq.tts import GroqTTSService
    from pipecat.tests.utils import run_test

    async def run() -> Any:
        service = GroqTTSService(api_key="k")
        frames, _ = await run_test(service, frames_to_send=[TTSSpeakFrame("Hello")])
        return sum(len(frame.audio) for frame in frames if isinstance(frame, TTSAudioRawFrame))

    return asyncio.run(run())


ALL = (
    Framework("langchain-groq", "langchain_groq", langchain),
    Framework("LlamaIndex", "llama_index", llama_index),
    Framework("instructor on groq", "instructor", instructor_on_groq, ways=("whole", "streamed")),
    Framework("instructor on openai", "instructor", instructor_on_openai, ways=("whole", "streamed")),
    Framework("haystack", "haystack", haystack),
    Framework("smolagents", "smolagents", smolagents),
    Framework("agno", "agno", agno),
    Framework("openai-agents", "agents", openai_agents),
    Framework("openai-agents, Responses API", "agents", openai_agents_by_responses),
    Framework("livekit-plugins-groq", "livekit", livekit, ways=("whole", "tool"), streams=("whole", "tool")),
    Framework("pipecat", "pipecat", pipecat, streams=("streamed", "tool")),
)
SPEECH: tuple[tuple[str, Callable[[str], Any], str | None], ...] = (
    ("livekit", livekit_hears, "transcription"),
    ("livekit", livekit_speaks, None),
    ("pipecat", pipecat_hears, "transcription"),
    ("pipecat", pipecat_speaks, "speech"),
)
"""Module, what asks Groq by it, and the operation of its record; `None`: it is not seen."""
HERE = tuple(framework for framework in ALL if find_spec(framework.module) is not None)
"""Those of this environment."""
