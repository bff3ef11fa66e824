"""The guide's code runs as it stands."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai._utils import get_event_loop

import groqscope
from groqscope.simulator import Answer, Simulator

GUIDE = Path(__file__).parents[2] / "docs" / "pydantic-ai.md"


def test_guide(sim: Simulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Every block of the guide runs after the one before it, and prints what the text says."""
    sim.play(Answer("into the wait"))
    monkeypatch.setenv("GROQ_API_KEY", "gsk_test")
    monkeypatch.setenv("GROQ_BASE_URL", sim.base_url)
    monkeypatch.setenv("PYDANTIC_AI_NO_BANNER", "1")
    monkeypatch.setattr(groqscope, "configure", lambda: None, raising=False)  # it sets providers for the whole process
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    space: dict[str, Any] = {}
    try:
        for block in blocks:
            exec(compile(block, str(GUIDE), "exec"), space)
    finally:
        # `run_sync` leaves its loop open for the next run, and the HTTP client its connection.
        loop = get_event_loop()
        loop.run_until_complete(space["agent"].model.client.close())
        loop.close()
        asyncio.set_event_loop(None)

    assert len(blocks) == 3
    assert re.fullmatch(r"into the wait\nllama-3.3-70b-versatile \d+ \d+\n", capsys.readouterr().out)
