"""The state that all connections of one simulator share: the script's position, the ground truth, the counters."""

import itertools
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence

from groqscope.simulator.library import Library
from groqscope.simulator.prompt_cache import PromptCache
from groqscope.simulator.received import Received
from groqscope.simulator.responses import ENDPOINT as RESPONSES
from groqscope.simulator.script import Answer, Connection, Failure, Pace, Playable, Recorded, Reply, Script
from groqscope.simulator.served import ConnectionFacts, Served

CHAT = "chat/completions"
INFERENCE = (CHAT, RESPONSES)
"""The endpoints that an `Answer` answers, and a script that names none is for."""


class Hub:
    """Chooses the reply to each request, and keeps what was served."""

    def __init__(
        self,
        *,
        script: Script | None,
        library: Library | None,
        pace: Pace,
        connections: Sequence[Connection],
        tls: ssl.SSLContext | None,
        prompt_cache: PromptCache | None,
    ) -> None:
        """Start at the beginning of the script."""
        self.library = library
        self.pace = pace
        self.tls = tls
        self.prompt_cache = prompt_cache
        self.served: list[Served] = []
        self.on_served: Callable[[Served], None] | None = None
        self.idle = threading.Condition()
        self._busy = 0
        self._connections = connections
        self._taken = 0
        self._connection_numbers = itertools.count()
        self._request_numbers = itertools.count()
        self._lock = threading.Lock()
        self.play(script)

    def play(self, script: Script | None) -> None:
        """Replace the script; a sequence starts with its first reply."""
        plays = script if isinstance(script, Mapping) else {} if script is None else dict.fromkeys(INFERENCE, script)
        with self._lock:
            self._plays: dict[str, Playable] = dict(plays)
            self._positions: dict[str, int] = {}

    def take(self, connections: Sequence[Connection]) -> None:
        """Replace how connections are accepted, starting with the next one."""
        with self._lock:
            self._connections = connections
            self._taken = 0

    def connect(self, now_ns: int) -> tuple[ConnectionFacts, Connection]:
        """Register a connection and return how to accept it."""
        with self._lock:
            last = len(self._connections) - 1
            plan = self._connections[min(self._taken, last)] if self._connections else Connection()
            self._taken += 1
            return ConnectionFacts(next(self._connection_numbers), now_ns), plan

    def begin(self, connection: ConnectionFacts, now_ns: int) -> Served:
        """Register a request whose headers have arrived."""
        with self.idle:
            self._busy += 1
            first = connection.requests == 0
            connection.requests += 1
            served = Served(next(self._request_numbers), connection, first, now_ns)
            self.served.append(served)
        return served

    def forget(self) -> None:
        """Drop the ground truth so far."""
        with self.idle:
            self.served = [served for served in self.served if served.left is None]

    def end(self, served: Served) -> None:
        """Count a request as done."""
        with self.idle:
            self._busy -= 1
            self.idle.notify_all()
        if self.on_served is not None:
            self.on_served(served)

    def settle(self, timeout: float) -> bool:
        """Wait until no request is being served."""
        with self.idle:
            return self.idle.wait_for(lambda: self._busy == 0, timeout)

    def reply(self, received: Received) -> Reply | None:
        """Return the script's reply, else the replay's; `None` leaves the answer to the endpoint."""
        if received.endpoint in INFERENCE and received.method != "POST":
            return None
        found = self._scripted(received)
        if found is not None or received.endpoint not in INFERENCE:
            return found
        if self.library is None:
            return Answer("Hello from the simulator: it was given no script, so this is its only answer.")
        if received.endpoint != CHAT:
            return Failure(404, message="Recordings are of chat completions; the Responses API is answered by scripts.")
        recording = self.library.find(received)
        return _unknown(received, self.library) if recording is None else Recorded(recording, self.pace)

    def _scripted(self, received: Received) -> Reply | None:
        with self._lock:
            play = self._plays.get(received.endpoint)
            position = self._positions.get(received.endpoint, 0)
            self._positions[received.endpoint] = position + 1
        if callable(play):
            return play(received)
        if isinstance(play, Sequence):
            return play[min(position, len(play) - 1)] if play else None
        return play


def _unknown(received: Received, library: Library) -> Failure:
    way = "streamed" if received.stream else "whole"
    known = ", ".join(library.models())
    return Failure(404, message=f"No recording of model `{received.model}` ({way}). Recorded are: {known}.")
