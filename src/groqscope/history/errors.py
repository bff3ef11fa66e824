"""What the user can put right about history."""


class HistoryError(Exception):
    """One sentence: what is wrong, and what to do."""
