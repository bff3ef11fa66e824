"""Addresses as people may see them."""

import re

_USER: re.Pattern[str] = re.compile(r"//[^/?#]*@")


def without_password(url: str) -> str:
    """Give a URL with its user and password, if any, as asterisks."""
    return _USER.sub("//***@", url)
