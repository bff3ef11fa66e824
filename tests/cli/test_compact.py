"""`groqscope compact`."""

import pytest
from support.files import write_store
from support.traffic import traffic

from groqscope.cli.app import run


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GROQSCOPE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_the_store(home, capsys):
    """Nothing is closed yet: its writer is this process."""
    write_store(home / "store", traffic(5))

    assert run(["compact"]) == 0

    assert capsys.readouterr().out == "0 requests of 0 files, 1 still written to\n"


def test_a_copy(home, tmp_path, capsys):
    """Files become a history elsewhere, which the audit reads by its place."""
    path = write_store(tmp_path / "files", traffic(30))

    assert run(["compact", str(path), "--to", str(tmp_path / "target")]) == 0
    assert capsys.readouterr().out.startswith("30 requests of 1 files, 0.")
    assert run(["audit", str(tmp_path / "target")]) == 0
    assert "n=30" in capsys.readouterr().out
    assert path.exists()
    assert not home.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["file.jsonl"], "--to is missing"),
        (["nowhere.jsonl", "--to", "x"], "there is no file or directory 'nowhere.jsonl'"),
        (["--max-age", "soon"], "--max-age 'soon': write days or weeks, such as 90d or 12w"),
        (["--max-size", "-1"], "--max-size '-1': write a size such as 500MB or 5GB"),
        ([], "is empty"),
    ],
)
def test_mistakes(arguments, said, home, capsys):
    """Each is a sentence that says what to do."""
    assert run(["compact", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not home.exists()
