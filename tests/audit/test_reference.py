"""The documentation says what the code does."""

import re
from pathlib import Path

import pytest

from groqscope.audit import compile_where, parse_budget
from groqscope.cli.audit import BROKEN, INCONCLUSIVE, OVER

PAGE = Path(__file__).parents[2] / "docs" / "audit.md"
TEXT = PAGE.read_text(encoding="utf-8")


def _block(after):
    lines = TEXT.split(after, 1)[1].split("\n\n", 2)[1].splitlines()
    return [line.strip() for line in lines if line.startswith("    ")]


@pytest.mark.parametrize("expression", _block("`--where` takes an expression:"))
def test_expressions_of_the_page_are_understood(expression):
    """Each example compiles."""
    compile_where(expression)


@pytest.mark.parametrize("budget", re.findall(r"--budget (?:'([^']+)'|\"([^\"]+)\")", TEXT))
def test_budgets_of_the_page_are_understood(budget):
    """Each example parses."""
    parse_budget("".join(budget))


def test_exit_statuses_of_the_page():
    """The documented exit statuses are those of the command."""
    assert f"| {OVER} | a budget is over |" in TEXT
    assert f"| {BROKEN} | wrong arguments" in TEXT
    assert f"| {INCONCLUSIVE} | a budget is inconclusive" in TEXT
