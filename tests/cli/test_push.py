"""`groqscope push`: what the command says; what it does is tested with the store's `Push`."""

from collections.abc import Iterator

import pytest
from support.collector import Answer, Collector, collector
from support.files import write_store
from support.traffic import request, traffic

from groqscope.cli.app import run
from groqscope.store import store_directory


@pytest.fixture(name="endpoint")
def _endpoint() -> Iterator[Collector]:
    with collector() as running:
        yield running


def test_the_store_goes_to_the_endpoint_of_the_environment(endpoint, monkeypatch, capsys):
    """Without arguments the local store is sent to OTEL_EXPORTER_OTLP_ENDPOINT, with its headers."""
    write_store(store_directory(), traffic(10))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b")

    assert run(["push", "--header", "Authorization=Bearer t=1%20"]) == 0
    assert capsys.readouterr().out == f"sent 1 line to {endpoint.url}/v1/traces\n"
    assert len(list(endpoint.spans())) == 10
    sent = endpoint.requests[0].headers
    assert (sent["api-key"], sent["authorization"]) == ("a b", "Bearer t=1%20")


def test_a_second_push_sends_what_is_new(endpoint, tmp_path, capsys):
    """What was sent is remembered, unless `--again` is given."""
    file = write_store(tmp_path / "files", [request(n) for n in range(20)], batch=2)
    whole = file.read_text().splitlines(keepends=True)
    file.write_text("".join(whole[:4]))
    arguments = ["push", str(file), "--endpoint", endpoint.url]
    run(arguments)
    file.write_text("".join(whole))

    assert run(arguments) == 0
    assert "sent 6 lines" in capsys.readouterr().out.splitlines()[1]
    ids = [span.span_id for span in endpoint.spans()]
    assert len(ids) == len(set(ids)) == 20
    assert run([*arguments, "--again"]) == 0
    assert "sent 10 lines" in capsys.readouterr().out


def test_what_is_not_taken_is_told(endpoint, tmp_path, capsys):
    """Rejected and broken parts are said, and the status is 2."""
    file = write_store(tmp_path / "files", [request(n) for n in range(4)], batch=2)
    file.write_text(file.read_text() + "{oops\n")
    endpoint.default = Answer(400)

    assert run(["push", str(file), "--endpoint", endpoint.url]) == 2
    shown = capsys.readouterr()
    assert shown.out == f"sent 0 lines to {endpoint.url}/v1/traces, 2 lines were refused\n"
    assert "not JSON, not sent" in shown.err
    assert "HTTP 400" in shown.err


def test_wrong_credentials(endpoint, tmp_path, capsys):
    """What the endpoint answered is said, and what to do."""
    file = write_store(tmp_path / "files", [request(1)])
    endpoint.default = Answer(401)

    assert run(["push", str(file), "--endpoint", endpoint.url]) == 2
    assert "the endpoint answered HTTP 401 Unauthorized; run the same command again" in capsys.readouterr().err


def test_password_in_the_address_is_not_shown(endpoint, tmp_path, capsys):
    """Nothing that is printed holds it."""
    file = write_store(tmp_path / "files", [request(1)])
    endpoint.default = Answer(403)
    run(["push", str(file), "--endpoint", endpoint.url.replace("//", "//user:hunter2@")])
    shown = capsys.readouterr()

    assert "hunter2" not in shown.out + shown.err
    assert "//***@127.0.0.1" in shown.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no endpoint: give one (http://127.0.0.1:4318), or set OTEL_EXPORTER_OTLP_ENDPOINT"),
        (["--endpoint", "collector:4318"], "endpoint=collector:4318: not a URL"),
        (["--endpoint", "http://x", "--header", "nonsense"], "--header: expected NAME=VALUE"),
        (["--endpoint", "http://x", "--header", "key=schlüssel"], "is not valid in HTTP"),
    ],
)
def test_what_is_missing_or_wrong(arguments, words, capsys):
    """A mistake is one sentence and status 2."""
    write_store(store_directory(), traffic(1))

    assert run(["push", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_what_was_sent_cannot_be_remembered(endpoint, tmp_path, monkeypatch, capsys):
    """Nothing is sent that would be sent again; the sentence names the place and the variable."""
    file = write_store(tmp_path / "files", [request(1)])
    (tmp_path / "home").touch()
    monkeypatch.setenv("GROQSCOPE_HOME", str(tmp_path / "home"))

    assert run(["push", str(file), "--endpoint", endpoint.url]) == 2
    said = capsys.readouterr().err
    assert f"{tmp_path / 'home'}" in said
    assert said.endswith("set GROQSCOPE_HOME to a writable directory\n")
    assert endpoint.requests == []


def test_nothing_stored_yet(capsys):
    """An empty store says how it gets filled, as it does in the audit."""
    assert run(["push", "--endpoint", "http://127.0.0.1:1"]) == 2
    shown = capsys.readouterr()

    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert "is empty: call groqscope.configure()" in shown.err
