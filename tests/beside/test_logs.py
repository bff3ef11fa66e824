"""The line for structlog that the page on the prompt cache shows, with structlog itself."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from support.scope import ASK, Exported

import groqscope.logs
from groqscope.simulator import Simulator

PAGE = (Path(__file__).parents[2] / "docs" / "cache.md").read_text("utf-8")


@pytest.fixture
def _configured() -> Iterator[None]:
    (line,) = re.findall(r"^    (structlog\.configure\(.*\))$", PAGE, re.MULTILINE)
    exec(line, {"groqscope": groqscope, "structlog": structlog})
    yield
    structlog.reset_defaults()
    groqscope.logs.uninstall()


@pytest.mark.usefixtures("_configured")
def test_structlog(exported: Exported, sim: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    """A line has request and trace of the request before it, and the run around; what it has already stays."""
    logger = structlog.get_logger()
    logger.info("starts")
    with (
        exported.client("sync", sim.base_url) as client,
        groqscope.run("answer", tracer_provider=exported.tracer_provider),
    ):
        client.chat.completions.create(**ASK)
        logger.info("answered", tokens=3)
        logger.bind(trace_id="theirs").warning("answered")
    (record,) = exported.records
    known = {"groq_request_id": record.request_id, "trace_id": record.trace_id, "groq_run": "answer"}
    first, *others = map(json.loads, capsys.readouterr().out.splitlines())

    assert first["event"] == "starts"
    assert others == [
        {"event": "answered", "tokens": 3, **known},
        {"event": "answered", **known, "trace_id": "theirs"},
    ]
