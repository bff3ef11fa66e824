"""The error message when pydantic-ai is not installed."""

from typing import NoReturn


def raise_for(error: ImportError) -> NoReturn:
    """Raise an error with the command that installs the extra.

    Raises:
        ImportError: always.
    """
    raise ImportError(
        f"groqscope.models.groq needs pydantic-ai ({error}): pip install 'groqscope[pydantic-ai]'", name=error.name
    ) from error
