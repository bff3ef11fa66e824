"""Validates URLs, and hides the credentials in them."""

import re
from urllib.parse import urlsplit

_USER: re.Pattern[str] = re.compile(r"//[^/?#]*@")


def is_http(url: str) -> bool:
    """Return whether it is an HTTP or HTTPS URL with a host."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # an incomplete IPv6 address, or a port out of range
        return False


def without_password(url: str) -> str:
    """Return a URL with its user name and password, if any, replaced by asterisks."""
    return _USER.sub("//***@", url)
