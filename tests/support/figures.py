"""What tests measured, printed when all have run, whatever pytest captures and whichever process they ran in."""

from collections.abc import Callable
from typing import Final

import pytest

Figure = Callable[[str, str], None]
"""Note a figure: what was measured, and what came out, with its unit."""

FIGURE: Final = "figure"
"""The property of a test's report under which it travels."""


def print_figures(reporter: pytest.TerminalReporter) -> None:
    """Print the figures of the tests that passed, in the order of their names."""
    found = sorted(
        (what, value)
        for report in reporter.getreports("passed")
        if report.when == "call"
        for key, (what, value) in report.user_properties
        if key == FIGURE
    )
    if not found:
        return
    reporter.section("figures")
    width = max(len(what) for what, _ in found)
    for what, value in found:
        reporter.write_line(f"{what:<{width}}  {value}")
