"""History in object storage: SeaweedFS's S3 server, with a month of requests in it."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from stack_support.given import needs, program
from stack_support.programs import Process, free_port
from support.files import write_store
from support.same import same
from support.traffic import traffic

from groqscope import audit
from groqscope.cli.app import run
from groqscope.timeline import RequestRecord

pytestmark = needs("SEAWEEDFS")

DAY = 86_400 * 10**9
FIRST = 20_000 * DAY
"""2024-10-04."""
DAYS = 30
IDENTITIES = {
    "identities": [
        {
            "name": "writer",
            "credentials": [{"accessKey": "writer", "secretKey": "secret"}],
            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
        },
        {
            "name": "stranger",
            "credentials": [{"accessKey": "stranger", "secretKey": "secret"}],
            "actions": ["Read:elsewhere", "List:elsewhere"],
        },
    ]
}


@dataclass
class Server:
    """An S3 server, and the log of what was asked of it."""

    address: str
    log: Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that knows a writer and a stranger."""
    folder = tmp_path_factory.mktemp("s3")
    (folder / "identities.json").write_text(json.dumps(IDENTITIES))
    (folder / "data").mkdir()
    port = free_port()
    process = Process(
        [
            *program("SEAWEEDFS"),
            "server",
            "-ip=127.0.0.1",
            f"-dir={folder}/data",
            *(f"-{name}.port={free_port()}" for name in ("master", "volume", "filer")),
            *(f"-{name}.port.grpc={free_port()}" for name in ("master", "volume", "filer", "s3")),
            "-master.telemetry=false",
            "-volume.max=20",
            "-master.volumeSizeLimitMB=64",
            "-filer",
            "-s3",
            f"-s3.port={port}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.config={folder}/identities.json",
            "-s3.iam=false",
        ],
        folder / "log",
        f"http://127.0.0.1:{port}/healthz",
        {"HOME": str(folder)},
    )
    process.start()
    try:
        yield Server(f"http://127.0.0.1:{port}", folder / "log")
    finally:
        process.kill()


@pytest.fixture(autouse=True)
def credentials(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the writer, by the variables that every tool of AWS reads; nothing else of this user's."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ENDPOINT_URL": server.address,
        "AWS_ACCESS_KEY_ID": "writer",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/nowhere",
        "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    _forget()


def _forget() -> None:
    """Let fsspec make its connections anew: it keeps them by address, and the tests change who asks."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()


def made() -> list[RequestRecord]:
    """Return ten requests a day."""
    some = traffic(10 * DAYS)
    return [replace(record, start_unix_ns=FIRST + (n // 10) * DAY + n * 10**9) for n, record in enumerate(some)]


@pytest.fixture(scope="module")
def compacted(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The month as lines of JSON, which the bucket has as Parquet."""
    import s3fs

    store = tmp_path_factory.mktemp("store") / "store"
    write_store(store, made())
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AWS_ACCESS_KEY_ID", "writer")
        patched.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patched.setenv("AWS_ENDPOINT_URL", server.address)
        s3fs.S3FileSystem(endpoint_url=server.address, key="writer", secret="secret").mkdir("groq")
        assert run(["compact", str(store), "--to", "s3://groq/history"]) == 0
    return store


def overview(*paths: str | Path, **query: Any) -> audit.Audit:
    """Return what the audit says of some places."""
    return audit.load(*paths, **query).overview()


def test_the_bucket_says_what_the_files_say(compacted: Path):
    """Compacted to S3, and read from there."""
    expected = overview(compacted)

    found = overview("s3://groq/history")

    same(expected, found)
    assert found.provenance.files == DAYS * len({record.service for record in made()})


def test_a_second_run_adds_nothing(compacted: Path):
    """What the bucket has is left out; both together are each request once."""
    assert run(["compact", str(compacted), "--to", "s3://groq/history"]) == 0

    assert overview("s3://groq/history").total.requests == len(made())
    assert overview(compacted, "s3://groq/history").total.requests == len(made())


def test_one_day_of_a_month_reads_one_day(compacted: Path, monkeypatch: pytest.MonkeyPatch):
    """Objects of other days are not opened, by what is asked of the server; bytes are those of that day."""
    del compacted
    asked: list[str] = []
    import s3fs

    fetch = s3fs.S3FileSystem._call_s3

    async def counted(self: s3fs.S3FileSystem, method: str, *arguments: object, **given: object) -> object:
        if method == "get_object":
            asked.append(f"{given.get('Key') or arguments}")
        return await fetch(self, method, *arguments, **given)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", counted)
    day = "2024-10-14"
    one = overview("s3://groq/history", since=f"{day}T00:00:00Z", until="2024-10-15T00:00:00Z")
    days = {found for text in asked for found in re.findall(r"day=(\d{4}-\d{2}-\d{2})", text)}
    requests = len(asked)
    asked.clear()
    whole = overview("s3://groq/history")

    assert (one.total.requests, days) == (10, {day})
    assert whole.total.requests == 10 * DAYS
    assert len({found for text in asked for found in re.findall(r"day=(\d{4}-\d{2}-\d{2})", text)}) == DAYS
    assert requests * DAYS // 2 <= len(asked)


@pytest.mark.parametrize(
    ("variables", "address", "reason"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "s3://groq/history", "Could not connect"),
        ({"AWS_ACCESS_KEY_ID": "stranger"}, "s3://groq/history", "(?i)denied|forbidden"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "s3://groq/history", "(?i)signature|forbidden|denied"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "s3://groq/history", "(?i)credentials|denied"),
        ({}, "s3://groq/other", "there is nothing"),
        ({}, "s3://nobodys/history", "(?i)there is nothing|does not exist"),
    ],
    ids=["away", "denied", "wrong secret", "no credentials", "empty", "no bucket"],
)
def test_a_bucket_that_cannot_be_read(
    variables: dict[str, str],
    address: str,
    reason: str,
    compacted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """Which address, and what to do; the rest is still read; status 2."""
    local = write_store(tmp_path / "local", traffic(20))
    for name, value in variables.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    _forget()

    status = run(["audit", str(local), address, "--json"])

    captured = capsys.readouterr()
    assert status == 2
    assert json.loads(captured.out)["total"]["requests"] == 20
    assert address in captured.err
    assert re.search(reason, captured.err), captured.err
    assert "check the address and the credentials" in captured.err
    assert len(captured.err.splitlines()) == 1, captured.err
    assert run(["audit", address]) == 2
    assert address in capsys.readouterr().err
    del compacted


def test_compaction_to_a_bucket_that_denies(
    compacted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """The address, and that nothing was removed here."""
    shutil.copytree(compacted, tmp_path / "store")
    before = sorted(path.name for path in (tmp_path / "store").rglob("*.jsonl"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "stranger")
    _forget()

    assert run(["compact", str(tmp_path / "store"), "--to", "s3://groq/denied"]) == 2

    assert "s3://groq/denied" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "store").rglob("*.jsonl")) == before
