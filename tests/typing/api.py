"""A user's program, as pyright in strict mode sees it; it is checked, not run."""

from typing import assert_type

import groq
from groq.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic_ai import Agent

import groqscope
from groqscope import RequestRecord, audit
from groqscope.configuration import Configuration
from groqscope.models.groq import GroqModel
from groqscope.simulator import Answer, Simulator
from groqscope.telemetry import ContentPolicy

where = groqscope.configure(service_name="shop")
assert_type(where, Configuration)
assert_type(where.endpoint, str | None)

assert_type(groqscope.instrument(), None)
client = groqscope.instrument(groq.Groq(), phase_spans=False, content=ContentPolicy(spans=True))
assert_type(client, groq.Groq)
asynchronous = groqscope.instrument(groq.AsyncGroq())
assert_type(asynchronous, groq.AsyncGroq)

answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hello"}])
assert_type(answer, ChatCompletion)
record = groqscope.record_of(answer)
assert_type(record, RequestRecord | None)
if record is not None:
    assert_type(record.duration_ns, int)
    assert_type(record.ttft_ns, int | None)
    assert_type(record.cost, float | None)
    assert_type(record.phases.queue, int | None)
    assert_type([name for name, _ in record.phases.items()], list[str])

stream = client.chat.completions.create(model="m", messages=[], stream=True)
for chunk in stream:
    assert_type(chunk, ChatCompletionChunk)

stop = groqscope.on_record(lambda finished: print(finished.request_id, finished.usage))
stop()
assert_type(groqscope.flush(), bool)
assert_type(groqscope.shutdown(), bool)
groqscope.uninstrument(client)

agent = Agent(GroqModel("llama-3.3-70b-versatile"))
print(agent)

records = audit.load(since="1h")
for one in records:
    assert_type(one, RequestRecord)
print(records.overview().sentence)

with Simulator(Answer("Hello")) as simulator:
    assert_type(simulator.base_url, str)
