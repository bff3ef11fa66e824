"""Addresses: what is one, and what people may see of it."""

import re
from urllib.parse import urlsplit

_USER: re.Pattern[str] = re.compile(r"//[^/?#]*@")


def is_http(url: str) -> bool:
    """Whether it is an address of HTTP or HTTPS, with a host."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # half an IPv6 address, or a port that no machine has
        return False


def without_password(url: str) -> str:
    """Give a URL with its user and password, if any, as asterisks."""
    return _USER.sub("//***@", url)
