"""Errors that the user can correct: each message says what is wrong and what to do.

AuditError              exit status 2
+-- ExpressionError     in --where or --budget: points at the place
+-- SourceError         a file, a directory or Tempo cannot be read
+-- NotFound            no such request
+-- NoRequests          nothing to audit
"""


class AuditError(Exception):
    """An error that the user can correct."""

    exit_code = 2


class ExpressionError(AuditError):
    """An expression that cannot be understood, with a caret under the place."""

    def __init__(self, message: str, text: str, position: int) -> None:
        self.message = message
        self.text = text
        self.position = position
        shown = text.replace("\n", " ").replace("\t", " ")
        super().__init__(f"{message}\n    {shown}\n    {' ' * min(position, len(shown))}^")


class SourceError(AuditError):
    """A source that cannot be read."""


class NotFound(AuditError):
    """No request, or more than one, has the ID."""

    def __init__(self, message: str, found: int = 0) -> None:
        super().__init__(message)
        self.found = found
        """How many have the ID."""


class NoRequests(AuditError):
    """The sources hold no request, or none is selected."""
