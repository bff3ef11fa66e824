"""What to say when pydantic-ai is not there."""

from typing import NoReturn


def raise_for(error: ImportError) -> NoReturn:
    """Name the command that installs the extra.

    Raises:
        ImportError: always.
    """
    raise ImportError(
        f"groqscope.models.groq needs pydantic-ai ({error}): pip install 'groqscope[pydantic-ai]'", name=error.name
    ) from error
