"""An agent of agno, which asks by the groq SDK: `python examples/with_agno.py`.

Needs `pip install agno`.
"""

from agno.agent import Agent
from agno.models.groq import Groq

import groqscope

groqscope.configure()
groqscope.instrument()
groqscope.on_record(print)

print(Agent(model=Groq(id="llama-3.3-70b-versatile")).run("Why is the sky blue? Two sentences.").content)
