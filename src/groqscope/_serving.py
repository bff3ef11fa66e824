"""What the two servers, the simulator and the live page, share: the packages they need, and how they listen."""

import importlib.util
import socket
from typing import Final

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class MissingExtraError(ImportError):
    """The packages of an extra of groqscope are not installed."""


def require_extra(extra: str, what: str) -> None:
    """Check that starlette and uvicorn are installed.

    Raises:
        MissingExtraError: they are not; the message contains the command that installs them.
    """
    for package in ("starlette", "uvicorn"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(f"{what} needs {package}: pip install 'groqscope[{extra}]'")


def listen(host: str, port: int) -> tuple[socket.socket, int]:
    """Return a listening socket and its port, a free one for port 0.

    Raises:
        OSError: the port is taken, or the address is not this machine's.
    """
    listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    return listener, listener.getsockname()[1]
