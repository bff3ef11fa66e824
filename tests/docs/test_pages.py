"""The documentation is true: pages build, generated ones are current, code runs, commands and options exist."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path

import pytest
from support.docs import script

from groqscope.audit.reports.palette import PHASES
from groqscope.cli.app import COMMANDS, run
from groqscope.simulator import Answer, Simulator
from groqscope.store import read_records
from groqscope.timeline import Phases

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "examples" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {page: page.read_text("utf-8") for page in PAGES}


@pytest.mark.parametrize("page", ["reference.md", "audit.md"])
def test_reference_is_current(page: str) -> None:
    """The reference, and the audit's fields and causes, are what the code says."""
    generated = {
        path.name: (path.read_text("utf-8"), text) for path, text in script("generate_reference").pages().items()
    }

    assert generated[page][0] == generated[page][1]


def test_the_tables_of_the_audit_are_marked() -> None:
    """Each generated table has its place on the page."""
    text = (ROOT / "docs" / "audit.md").read_text("utf-8")

    assert sorted(re.findall(r"<!-- table: (\w+) -->", text)) == ["fields", "rules"]


def test_the_picture_of_the_phases_has_them_all() -> None:
    """The picture names every phase of a record, but the one of answers that are not streamed."""
    drawn = set(re.findall(r">(\w+)</text>", (ROOT / "docs" / "images" / "phases.svg").read_text("utf-8")))

    assert {field.name for field in fields(Phases)} - drawn == {"generate"}


def test_the_picture_of_the_phases_has_their_colours() -> None:
    """A phase of the picture has the colour that it has in every report."""
    picture = (ROOT / "docs" / "images" / "phases.svg").read_text("utf-8")
    drawn = set(re.findall(r'<rect fill="(#\w+)"[^>]*/>\n<text [^>]*style="fill:(#\w+)">(\w+)</text>', picture))

    assert drawn == {(colour.hex, colour.ink, name) for name, colour in PHASES.items() if name != "generate"}


def test_licences_are_current() -> None:
    """Every pinned package has its line, with a licence, and no other package has one."""
    module = script("generate_licences")
    rows = dict(re.findall(r"^\| (\S+) \| (\d\S*) \|", module.PAGE.read_text("utf-8"), re.MULTILINE))

    assert rows == dict(module.pinned())
    assert [name for name, licence in module.known().items() if licence == "unknown"] == []


class _Loaded(HTMLParser):
    """What a page makes a browser load."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        wanted = (
            given.get("src") if tag in {"script", "img", "iframe"} else given.get("href") if tag == "link" else None
        )
        if wanted is not None and given.get("rel") != "canonical":
            self.addresses.append(wanted)


@pytest.mark.slow
def test_site(tmp_path: Path) -> None:
    """All pages build without a warning: links lead somewhere, nothing is loaded from elsewhere, lists are lists."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    loaded = _Loaded()
    pages = list((tmp_path / "site").glob("*.html"))
    for page in pages:
        text = page.read_text("utf-8")
        loaded.feed(text)
        prose = re.sub(r"<pre.*?</pre>", "", text, flags=re.DOTALL)
        assert re.findall(r"\n *(?:\d+\.|[-*]) .*|```.*", prose) == [], page.name
    assert len(pages) > 10
    assert loaded.addresses
    assert [a for a in loaded.addresses if re.match(r"(https?:)?//", a)] == []


def test_every_picture_is_on_a_page() -> None:
    """There is no picture that no page shows."""
    shown = set(re.findall(r"images/([\w.-]+)", "\n".join(TEXTS.values())))

    assert {path.name for path in (ROOT / "docs" / "images").iterdir()} == shown


def _commands() -> Iterator[tuple[str, list[str]]]:
    """Every `groqscope …` of a code block, as words; what stands in quotes is left out."""
    for page, text in TEXTS.items():
        blocks = re.findall(r"```(?:sh|yaml)\n(.*?)```", text, re.DOTALL)
        blocks += re.findall(r"^    groqscope .*$", text, re.MULTILINE)
        for line in "\n".join(blocks).splitlines():
            bare = re.sub(r"'[^']*'|\"[^\"]*\"", "X", line.replace("  groqscope", "\ngroqscope"))
            for found in re.findall(r"^(?:.*&& |.*run: | *)(groqscope [^&|>\n]*)", bare, re.MULTILINE):
                words = re.sub(r"  .*| #.*", "", found.strip()).split()
                yield f"{page.name}: {' '.join(words)}", words[1:]


@pytest.mark.parametrize(("name", "words"), list(_commands()), ids=[name for name, _ in _commands()])
def test_commands(name: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Every command that the pages write exists, with every option it is given."""
    path = [w for w in words[: 2 if words[0] == "stack" else 1] if not w.startswith("-")]
    run([*path, "--help"])
    known = capsys.readouterr().out

    assert path[0] in COMMANDS
    assert [w for w in words if w.startswith("--") and w not in known] == []


def test_every_command_is_in_the_pages() -> None:
    """There is no command that the pages do not mention."""
    text = "\n".join(TEXTS.values())

    assert [command for command in COMMANDS if f"groqscope {command}" not in text] == []


@pytest.fixture
def groq() -> Iterator[Simulator]:
    with Simulator(Answer("into the wait")) as simulator:
        yield simulator


def python(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text("utf-8"), re.DOTALL)


def run_program(groq: Simulator, home: Path, program: str) -> str:
    settings = {"GROQ_BASE_URL": groq.base_url, "GROQ_API_KEY": "none", "GROQSCOPE_HOME": str(home)}
    command = [sys.executable, "-W", "error::SyntaxWarning", "-c", program]
    done = subprocess.run(
        command, env={**os.environ, **settings}, cwd=home, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_getting_started(groq: Simulator, tmp_path: Path) -> None:
    """The blocks of the first page run one after the other, but the one that needs Celery; the app answers."""
    blocks = [block for block in python("getting-started.md") if "celery" not in block]
    ask = """
from fastapi.testclient import TestClient
with TestClient(app) as browser:
    print(browser.get("/ask", params={"question": "Why?"}).text)
"""
    output = run_program(groq, tmp_path, "\n".join([*blocks, ask]))
    records = list(read_records([tmp_path / "store"]))

    assert len(blocks) == 6
    assert output.startswith("into the waitcompleted ")
    assert output.endswith("into the wait\n")
    assert [record.outcome for record in records] == ["completed", "completed"]


@pytest.mark.slow
def test_pydantic_ai(groq: Simulator, tmp_path: Path) -> None:
    """The first two blocks of the page on pydantic-ai run alone; the last one goes on with the first one's agent."""
    first, second, last = python("pydantic-ai.md")

    assert run_program(groq, tmp_path, first) == "into the wait\n"
    assert run_program(groq, tmp_path, second) == ""
    assert run_program(groq, tmp_path, f"{first}\n{last}").splitlines()[1].startswith("llama-3.3-70b-versatile ")


@pytest.mark.slow
def test_audit(groq: Simulator, tmp_path: Path) -> None:
    """The code of the page on the audit runs over what the first program of another page left."""
    (block,) = python("audit.md")
    run_program(groq, tmp_path, python("getting-started.md")[0])
    output = run_program(groq, tmp_path, block)

    assert output.startswith("req_")
    assert output.endswith(("\nok\n", "\nover\n"))


@pytest.mark.slow
def test_request_ids_in_the_log(groq: Simulator, tmp_path: Path) -> None:
    """The program of the page on the cache writes a line with the id of the last request."""
    (block,) = python("cache.md")
    asking = (
        "import sys, groq, groqscope\ngroqscope.instrument()\n"
        "ask = dict(model='m', messages=[{'role': 'user', 'content': 'Hi'}])\n"
        "record = groqscope.record_of(groq.Groq().chat.completions.create(**ask))\n"
        "logging.warning('done')\nprint(record.request_id)\n"
    )
    program = f"import sys; sys.stderr = sys.stdout\n{block}\n{asking}"
    said = run_program(groq, tmp_path, program).splitlines()
    assert f"WARNING {said[-1]} " in said[-2]


@pytest.mark.slow
@pytest.mark.parametrize(("page", "tests"), [("ci.md", 2), ("testing.md", 3)])
def test_tests_of_a_page(page: str, tests: int, groq: Simulator, tmp_path: Path) -> None:
    """The tests that the pages on CI and on testing show pass."""
    (block,) = python(page)
    (tmp_path / "test_page.py").write_text(block, "utf-8")
    program = f"import pytest; raise SystemExit(pytest.main(['-q', '-p', 'no:randomly', '-c', {os.devnull!r}, '.']))"

    assert f"{tests} passed" in run_program(groq, tmp_path, program)


@pytest.mark.slow
def test_content(groq: Simulator, tmp_path: Path) -> None:
    """The policy of the page on content can be given, scrubs, and records."""
    ask = """
import groqscope
from groq import Groq
groqscope.configure()
"""
    call = """
Groq().chat.completions.create(model="m", messages=[{"role": "user", "content": "I am Ada"}])
"""
    (block,) = python("content.md")
    run_program(groq, tmp_path, ask + block + call)
    stored = "".join(p.read_text("utf-8") for p in (tmp_path / "store").glob("traces-*.jsonl"))

    assert "I am [name]" in stored
    assert "into the wait" in stored
    assert "Ada" not in stored


@pytest.mark.slow
def test_no_content_by_default(groq: Simulator, tmp_path: Path) -> None:
    """Without asking, neither prompt nor answer is in the store."""
    program = """
import groqscope
from groq import Groq
groqscope.configure()
groqscope.instrument()
Groq().chat.completions.create(model="m", messages=[{"role": "user", "content": "I am Ada"}])
"""
    run_program(groq, tmp_path, program)
    stored = "".join(p.read_text("utf-8") for p in (tmp_path / "store").glob("traces-*.jsonl"))

    assert "groqscope.record" in stored
    assert "Ada" not in stored
    assert "into the wait" not in stored


@pytest.mark.slow
def test_simulator(groq: Simulator, tmp_path: Path) -> None:
    """The simulator's example runs."""
    (block,) = python("simulator.md")

    assert run_program(groq, tmp_path, block) == ""


@pytest.mark.slow
def test_a_recording(tmp_path: Path) -> None:
    """The recording of the page on the simulator is replayed."""
    (recording,) = re.findall(r"```json\n(.*?)```", (ROOT / "docs" / "simulator.md").read_text("utf-8"), re.DOTALL)
    (tmp_path / "hello.json").write_text(recording, "utf-8")
    with Simulator(replay=tmp_path) as simulator:
        program = python("getting-started.md")[0].replace("Where does the time go?", "Hi")

        assert run_program(simulator, tmp_path, program) == "Hello"


@pytest.mark.slow
def test_metrics_do_not_depend_on_sampling(groq: Simulator, tmp_path: Path) -> None:
    """With nothing sampled, metrics and the record in the program are there all the same."""
    program = """
import os
os.environ["OTEL_TRACES_SAMPLER"] = "always_off"
import groqscope
from groq import Groq
groqscope.configure()
groqscope.instrument()
answer = Groq().chat.completions.create(model="m", messages=[{"role": "user", "content": "Hello"}])
print(groqscope.record_of(answer).outcome)
"""
    assert run_program(groq, tmp_path, program) == "completed\n"
    metrics = "".join(p.read_text("utf-8") for p in (tmp_path / "store").glob("metrics-*.jsonl"))
    assert "gen_ai.client.operation.duration" in metrics
    assert list((tmp_path / "store").glob("traces-*.jsonl")) == []


def test_every_test_that_reliability_names_exists() -> None:
    """Each promise names tests that are there; a function alone is of the file that was named last."""
    files = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in ROOT.glob("tests/**/test_*.py")}
    last, found = "", 0
    for name in re.findall(r"`((?:[\w/]+\.py)?(?:::)?\w*)`", TEXTS[ROOT / "docs" / "reliability.md"]):
        file, _, function = (name, "", "") if name.endswith(".py") else name.rpartition("::")
        if not (file or function.startswith("test_")) or (file and not file.rpartition("/")[2].startswith("test_")):
            continue
        last = file or last
        texts = [text for path, text in files.items() if f"/{path}".endswith(f"/{last}")]
        assert texts, name
        assert not function or any(f"def {function}(" in text for text in texts), name
        found += 1

    assert found > 60
