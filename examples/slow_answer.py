"""An answer that takes longer than it has to, and what the audit says of it: `python examples/slow_answer.py`.

Four reviews are summarised one after the other, though none needs the summary of another. The last lines say so; with
`asyncio.gather` the answer takes a quarter of the time.
"""

from groq import Groq

import groqscope
from groqscope import audit

groqscope.configure()
groqscope.instrument()
client = Groq()

REVIEWS = ("Warm, but it rustles.", "It leaks at the seams.", "Worth the money.", "Two sizes too small.")


def summarise(review: str) -> str | None:
    """Ask for a review's gist."""
    answer = client.chat.completions.create(
        model="llama-3.1-8b-instant", messages=[{"role": "user", "content": f"In three words: {review}"}]
    )
    return answer.choices[0].message.content


with groqscope.run("reviews", tags={"feature": "summary"}):
    for review in REVIEWS:
        print(summarise(review))

groqscope.flush()
for entry in audit.list_runs(audit.StoreSource(), audit.Query(), listed=1).entries:
    print(f"{entry.run.name}: {entry.sentence}")
    for reason in entry.reasons:
        print(f"- {reason.sentence}. {reason.advice}")
    print(f"groqscope audit {entry.run.trace_id} shows it")
