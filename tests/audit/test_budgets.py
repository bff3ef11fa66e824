"""Budgets and goodput."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.traffic import MS, failed, request, retried

from groqscope.audit import (
    AuditError,
    Budgets,
    ExpressionError,
    SourceError,
    parse_budget,
    parse_goodput,
    project_budgets,
)

ORDINARY = [request(n) for n in range(200)]


def measure(records, *budgets, goodput=()):
    limits = Budgets([parse_budget(b) for b in budgets], parse_goodput(goodput) if goodput else None)
    for record in records:
        limits.add(record)
    return limits.results()


@pytest.mark.parametrize(
    ("budget", "verdict"),
    [
        ("ttfc.p95 < 400ms", "ok"),
        ("ttfc.p95<10ms", "over"),
        ("ttfc.p95 > 10ms", "ok"),
        ("duration.max <= 10s", "ok"),
        ("duration.median < 400ms", "ok"),
        ("e2el.mean < 0.3s", "over"),
        ("phase.queue.p99 < 1s", "ok"),
        ("queue.min >= 1ms", "ok"),
        ("errors < 1%", "ok"),
        ("errors < 1", "ok"),
        ("errors <= 0", "ok"),
        ("requests >= 200", "ok"),
        ("requests > 200", "over"),
        ("cost.sum < 2usd", "ok"),
        ("cost.sum < $0.01", "over"),
        ("cost.max < 0.01", "ok"),
        ("output_tokens.sum < 1k", "over"),
        ("throughput.p50 > 100", "ok"),
        ("share.queue.p95 < 50%", "ok"),
        ("retried < 5%", "ok"),
        ("abandoned < 5", "ok"),
        ("ttfc.count >= 200", "ok"),
        ("retries.sum <= 0", "ok"),
        ("ttfc.p95 < 400ms where model ~ 'llama' and not failed", "ok"),
    ],
)
def test_verdicts(budget, verdict):
    """Statistics of fields, counts and shares, with any of the four operators, and a condition."""
    (result,) = measure(ORDINARY, budget)

    assert result.verdict == verdict
    assert result.expression == budget


def test_a_percentile_that_the_requests_cannot_support_cannot_be_told():
    """Too few requests leave a budget inconclusive, whatever their values."""
    (result,) = measure(ORDINARY[:99], "ttfc.p99 < 10s")

    assert (result.verdict, result.measured, result.n) == ("inconclusive", None, 99)
    assert result.note == "p99 needs 100 values, there are 99"


@pytest.mark.parametrize("budget", ["cost.sum < 1usd", "errors < 1%", "ttfc.max < 1s"])
def test_nothing_to_measure_cannot_be_told(budget):
    """Without a request, or without one that has the field, there is no verdict."""
    (result,) = measure([], budget)

    assert result.verdict == "inconclusive"
    assert result.note


def test_what_is_left_out_is_said():
    """Requests that lack the field are counted in the note."""
    (result,) = measure([*ORDINARY, failed(500)], "cost.sum < 1usd")

    assert result.note == "1 request without cost left out"


def test_errors_as_share_and_as_count():
    """The limit's unit decides what errors are."""
    share, number = measure([*ORDINARY[:98], failed(1), failed(2)], "errors < 1%", "errors < 3")

    assert (share.measured, share.unit, share.verdict) == (0.02, "share", "over")
    assert (number.measured, number.unit, number.verdict) == (2, "1", "ok")


def test_conditions_count_only_their_own():
    """`where` narrows the requests of one budget."""
    (result,) = measure([*ORDINARY, retried(300, backoff_ns=300 * MS)], "duration.max < 1s where retries = 0")

    assert (result.n, result.verdict) == (200, "ok")


def test_goodput_is_measured():
    """Goodput without a limit is reported and fails nothing."""
    slow = [request(n, queue=1000 * MS) for n in range(50)]
    (result,) = measure([*ORDINARY[:50], *slow], goodput=("ttft:400", "e2el:3000"))

    assert (result.measured, result.verdict, result.limit) == (0.5, "measured", None)
    assert result.expression == "goodput ttft:400 duration:3000"


def test_goodput_with_a_limit():
    """A budget on goodput makes it a verdict; failed requests are not good."""
    results = measure([*ORDINARY[:90], *(failed(n) for n in range(10))], "goodput >= 95%", goodput=("ttft:400",))

    assert [(r.measured, r.verdict) for r in results] == [(0.9, "over")]


def test_a_budget_on_goodput_needs_its_limits():
    """A budget on goodput needs limits that say what is good."""
    with pytest.raises(AuditError, match="needs limits that define it: add for example --goodput ttft:400"):
        measure([], "goodput > 95%")


@pytest.mark.parametrize("text", ["ttft", "ttft=400", "ttft:fast", "ttft:-1", "ttft:nan", ":400", "model:3", "cost:1"])
def test_wrong_goodput(text):
    """A goodput limit of another form is rejected, and the message quotes it or names the field."""
    with pytest.raises(AuditError):
        parse_goodput([text])


@pytest.mark.parametrize(
    ("budget", "position", "message"),
    [
        ("", 0, "expected a measure"),
        ("ttfc.p95", 8, "expected a measure"),
        ("ttfc.p95 = 400ms", 9, "expected a measure"),
        ("ttfc < 400ms", 0, r"which of all values of ttfc\? write ttfc.p95"),
        ("tttfc.p95 < 400ms", 0, "did you mean ttfc"),
        ("ttfc.p95 < 400", 11, "expected a duration such as 400ms"),
        ("errors < 400ms", 9, "expected a plain number"),
        ("goodput > 400ms", 10, "expected a share"),
        ("cost.sum < 5%", 11, "expected an amount"),
        ("ttfc.p95 < 400ms and errors < 1%", 17, "expected the end, or where"),
        ("ttfc.p95 < 400ms where modle = 'x'", 23, "did you mean model"),
        ("ttfc.p95 < 400parsec", 14, "unknown unit"),
        ("model.p95 < 1", 0, "is text"),
        ("where failed", 0, "expected a measure"),
    ],
)
def test_a_wrong_budget_is_pointed_at(budget, position, message):
    """The message for each mistake is one sentence, with a caret under its place in the budget."""
    with pytest.raises(ExpressionError, match=message) as caught:
        parse_budget(budget)

    assert caught.value.position == position
    assert caught.value.text == budget


@given(st.text(max_size=60))
def test_any_text_is_understood_or_refused(text):
    """Whatever the text, the only exception is AuditError."""
    try:
        parse_budget(text)
    except AuditError:
        return
    assert measure([], text)[0].verdict in {"ok", "over", "inconclusive"}


def test_project_budgets(tmp_path, monkeypatch):
    """The nearest pyproject.toml in this directory or above is read: expressions by name, goodput as a table."""
    (tmp_path / "pyproject.toml").write_text(
        '[tool.groqscope.budgets]\nfirst = "ttfc.p95 < 400ms"\n'
        'goodput = { ttft = 400, e2el = 3000, at_least = "95%" }\n'
    )
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    budgets, goodput = project_budgets()

    assert [b.expression for b in budgets] == ["first: ttfc.p95 < 400ms", "goodput >= 95%"]
    assert budgets[0].source == "[tool.groqscope.budgets] in pyproject.toml"
    assert goodput.expression == "ttft:400 duration:3000"


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("[tool.other]", SourceError, r"has no \[tool.groqscope.budgets\]"),
        ("[tool]\ngroqscope = 3", SourceError, r"has no \[tool.groqscope.budgets\]"),
        ("[tool.groqscope.budgets]", AuditError, "holds no budget"),
        ("[tool.groqscope.budgets]\na = 3", AuditError, "a = 3 is not a budget"),
        ("[tool.groqscope.budgets]\na = 'ttfc.p95'", ExpressionError, r"toml: a: expected a measure"),
        ("[tool.groqscope.budgets]\ngoodput = {ttft = 'x'}", AuditError, "expected KEY:MILLISECONDS"),
        ("not = [toml", SourceError, "is not TOML"),
    ],
)
def test_a_wrong_project_file(tmp_path, content, error, message):
    """The message says which file is wrong, and in what way."""
    file = tmp_path / "budgets.toml"
    file.write_text(content)

    with pytest.raises(error, match=message):
        project_budgets(file)


def test_a_missing_project_file(tmp_path, monkeypatch):
    """Without a file the message says where it was looked for, or which one was named."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SourceError, match=r"there is no pyproject.toml in .* name one with --config"):
        project_budgets()
    with pytest.raises(SourceError, match="cannot be read: No such file"):
        project_budgets(tmp_path / "none.toml")
