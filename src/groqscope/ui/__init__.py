"""The live page: a server that follows a store, receives OTLP, and shows the audit while requests arrive.

It needs the packages of the extra `ui`, which are imported when `Server` is used.
"""

from typing import TYPE_CHECKING, Any

from groqscope import _lazy, _serving
from groqscope._serving import MissingExtraError

if TYPE_CHECKING:
    from groqscope.ui.server import Server

__all__ = ["MissingExtraError", "Server", "require_extra"]

_load, __dir__ = _lazy.attach(__name__, {"server": ["Server"]})


def require_extra() -> None:
    """Check that the packages of the extra `ui` are installed.

    Raises:
        MissingExtraError: they are not; the message contains the command that installs them.
    """
    _serving.require_extra("ui", "the live page")


def __getattr__(name: str) -> Any:
    if name == "Server":
        require_extra()
    return _load(name)
