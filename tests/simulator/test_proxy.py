"""The proxy: tunnels and plain requests, late or refused."""

import groq
import httpx
import pytest
from groq import Groq

from groqscope.simulator import Answer, Proxy, Simulator

MS = 1_000_000


def ask(sim: Simulator, proxy: Proxy) -> str | None:
    http = httpx.Client(proxy=proxy.url, verify=sim.client_tls or False)
    with Groq(base_url=sim.base_url, api_key="test", http_client=http, max_retries=0) as client:
        return client.chat.completions.create(model="m", messages=[]).choices[0].message.content


def test_a_tunnel_is_granted_late() -> None:
    """CONNECT is answered after the delay; TLS goes through the tunnel to the simulator."""
    with Simulator(Answer("a"), tls=True) as sim, Proxy(delay=0.05) as proxy:
        assert ask(sim, proxy) == "a"
        (passage,) = proxy.passages
        (served,) = sim.settle()

    assert passage.target == sim.base_url.removeprefix("https://")
    assert passage.answered_ns - passage.asked_ns >= 50 * MS - 1_000
    assert served.connection.accepted_ns >= passage.asked_ns + 50 * MS - 1_000


def test_a_plain_request_is_sent_on() -> None:
    """Without TLS the request goes through the proxy itself, in the form a server expects."""
    with Simulator(Answer("a")) as sim, Proxy() as proxy:
        assert [ask(sim, proxy) for _ in range(2)] == ["a", "a"]
        served = sim.settle()

    assert [s.received.path for s in served] == ["/openai/v1/chat/completions"] * 2
    assert len(proxy.passages) == 2


def test_a_refusal_is_a_connection_error() -> None:
    """No tunnel: the SDK says that the connection failed, and nothing reached the simulator."""
    with Simulator(Answer("a"), tls=True) as sim, Proxy(refuse=403) as proxy:
        with pytest.raises(groq.APIConnectionError):
            ask(sim, proxy)
        assert sim.settle() == []


def test_a_proxy_that_is_not_started_says_so() -> None:
    """Its address is known in the `with` block only."""
    with pytest.raises(RuntimeError, match="with"):
        _ = Proxy().url
