"""The hosts of Groq: its own, and proxies and gateways that the user names.

Clients of other SDKs than Groq's are observed only in requests to these.
"""

import logging
import os
import re
from collections.abc import Iterable
from typing import Any, Final

VARIABLE: Final = "GROQSCOPE_HOSTS"
_GROQ: Final = "api.groq.com"
_ENTRY: Final = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<host>[^\s/:@\[\]]+))(?::(?P<port>\d{1,5}))?", re.IGNORECASE)

Hosts = frozenset[tuple[str, int | None]]
"""Hosts in lower case; with a port, only at that port."""

logger = logging.getLogger("groqscope")


def hosts(given: Iterable[str] | None) -> Hosts:
    """Return Groq's host and the given ones; if none are given, those of the environment variable.

    Raises:
        ValueError: a given host is not `host` or `host:port`.
        TypeError: one string is given instead of several.
    """
    if isinstance(given, str):
        raise TypeError(f"groq_hosts takes a list of hosts, got a string: use groq_hosts=[{given!r}]")
    found: set[tuple[str, int | None]] = {(_GROQ, None)}
    if given is not None:
        found.update(map(_parsed, given))
        return frozenset(found)
    for entry in filter(None, map(str.strip, os.environ.get(VARIABLE, "").split(","))):
        try:
            found.add(_parsed(entry))
        except ValueError:
            logger.warning("groqscope: an entry of %s is ignored, because it is not host or host:port", VARIABLE)
    return frozenset(found)


def _parsed(entry: str) -> tuple[str, int | None]:
    match = _ENTRY.fullmatch(entry.strip())
    if match is None:
        # Without the entry itself: a URL may contain a password.
        raise ValueError(
            "groq_hosts takes entries like proxy.example.com or 127.0.0.1:8080: a host, without scheme or path"
        )
    host, port = match["v6"] or match["host"], match["port"]
    return host.lower().rstrip("."), None if port is None else int(port)


def is_at(url: Any, where: Hosts) -> bool:
    """Return whether a URL of an HTTP library is at one of the hosts."""
    host: str = url.host.lower().rstrip(".")
    return (host, None) in where or (host, url.port or (443 if url.scheme == "https" else 80)) in where


def target(client: Any, options: Any) -> Any:
    """Return a URL at the host that a request goes to: the client's, unless an absolute one is asked for."""
    url: str = options.url
    base = client._base_url  # noqa: SLF001 - of `base_url`, in some versions a copy of it
    return type(base)(url) if "://" in url else base
