"""Keys, prompts, answers, arguments, file names and user ids: in no byte that leaves the process, by default."""

import json
import stat
from pathlib import Path

import pytest
from support.canaries import CANARY, KEY, chunks, filled, request
from support.collector import collector
from support.processes import run, stored

from groqscope.cli.app import run as command

PROGRAM = """
import logging
logging.basicConfig(format="%(name)s %(message)s")
logging.getLogger("groqscope").setLevel(logging.DEBUG)
from support.canaries import KEY, talk
os.environ["GROQ_API_KEY"] = KEY
sys.argv.append(KEY)
groqscope.configure()
groqscope.instrument()
print("conversations:", talk(), file=sys.stderr)
"""


def _found(data: bytes) -> list[str]:
    """Places where a canary is, in capitals or not."""
    plain = [f"{CANARY}{after}".lower().encode() for after in "-0"]
    lower = data.lower()
    hits = [lower.find(needle) for needle in plain]
    return [data[max(0, at - 200) : at + 80].decode("utf-8", "replace") for at in hits if at >= 0]


@pytest.fixture(scope="module", name="store")
def _store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What the program left on disk, and what it wrote to standard error with our loggers at DEBUG."""
    directory = tmp_path_factory.mktemp("canaries")
    return directory, run(directory, PROGRAM)


def test_requests_and_answers_carry_the_canaries() -> None:
    """Requests and answers do carry them, in every field that a caller or a server fills with text."""
    body = json.dumps(request())

    assert body.count(CANARY) > 30
    for field in ("user", "metadata", "documents", "response_format", "tools"):
        assert f"request.{field}" in body or field not in request(), field
    assert chunks().count(CANARY.encode()) > 10
    assert CANARY in KEY
    assert CANARY in json.dumps(filled(dict[str, str]))


def test_nothing_on_disk(store: tuple[Path, str]) -> None:
    """Local files hold records of all conversations and no canary; they are the user's alone."""
    directory, _ = store
    files = [path for path in directory.rglob("*") if path.is_file() and path.name != "program.py"]

    assert len(stored(directory)) > 40
    assert {p.name.partition("-")[0] for p in files} == {"traces", "metrics"}
    for name in ("groqscope.cache.miss", "groqscope.cache.misses"):
        assert any(f'"{name}"'.encode() in path.read_bytes() for path in files), name
    for path in files:
        assert _found(path.read_bytes()) == []
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_nothing_in_the_log(store: tuple[Path, str]) -> None:
    """Our log records, at DEBUG too, say what failed and where, and not what was in it."""
    _, errors = store

    assert "could not observe a request" in errors
    assert _found(errors.encode()) == []


@pytest.mark.parametrize("form", ["", "--json", "--csv", "--markdown", "--html"])
def test_nothing_in_reports(
    store: tuple[Path, str], form: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """No report shows one."""
    directory = store[0] / "store"
    page = tmp_path / "report.html"
    arguments = [form, str(page)] if form == "--html" else [form] if form else []
    status = command(["audit", str(directory), *arguments])
    out, err = capfdbinary.readouterr()
    shown = page.read_bytes() if page.exists() else out

    assert status == 0, err
    assert _found(shown + err) == []
    assert len(shown) > 1_000


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
def test_nothing_on_the_wire(tmp_path: Path, protocol: str) -> None:
    """Spans, metrics and logs as OTLP: every byte of every request to the endpoint, headers included."""
    with collector() as endpoint:
        errors = run(
            tmp_path,
            PROGRAM,
            OTEL_EXPORTER_OTLP_ENDPOINT=endpoint.url,
            OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
        )
        requests = list(endpoint.requests)

    assert {r.path for r in requests} >= {"/v1/traces", "/v1/metrics"}
    assert any(b"groqscope.cache.miss" in r.body for r in requests)
    for r in requests:
        assert _found(r.body + repr(r.headers).encode()) == []
    assert _found(errors.encode()) == []
