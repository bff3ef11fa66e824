"""`groqscope doctor` finds what is well and what is broken, and says how to mend it."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.programs import Programs

BIN = Path(sys.executable).parent


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes], list[int]]]:
    """An endpoint over HTTP: its address, what it took, and the status it answers with."""
    bodies: list[bytes] = []
    status = [200]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(status[0])
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", bodies, status
    server.shutdown()
    server.server_close()
    thread.join()


Doctor = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def doctor(programs: Programs) -> Doctor:
    """Run the command with some variables more, and return its status and its report."""

    def run(**variables: str) -> tuple[int, dict[str, Any]]:
        done = programs.command("doctor", "--json", **variables)
        assert done.stdout, done.stderr
        return done.status, json.loads(done.stdout)

    return run


def started(*before: str, **environment: str) -> tuple[int, dict[str, Any]]:
    """The same, started as a user does."""
    done = subprocess.run(
        [*before, str(BIN / "groqscope"), "doctor", "--json"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def states(report: dict[str, Any]) -> dict[str, str]:
    return {f"{f['part']} {f['name']}": f["state"] for f in report["findings"]}


def test_all_is_well(tmp_path: Path, doctor: Doctor) -> None:
    """Without any setting all is well, spans go to the local store, and nothing is left in it."""
    status, report = doctor()
    store = Path(os.environ["GROQSCOPE_HOME"]) / "store"

    assert (status, report["ok"]) == (0, True)
    assert states(report) == {
        "instrumentation every Groq client": "unknown",
        "instrumentation openai at Groq": "ok",
        "test request": "ok",
        "telemetry spans": "ok",
        "test span": "ok",
    }
    assert str(store) in next(f["detail"] for f in report["findings"] if f["part"] == "telemetry")
    assert list(store.iterdir()) == []


def test_a_collector_that_takes_spans(collector: tuple[str, list[bytes], list[int]], doctor: Doctor) -> None:
    """A test span is sent to the endpoint."""
    address, bodies, _ = collector
    status, report = doctor(OTEL_EXPORTER_OTLP_ENDPOINT=address)

    assert status == 0
    assert states(report)["test span"] == "ok"
    assert any(b"groqscope.doctor" in body for body in bodies)


@pytest.mark.parametrize(("answer", "remedy"), [(401, "OTEL_EXPORTER_OTLP_HEADERS"), (404, "4318")])
def test_a_collector_that_refuses(
    answer: int, remedy: str, collector: tuple[str, list[bytes], list[int]], doctor: Doctor
) -> None:
    """A refused test span is broken, with the status and what to look at."""
    address, _, status_to_give = collector
    status_to_give[0] = answer
    status, report = doctor(OTEL_EXPORTER_OTLP_ENDPOINT=address)
    (span,) = (f for f in report["findings"] if f["name"] == "span")

    assert (status, span["state"]) == (1, "broken")
    assert str(answer) in span["detail"]
    assert remedy in span["remedy"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, "refused"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "carrier-pigeon"}, "carrier-pigeon"),
        ({"OTEL_SDK_DISABLED": "true"}, "OTEL_SDK_DISABLED"),
        ({"OTEL_TRACES_EXPORTER": "none"}, "discarded"),
        ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "groq"}, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"),
        ({"OTEL_TRACES_SAMPLER": "always_off"}, "samples nothing"),
        ({"GROQSCOPE_HOME": "/dev/null/home"}, "cannot be written"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_broken_is_named(settings: dict[str, str], said: str, doctor: Doctor) -> None:
    """A setting that keeps telemetry from arriving is found, and the exit status is 1."""
    status, report = doctor(**settings)
    broken = [f["detail"] for f in report["findings"] if f["state"] == "broken"]

    assert (status, report["ok"]) == (1, False)
    assert len(broken) == 1
    assert said in broken[0]


@pytest.mark.slow
def test_zero_code() -> None:
    """Under `opentelemetry-instrument` the process is seen to be observed, and the trial still works."""
    status, report = started(
        str(BIN / "opentelemetry-instrument"),
        OTEL_PYTHON_DISTRO="none",
        OTEL_TRACES_EXPORTER="none",
        OTEL_METRICS_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
    )
    (client, trial) = report["findings"][:2]

    assert "observed in this process" in client["detail"]
    assert trial["state"] == "ok"
    assert status == (1 if any(f["state"] == "broken" for f in report["findings"]) else 0)


def test_somebody_elses_wrapper_of_streams(programs: Programs) -> None:
    """Another instrumentation may hand out generators instead of streams: the request is observed all the same."""
    program = """
import sys
from groq.resources.chat.completions import Completions
from groqscope.cli import main

create = Completions.create

def wrapped(*arguments, **named):
    yield from create(*arguments, **named)

Completions.create = wrapped
sys.argv[1:] = ["doctor", "--json"]
main()
"""
    done = programs.run(program, os.environ)

    assert (done.status, states(json.loads(done.stdout))["test request"]) == (0, "ok")


def test_somebody_elses_providers(programs: Programs) -> None:
    """Where a program has set providers already, doctor says that they are used, and does not guess where they send."""
    program = """
import sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from groqscope.cli import main
trace.set_tracer_provider(TracerProvider())
sys.argv[1:] = ["doctor", "--json"]
main()
"""
    done = programs.run(program, os.environ)
    found = states(json.loads(done.stdout))

    assert (found["telemetry spans"], found["test span"], found["test request"]) == ("note", "unknown", "ok")


def test_secrets_are_not_shown(doctor: Doctor) -> None:
    """Keys and headers are said to be there, no more, and an address is shown without its password."""
    secret = {"GROQ_API_KEY": "gsk_hunter2", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=hunter2"}
    _, report = doctor(**secret, OTEL_EXPORTER_OTLP_ENDPOINT="http://user:hunter2@127.0.0.1:1")

    assert "hunter2" not in json.dumps(report)
    assert report["environment"]["GROQ_API_KEY"] == "(set, not shown)"


def test_shown_to_people(programs: Programs) -> None:
    """Without `--json` the same is read by people, and ends in a verdict."""
    done = programs.command("doctor")

    assert "What is installed\n  ok      groq " in done.stdout
    assert done.stdout.endswith("\nAll is well.\n")


def test_packages_that_ask_groq_without_its_sdk_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where litellm is installed, the doctor says that what it asks is not seen; of openai, where it is observed."""
    from groqscope.cli import doctor_checks

    monkeypatch.setattr(doctor_checks, "_version", {"openai": "1.76.0", "litellm": "1.0"}.get)
    monkeypatch.setenv("GROQSCOPE_HOSTS", "gateway.test:81")
    findings = {finding.name: finding for finding in doctor_checks._instrumentation()}
    found = findings["not seen"]

    assert (found.state, found.part) == ("note", "instrumentation")
    assert found.detail == "litellm can ask Groq without its SDK or openai's: such requests are not seen"
    assert findings["openai at Groq"].state == "ok"
    assert "openai 1.76.0 " in findings["openai at Groq"].detail
    assert findings["openai at Groq"].detail.endswith("requests to api.groq.com, gateway.test:81")


@pytest.mark.parametrize("version", ["0.28.1", "1.72.0"])
def test_an_openai_that_is_too_old(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said not to be observed, and what to do."""
    from groqscope.cli import doctor_checks

    monkeypatch.setattr(doctor_checks, "_version", lambda name: version if name == "openai" else None)
    (found,) = (f for f in doctor_checks._instrumentation() if f.name == "openai at Groq")

    assert (found.state, found.remedy) == ("note", "update openai")
    assert found.detail.startswith(f"openai {version} is not observed")
