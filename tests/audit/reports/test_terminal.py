"""The reports in the terminal: whatever the record, the width and the switches."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.cells import cell_len
from support import report_samples
from support.report_samples import (
    ODD,
    SAMPLES,
    both,
    compared,
    explained,
    judged,
    many,
    nothing,
    one,
    overview,
    stretched,
)

from groqscope.audit.reports import Look, Section, TerminalRenderer, look_of
from groqscope.timeline import ExecutedTool, RequestRecord

WIDTHS = (60, 80, 160)
SHOWN = ("streamed", "retried", "slow_consumer", "tool_calls", "cold", "broken", "unfinished", "foreign", "huge")

Snapshot = Callable[[str, str], None]


EVERY = SAMPLES | ODD


@pytest.fixture(params=EVERY, scope="module")
def record(request: pytest.FixtureRequest) -> RequestRecord:
    return EVERY[request.param]()


@pytest.mark.parametrize("width", [40, *WIDTHS, 240])
@pytest.mark.parametrize("unicode", [True, False])
def test_fits_the_width(record: RequestRecord, width: int, unicode: bool) -> None:
    """No line is wider than the terminal, none has a control character, none ends in spaces."""
    text = TerminalRenderer(Look(width=width, unicode=unicode)).render(one(record))

    for line in text.splitlines():
        assert cell_len(line) <= width
        assert line.isprintable()
        assert line == line.rstrip()


def test_ascii_is_ascii(record: RequestRecord) -> None:
    """Without unicode nothing but ASCII is written, names from data included."""
    TerminalRenderer(Look(unicode=False)).render(one(record)).encode("ascii")


def test_plain_has_no_escape_sequences(record: RequestRecord) -> None:
    """Without colour the text is only text, and the same as with colour."""
    plain = TerminalRenderer(Look()).render(one(record))
    coloured = TerminalRenderer(Look(colour=True)).page(one(record))

    assert "\x1b" not in plain
    assert "\x1b[" in coloured.text()
    assert plain.splitlines() == [line.plain for line in coloured.lines()]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", SHOWN)
def test_request(name: str, width: int, snapshot: Snapshot) -> None:
    """One request."""
    snapshot(f"request-{name}-{width}.txt", TerminalRenderer(Look(width=width)).render(judged(SAMPLES[name]())))


@pytest.mark.parametrize("width", WIDTHS)
def test_overview(width: int, snapshot: Snapshot) -> None:
    """Many requests, with budgets and causes."""
    snapshot(f"overview-{width}.txt", TerminalRenderer(Look(width=width)).render(explained()))


def test_overview_in_ascii(snapshot: Snapshot) -> None:
    """The same without unicode."""
    snapshot("overview-ascii.txt", TerminalRenderer(Look(width=80, unicode=False)).render(explained()))


@pytest.mark.parametrize("section", ["why", "tools", "budgets"])
def test_section_is_a_part_of_the_overview(section: Section) -> None:
    """A part asked for alone is what the whole shows."""
    renderer = TerminalRenderer(Look(width=100))
    whole, part = renderer.render(explained()), renderer.render(explained(), section)

    assert part.partition("\n\nfrom ~")[0] in whole


def test_no_tool_calls() -> None:
    """Without tool calls a sentence stands in place of their table."""
    text = TerminalRenderer(Look(width=80)).render(overview([report_samples.streamed()]), "tools")

    assert text.startswith("No request made a tool call.")


@pytest.mark.parametrize("width", WIDTHS)
def test_comparison(width: int, snapshot: Snapshot) -> None:
    """Two sets."""
    snapshot(f"comparison-{width}.txt", TerminalRenderer(Look(width=width)).render(compared()))


def test_real_comparison_fits() -> None:
    """What the analysis really says fits the width as well."""
    text = TerminalRenderer(Look(width=60)).render(both(many(120), [stretched(record, 1.6) for record in many(120)]))

    assert max(map(cell_len, text.splitlines())) <= 60


def test_overview_fits_every_width() -> None:
    """From the narrowest on, no line is too wide, and the columns left out are named."""
    audit = overview([*many(60), *(sample() for sample in SAMPLES.values())])
    for width in range(40, 200, 7):
        text = TerminalRenderer(Look(width=width)).render(audit)
        assert max(map(cell_len, text.splitlines())) <= width

    assert "too narrow for: " in TerminalRenderer(Look(width=60)).render(audit)


def test_empty_overview() -> None:
    """Without requests one sentence says so, and where they were looked for."""
    text = TerminalRenderer(Look(width=80)).render(nothing())

    assert text.startswith("No requests.\n\nfrom ~/.local/state/groqscope")


def test_unknown_is_a_dash_with_its_reason() -> None:
    """Tokens that never came are not 0, and the report says why."""
    text = TerminalRenderer(Look(width=160)).render(one(report_samples.broken()))

    assert "- tokens  cost -" in text
    assert "tokens -: no usage came, about 41 tokens by the chunks seen (an estimate)" in text
    assert " 0 tokens" not in text


def test_lengths_not_known_have_their_reason() -> None:
    """A call that was not streamed and a tool that Groq announced with its output have no length."""
    call = replace(report_samples.tool_calls().tool_calls[0], first_delta_ns=None, delta_ns=None, assembly_ns=None)
    tool = ExecutedTool(index=0, type="search")
    record = replace(report_samples.cold(), tool_calls=(call,), executed_tools=(tool,))
    text = TerminalRenderer(Look(width=120)).render(record)

    assert "tool calls -: without a stream nobody sees a call arrive" in text
    assert "Groq's tools -: not announced before their output came" in text


def test_unfinished_says_so_first() -> None:
    """A request that still runs has a line of its own."""
    text = TerminalRenderer(Look(width=120)).render(one(report_samples.unfinished()))

    assert text.startswith("Unfinished: it was running when this was recorded")


def test_record_without_verdict_says_how_it_ended() -> None:
    """A record alone is shown too, its ending first."""
    text = TerminalRenderer(Look(width=120)).render(report_samples.broken())

    assert text.startswith("Failed: capacity_exceeded (HTTP 200): over capacity, please try again\n")


def test_hostile_names_are_only_text() -> None:
    """Markup of rich and escape sequences in a tool's name are shown as they are."""
    text = TerminalRenderer(Look(width=160, colour=True)).render(one(report_samples.huge()))

    assert "<script>" in text
    assert "\x1b[31m[bold]" not in text


def test_what_was_not_kept_is_counted() -> None:
    """Attempts, calls and deltas beyond the room for them are said to be missing."""
    record = report_samples.retried()
    call = report_samples.tool_calls().tool_calls[0]
    record = replace(record, attempts_dropped=3, tool_calls=(call,) * 15, tool_calls_dropped=2, usage_deltas_dropped=4)
    text = TerminalRenderer(Look(width=120)).render(record)

    assert "and 3 attempts in between, not kept" in text
    assert "attempt 6" in text
    assert "and 5 calls more" in text
    assert "and 4 more" in text


def test_warnings_stand_over_the_provenance() -> None:
    """What could not be read is said, the first five in words."""
    warnings = tuple(f"line {number} is broken" for number in range(8))
    text = TerminalRenderer(Look(width=80)).render(overview([report_samples.streamed()], warnings=warnings))

    assert "warning  line 0 is broken\n" in text
    assert "line 5" not in text
    assert "and 3 warnings more" in text


def test_many_models_are_cut() -> None:
    """Beyond twelve models the rest is counted."""
    records = [replace(report_samples.streamed(), model=f"model-{number}") for number in range(15)]

    assert "and 3 models more" in TerminalRenderer(Look(width=80)).render(overview(records))


def test_several_days_have_dates() -> None:
    """Requests of more than one day are listed with their date."""
    first = report_samples.streamed()
    later = replace(first, start_unix_ns=first.start_unix_ns + 86_400 * 10**9, request_id="req_later")
    text = TerminalRenderer(Look(width=160)).render(overview([first, later]))

    assert "11-11 10:03:11.482" in text
    assert "11-12 10:03:11.482" in text


def test_forced_unit() -> None:
    """A unit asked for is used throughout."""
    text = TerminalRenderer(Look(width=100, unit="s")).render(one(report_samples.streamed()))

    assert "client, s" in text
    assert " 0.761 |" in text


def test_reported_times_that_do_not_fit_are_not_drawn() -> None:
    """A server time longer than the request has no bar, and the cut is explained."""
    record = report_samples.streamed()
    lying = replace(record, usage=replace(record.usage, completion_time=60.0), phases_clamped=True)
    text = TerminalRenderer(Look(width=100)).render(one(lying))

    (completion,) = [line for line in text.splitlines() if line.startswith("completion")]
    assert "▒" not in completion
    assert "elsewhere" not in text
    assert "did not fit into the measured wait" in text


@pytest.mark.parametrize(
    ("tty", "environ", "colour"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": "0"}, False),
        (True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {"TERM": "dumb", "FORCE_COLOR": "1"}, True),
    ],
)
def test_colour_switch(tty: bool, environ: dict[str, str], colour: bool) -> None:
    """NO_COLOR wins over FORCE_COLOR, which wins over what the output is."""
    assert look_of(tty=tty, encoding="utf-8", columns=80, environ=environ).colour is colour


@pytest.mark.parametrize(
    ("encoding", "unicode"), [("UTF-8", True), ("utf8", True), ("ascii", False), ("latin-1", False), (None, False)]
)
def test_unicode_switch(encoding: str | None, unicode: bool) -> None:
    """The output's encoding decides about blocks, apart from colour."""
    assert look_of(tty=True, encoding=encoding, columns=80, environ={}).unicode is unicode


def test_width_has_a_floor() -> None:
    """A terminal too narrow for any report, or one that does not tell, gets a width that works."""
    assert Look(width=10).width == 40
    assert look_of(tty=True, encoding="utf-8", columns=0, environ={}).width == 100


def test_rich_is_imported_with_the_terminal_only() -> None:
    """JSON, CSV and HTML do not pay for the terminal's modules, the only ones that import rich."""
    script = (
        "import sys; from groqscope.audit.reports import CsvRenderer, HtmlRenderer, JsonRenderer, Look; "
        "sys.exit('groqscope.audit.reports.page' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0
