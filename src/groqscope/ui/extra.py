"""The packages that the live page needs beside groqscope's own."""

import importlib.util


class MissingExtraError(ImportError):
    """The packages of the extra `ui` are not installed."""


def require_extra() -> None:
    """Check that starlette and uvicorn are installed.

    Raises:
        MissingExtraError: they are not; the message contains the command that installs them.
    """
    for package in ("starlette", "uvicorn"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(f"the live page needs {package}: pip install 'groqscope[ui]'")
