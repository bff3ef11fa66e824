"""What the two servers, the simulator and the live page, share: the packages they need, and how they listen."""

import importlib.util
import socket
from contextlib import suppress
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


EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - what they mean, not what is bound
"""Hosts that stand for all addresses of this machine."""


def names_of_this_machine() -> list[str]:
    """Return the name and the addresses by which others reach this machine, as far as it knows them; none is asked."""
    name = socket.gethostname()
    found = [name]
    with suppress(OSError):
        found += sorted({str(address[0]) for *_, address in socket.getaddrinfo(name, None, socket.AF_INET)})
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
        route.connect(("192.0.2.1", 9))  # sends nothing: it only chooses the address that would be used
        found.append(route.getsockname()[0])
    return [one for one in dict.fromkeys(found) if one not in LOOPBACK and not one.startswith("127.")]


def listen(host: str, port: int) -> tuple[socket.socket, int]:
    """Return a listening socket and its port, a free one for port 0.

    Raises:
        OSError: the port is taken, or the address is not this machine's.
    """
    listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    return listener, listener.getsockname()[1]
