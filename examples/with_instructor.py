"""A structured answer by instructor: `python examples/with_instructor.py`.

Needs `pip install instructor`.
"""

import instructor
from groq import Groq
from pydantic import BaseModel

import groqscope

groqscope.configure()
groqscope.instrument()
groqscope.on_record(print)


class City(BaseModel):
    """What is asked for."""

    name: str


city = instructor.from_groq(Groq()).chat.completions.create(
    model="llama-3.3-70b-versatile",
    messages=[{"role": "user", "content": "Which city is the capital of Norway?"}],
    response_model=City,
)
print(city.name)
