"""Stores whose files are closed."""

import pytest

DAY = 86_400 * 10**9


@pytest.fixture
def much_later() -> int:
    """A moment at which nobody has written to a file for a day."""
    return 4_000_000_000 * 10**9
