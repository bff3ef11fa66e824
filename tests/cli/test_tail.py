"""`groqscope tail`: a line per finished request."""

import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from support.files import write_store
from support.traffic import MS, failed, request

from groqscope.audit import Query
from groqscope.audit.reports import Look
from groqscope.cli.app import run
from groqscope.cli.tail import Screen, follow
from groqscope.store import store_directory


class Terminal:
    """Keeps what was written, and what a terminal would show."""

    def __init__(self, place="", **look):
        self.written = []
        self.now = 0.0
        given = {"width": 200, **look}
        self.screen = Screen(Look(**given), footer=True, place=place, write=self.written.append, clock=lambda: self.now)

    @property
    def lines(self):
        return [line for text in self.written if text.endswith("\n") for line in text.splitlines()]


def tail(*looks, query=None, last=5, **look):
    terminal = Terminal(**look)
    follow(iter(looks), query or Query(), terminal.screen, last=last)
    terminal.screen.close()
    return terminal


def test_a_line_per_request():
    """Model, outcome, times, tokens, cost and ID stand in a line below their titles."""
    terminal = tail([], [request(1), request(2)])
    title, *rest = terminal.lines

    assert title.split()[:3] == ["time", "UTC", "model"]
    assert "llama-3.3-70b-versatile" in rest[0]
    assert "req_01k00000000000000000000001" in rest[0]
    assert "$0.0001" in rest[0]


def test_an_estimate_of_output_tokens_is_marked():
    """Of a stream that was left early the tokens are an estimate, as in the report's list of requests."""
    record = request(1)
    left = replace(record, usage=replace(record.usage, output_tokens=None), output_tokens_estimate=59)
    _, line = tail([left]).lines

    assert " ~59 " in line


@pytest.mark.parametrize("width", [40, 80, 250])
def test_a_narrow_terminal_keeps_what_matters(width):
    """Model, outcome and total are there at any width, under titles that are whole."""
    title, line = tail([failed(0)], width=width).lines

    assert {"model", "outcome", "total"} <= set(title.split())
    assert re.search(r"llama.*! \S+ +[\d.,]+", line)
    assert "time UTC" in title or width == 40


def test_what_was_there_before_begins_it():
    """Of the first look only the newest are shown."""
    terminal = tail([request(n) for n in range(20)], last=3)

    assert sum("req_" in line for line in terminal.lines) == 3


def test_nothing_of_what_was_there():
    """`--last 0` begins with what comes."""
    assert not any("req_" in line for line in tail([request(1)], last=0).lines)


def test_only_what_is_asked_for():
    """A condition selects the lines; what is usual is learned from all."""
    terminal = tail([request(n) for n in range(20)], [request(30), failed(31)], query=Query(where="failed"))
    shown = [line for line in terminal.lines if "req_" in line]

    assert len(shown) == 1
    assert "! rate_limit_exceeded" in shown[0]


def test_names_keep_their_ends():
    """A model's name and an error code that do not fit are cut in their middle, not where they differ."""
    wrong = replace(failed(31), model="llama-3.3-70b-versatlie")
    (line,) = [line for line in tail([], [wrong]).lines if "req_" in line or "llama" in line]

    assert "versatlie" in line or "atlie" in line
    assert "! rat" in line
    assert "eeded" in line


def test_a_slow_request_says_why():
    """Against what was usual before, a slow one names its cause."""
    terminal = tail([request(n) for n in range(20)], [request(30, queue=900 * MS)], last=0)

    assert any("in Groq's queue" in line for line in terminal.lines)


def test_the_footer_counts():
    """Totals since the beginning and of the last minute; what was there before does not count."""
    terminal = Terminal()
    terminal.screen.footer(7, 1, known_before=True)
    terminal.screen.footer(3, 1)
    terminal.now = 61.0
    terminal.screen.footer(1, 0)

    assert terminal.written[-1] == "4 requests, 1 failed; last minute 1, 0 failed; Ctrl-C ends"


def test_the_footer_is_written_when_it_changes():
    """A quiet program leaves the terminal alone."""
    assert len(tail(*[[]] * 50).written) == 2  # the footer once, and its end


def test_before_the_first_request():
    """Where nothing has been seen yet, the footer says where it looks."""
    terminal = Terminal(place="/somewhere/store")
    terminal.screen.footer(0, 0, known_before=True)

    assert terminal.written[-1] == "waiting for requests in /somewhere/store; Ctrl-C ends"


def test_without_a_terminal_there_is_no_footer():
    """Piped output is lines only."""
    written = []
    screen = Screen(Look(width=160), footer=False, write=written.append)
    follow(iter([[], [request(1)], []]), Query(), screen, last=5)
    screen.close()

    assert len(written) == 1
    assert "\r" not in written[0]


def test_colours():
    """A failed request is red where there is colour, and marked where there is none."""
    assert "\x1b[1;31m" in "".join(tail([], [failed(1)], colour=True).written)


def test_names_cannot_command_the_terminal():
    """Control characters of a model's name are shown, not obeyed."""
    text = "".join(tail([], [replace(request(1), model="x\x1b[2Jy")]).written)

    assert "\x1b[2J" not in text


def test_ctrl_c_ends_it_cleanly():
    """The process follows the store, shows a request that is written meanwhile, and ends with status 0."""
    write_store(store_directory(), [replace(request(1), start_unix_ns=time.time_ns())])
    script = "from groqscope.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", script, "tail", "--last", "3"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        lines = [process.stdout.readline(), process.stdout.readline()]  # it follows, once what was there is shown
        write_store(store_directory(), [replace(request(2), start_unix_ns=time.time_ns())])
        lines.append(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
    finally:
        process.kill()

    assert "model" in lines[0]
    assert "req_01k00000000000000000000001" in lines[1]
    assert "req_01k00000000000000000000002" in lines[2]
    assert (process.returncode, rest, errors) == (0, "", "")


def test_a_path_that_is_not_there(capsys):
    """A mistake, at once."""
    assert run(["tail", "nowhere.jsonl"]) == 2
    assert "there is no file or directory" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--where", "x > 1"], ["--unit", "days"], ["--tempo", "x"]])
def test_mistakes(option, capsys):
    """Wrong options are told before anything is followed."""
    assert run(["tail", *option]) == 2
    assert capsys.readouterr().err.startswith("groqscope: ")


def test_following_a_store_begins_with_what_is_there():
    """The first look gives the last day's requests, the next ones what was added."""
    import threading

    from groqscope.cli.tail import _store_polls

    old, fresh = request(1), replace(request(2), start_unix_ns=time.time_ns())
    write_store(store_directory(), [old, fresh])
    stop = threading.Event()
    polls = _store_polls(str(store_directory()), stop)
    first = next(polls)
    write_store(store_directory(), [request(3)])
    second = next(polls)
    stop.set()

    assert first == [replace(fresh, timeline_us=())]
    assert [r.span_id for r in second] == [request(3).span_id]
    assert list(polls) == []


def test_what_cannot_be_read_is_said(capsys, tmp_path):
    """A file of something else is followed all the same, but not in silence."""
    import threading

    from groqscope.cli.tail import _store_polls

    (tmp_path / "notes.jsonl").write_text("not JSON\n")
    first = next(_store_polls(str(tmp_path), threading.Event()))

    assert first == []
    assert capsys.readouterr().err.startswith(f"groqscope: {tmp_path / 'notes.jsonl'}:1: not JSON")


def test_following_a_tempo_shows_each_request_once(monkeypatch):
    """Looks overlap, since traces arrive late; a request is shown when it is first seen."""
    import threading

    from groqscope.audit.tempo import TempoSource
    from groqscope.cli import tail

    answers = [[request(1), request(2)], [request(3), request(1), request(2)], [request(3)]]
    monkeypatch.setattr(TempoSource, "read", lambda *_, **__: iter(answers.pop(0)))
    monkeypatch.setattr(tail, "TEMPO_INTERVAL", 0)
    polls = tail._tempo_polls("http://127.0.0.1:3200", threading.Event())

    assert [[r.request_id[-1] for r in next(polls)] for _ in range(3)] == [["1", "2"], ["3"], []]


def test_a_tempo_that_is_away_for_a_while_is_waited_for(monkeypatch, capsys):
    """It is said once, and the look after it reaches back to the last one that worked."""
    import threading

    from groqscope.audit import SourceError
    from groqscope.audit.tempo import TempoSource
    from groqscope.cli import tail

    answers = [[request(1)], None, None, [request(1), request(2)]]
    asked = []

    def read(*_, since, **__):
        asked.append(since)
        answer = answers.pop(0)
        if answer is None:
            raise SourceError("Tempo did not answer")
        return iter(answer)

    monkeypatch.setattr(TempoSource, "read", read)
    monkeypatch.setattr(tail, "TEMPO_INTERVAL", 0)
    polls = tail._tempo_polls("http://127.0.0.1:3200", threading.Event())

    assert [[r.request_id[-1] for r in next(polls)] for _ in range(4)] == [["1"], [], [], ["2"]]
    assert len(set(asked)) == 1
    assert capsys.readouterr().err == "groqscope: Tempo did not answer; retrying\n"


def test_a_tempo_that_never_answered_is_a_mistake(monkeypatch):
    """At the first look it is more likely that the address is wrong."""
    import threading

    from groqscope.audit import SourceError
    from groqscope.cli import tail

    with pytest.raises(SourceError):
        next(tail._tempo_polls("http://127.0.0.1:9", threading.Event()))
