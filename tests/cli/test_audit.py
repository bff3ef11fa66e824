"""`groqscope audit` from end to end, over a store that the project's own exporter wrote."""

import errno
import json
from dataclasses import replace
from pathlib import Path

import pytest
from support import runs
from support.files import write_store
from support.traffic import MS, request, traffic

from groqscope.audit import AuditError
from groqscope.cli.app import run
from groqscope.cli.audit import sort_out
from groqscope.cli.output import write_new
from groqscope.store import store_directory


@pytest.fixture
def store():
    """The user's store with a hundred and twenty requests."""
    return write_store(store_directory(), traffic(120))


def output(capsys, *arguments):
    status = run(["audit", *arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_the_overview(store, capsys):
    """Newest requests and percentiles by model, without colour when piped."""
    status, out, err = output(capsys)

    assert (status, err) == (0, "")
    assert "120 requests" in out
    assert "llama-3.3-70b-versatile" in out
    assert "\x1b" not in out


def test_one_request(store, capsys):
    """The beginning of an ID shows that request."""
    status, out, _ = output(capsys, "req_01k00000000000000000000007")

    assert status == 0
    assert "req_01k00000000000000000000007" in out
    assert "prepare" in out


def test_files_instead_of_the_store(store, capsys, tmp_path):
    """A path is read instead, beside an ID too."""
    file = write_store(tmp_path / "other", [request(500)])
    _, out, _ = output(capsys, str(file))
    status, one, _ = output(capsys, str(tmp_path / "other"), "req_01k00000000000000000000500")

    assert "1 request." in out
    assert status == 0
    assert "req_01k00000000000000000000500" in one


AGENT, NESTED, FIRST, SECOND = "a" * 16, "c" * 16, "b1" * 8, "b2" * 8


@pytest.fixture
def trace(store):
    """An agent with two requests and a tool in the user's store, beside the requests there."""
    spans = [
        runs.span(AGENT, 1_000, 3_000, name="invoke_agent planner"),
        runs.request(FIRST, 1_000, AGENT, receive=300),
        runs.tool("d" * 16, "search", 1_300, 2_500, AGENT),
        runs.span(NESTED, 2_500, 3_000, AGENT, name="summary"),
        runs.request(SECOND, 2_500, NESTED, receive=400),
    ]
    runs.write_traces(store_directory(), [spans])
    return runs.TRACE


@pytest.mark.parametrize("wanted", [runs.TRACE, runs.TRACE[:8], AGENT, AGENT[:6]])
def test_a_run(trace, capsys, wanted):
    """The ID of a trace with several requests, or of the span that is a run, shows the whole run."""
    status, out, err = output(capsys, wanted)

    assert (status, err) == (0, "")
    assert out.startswith("invoke_agent planner: 2.00 s, 2 requests, 1 tool execution: 60% in tool search")
    assert "the critical path" in out


def test_a_part_of_a_run(trace, capsys):
    """The ID of a span inside a run shows what happened below it, that of a request the request."""
    _, part, _ = output(capsys, NESTED)
    _, one, _ = output(capsys, SECOND)

    assert part.startswith("summary: 500 ms, 1 request")
    assert "where the time went" not in one
    assert SECOND in one


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["req_zzzz"], "no request with the ID 'req_zzzz' among 120"),
        (["req_01k"], "120 requests have the ID 'req_01k'"),
        (["req_1", "req_2"], "only one ID"),
        (["nowhere.jsonl"], "there is no file or directory 'nowhere.jsonl'"),
        (["./nowhere"], "there is no file or directory './nowhere'"),
        (["--where", "ttfc > 1"], "ttfc is a duration: write 1ms or 1s\n    ttfc > 1\n           ^"),
        (["--budget", "ttfc<1s"], "which of all values of ttfc?"),
        (["--goodput", "ttft"], "expected KEY:MILLISECONDS"),
        (["--since", "never"], "--since 'never' is not a time"),
        (["--since", "0001-01-01"], "--since '0001-01-01' is not a time"),
        (["--until", "9999999d"], "no request in that time"),
        (["--where", "start < '0001-01-01'"], "expected a time such as"),
        (["--budget", "ttfc.p99.99999999999999999<1s"], "unknown field 'ttfc.p99.99999999999999999'"),
        (["--since", "1m"], "no request in that time"),
        (["--outcome", "failed"], "unknown outcome 'failed'"),
        (["--by", "speed", "--slowest", "3"], "unknown field 'speed'"),
        (["--where", "duration > 1h"], "none of 120 requests fits (where duration > 1h)"),
        (["--tempo", "localhost"], "is not an address"),
        (["--tempo", "http://[::1"], "is not an address"),
        (["--tempo", "http://127.0.0.1:99999"], "is not an address"),
        (["--unit", "minutes"], "--unit 'minutes': use us, ms or s"),
        (["--json", "--csv"], "one of --json, --csv and --markdown"),
        (["--limit", "-1"], "--limit must be at least 0"),
        (["--config", "none.toml"], "none.toml cannot be read"),
        (["--compare", "nowhere", "elsewhere"], "there is no file or directory 'nowhere'"),
    ],
)
def test_mistakes(store, capsys, arguments, message):
    """Each mistake is a sentence on standard error, exit status 2, and nothing on standard output."""
    status, out, err = output(capsys, *arguments)

    assert status == 2
    assert err.startswith("groqscope: ")
    assert message in err
    assert out == ""


def test_an_empty_store(capsys):
    """Without a store: what fills it."""
    status, _, err = output(capsys)

    assert status == 2
    assert "is empty: call groqscope.configure()" in err


def test_selection_reaches_the_report(store, capsys):
    """The conditions narrow what is counted, and the report repeats them."""
    status, out, _ = output(capsys, "--model", "gpt", "--where", "ttfc > 1ms", "--last", "50", "--json")
    report = json.loads(out)

    assert status == 0
    assert report["provenance"]["selection"]["words"] == ["model gpt", "where ttfc > 1ms", "the last 50"]


def test_slowest_lists_by_the_field(store, capsys):
    """`--slowest N --by FIELD` lists so many, in that order."""
    _, out, _ = output(capsys, "--slowest", "3", "--by", "queue", "--json")

    assert len(json.loads(out)["entries"]) == 3


def test_limit(store, capsys):
    """`--limit` sets how many are listed."""
    _, out, _ = output(capsys, "--limit", "7", "--json")

    assert len(json.loads(out)["entries"]) == 7


@pytest.mark.parametrize(
    ("budgets", "status"),
    [
        (["requests >= 120"], 0),
        (["duration.max < 1ms"], 1),
        (["ttfc.p99.9 < 1h"], 3),
        (["ttfc.p99.9 < 1h", "duration.max < 1ms"], 1),
        (["requests > 0", "ttfc.p99.9 < 1h"], 3),
    ],
)
def test_exit_status_of_budgets(store, capsys, budgets, status):
    """0 when all are kept, 1 when one is over, 3 when one is inconclusive and none is over."""
    arguments = [part for budget in budgets for part in ("--budget", budget)]

    assert output(capsys, *arguments)[0] == status


def test_goodput_alone_fails_nothing(store, capsys):
    """Goodput without a limit is shown."""
    status, out, _ = output(capsys, "--goodput", "ttft:400", "--goodput", "e2el:3000")

    assert status == 0
    assert "goodput" in out


def test_budgets_of_the_project(store, capsys, tmp_path, monkeypatch):
    """`--budgets` reads pyproject.toml; without the option a project's budgets are left alone."""
    (tmp_path / "pyproject.toml").write_text("[tool.groqscope.budgets]\nfast = 'duration.max < 1ms'\n")
    monkeypatch.chdir(tmp_path)

    assert output(capsys, "--budgets")[0] == 1
    assert output(capsys, "--config", "pyproject.toml")[0] == 1
    assert output(capsys)[0] == 0


def test_a_broken_line_is_told_and_the_rest_is_read(store, capsys):
    """The report is there, the place is told, exit status 2."""
    with store.open("a") as file:
        file.write("{broken\n")
        file.write(store.read_text().splitlines()[0] + "\n")
    status, out, err = output(capsys)

    assert status == 2
    assert f"{store}:3: not JSON" in err
    assert "240 requests" not in out
    assert "requests" in out


def test_a_torn_last_line_is_no_mistake(store, capsys):
    """A writer at work, or killed, leaves half a line: said in the report, exit status 0."""
    with store.open("a") as file:
        file.write('{"resourceSpans":[')
    status, out, _ = output(capsys)

    assert status == 0
    assert "torn" in out


def test_why(store, capsys):
    """`--why` names the causes."""
    status, out, _ = output(capsys, "--why")

    assert status == 0
    assert "in Groq's queue" in out


def test_tools(store, capsys):
    """`--tools` shows tool calls."""
    _, out, _ = output(capsys, "--tools")

    assert "get_weather" in out


def test_compare(capsys, tmp_path):
    """`--compare A B` says what changed."""
    a = write_store(tmp_path / "a", [request(n) for n in range(60)])
    b = write_store(tmp_path / "b", [request(n, queue=300 * MS) for n in range(60)])
    status, out, _ = output(capsys, "--compare", str(a), str(b))

    assert status == 0
    assert "slower" in out


@pytest.mark.parametrize("form", ["--json", "--csv", "--markdown"])
def test_forms(store, capsys, form):
    """Each form is written to standard output, for an overview and for one request."""
    status, overview, _ = output(capsys, form)
    again, one, _ = output(capsys, form, "req_01k00000000000000000000007")

    assert (status, again) == (0, 0)
    assert overview.endswith("\n")
    assert "req_01k00000000000000000000007" in one


@pytest.mark.parametrize("form", ["--markdown", "--html"])
def test_unit(store, capsys, tmp_path, form):
    """`--unit` counts in every form that is for people."""
    page = tmp_path / "page.html"
    _, out, _ = output(capsys, "--unit", "s", form, *([str(page)] if form == "--html" else []))
    text = page.read_text() if form == "--html" else out

    assert "Quantiles, s<" in text
    assert "Quantiles, ms<" not in text


def test_csv_has_a_line_per_request(store, capsys):
    """CSV lists all requests, however many."""
    _, out, _ = output(capsys, "--csv")

    assert len(out.splitlines()) == 121


def test_half_a_page_is_not_left_behind(tmp_path, monkeypatch):
    """A page that cannot be written in full is taken away, so that it is not in the way of the next attempt."""
    page = tmp_path / "page.html"

    def fill_up(path, *_, **__):
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", fill_up)
    with pytest.raises(AuditError, match=r"page.html cannot be written: No space left on device"):
        write_new(page, "text", force=False)
    assert not page.exists()


def test_html_is_not_overwritten(store, capsys, tmp_path):
    """A page is written once; again only with --force."""
    page = tmp_path / "page.html"
    first = output(capsys, "--html", str(page))
    second = output(capsys, "--html", str(page))
    third = output(capsys, "--html", str(page), "--force")

    assert (first[0], first[1], first[2]) == (0, "", f"wrote {page}\n")
    assert second[0] == 2
    assert "exists already" in second[2]
    assert third[0] == 0
    assert page.read_text().startswith("<!")


def test_html_that_cannot_be_written(store, capsys, tmp_path):
    """A directory that is not there is told."""
    status, _, err = output(capsys, "--html", str(tmp_path / "none" / "page.html"))

    assert status == 2
    assert "cannot be written: No such file or directory" in err


def test_fields(capsys):
    """`--fields` lists the vocabulary with its aliases."""
    status, out, _ = output(capsys, "--fields")

    assert status == 0
    assert "(also e2el, total)" in out
    assert "phase.queue" in out


def test_names_from_data_cannot_command_the_terminal(capsys):
    """Control characters in names are shown, not obeyed."""
    write_store(store_directory(), [replace(request(1), model="evil\x1b]0;title\x07")])
    _, out, _ = output(capsys)

    assert "\x1b" not in out
    assert "\x07" not in out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ([], None)),
        (["req_1"], ([], "req_1")),
        (["-"], (["-"], None)),
        (["a.jsonl", "req_1"], (["a.jsonl"], "req_1")),
        (["dir/x", "b.jsonl.gz"], (["dir/x", "b.jsonl.gz"], None)),
    ],
)
def test_ids_and_paths_are_told_apart(arguments, expected):
    """What looks like a path is one."""
    assert sort_out(arguments) == expected


def test_many_broken_lines_are_counted(store, capsys):
    """Three are told one by one, the rest by number."""
    with store.open("a") as file:
        file.write("{broken\n" * 9)
    _, _, err = output(capsys)

    assert err.count("not JSON") == 3
    assert "groqscope: and 6 more; the report lists them" in err
