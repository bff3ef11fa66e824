"""Single settings of the environment, checked; an empty variable is one that is not set, as OpenTelemetry says."""

import os
import re
from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import unquote

from groqscope.configuration.errors import ConfigurationError
from groqscope.store.address import is_http, without_password

_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def text(*names: str) -> tuple[str, str] | None:
    """Give name and value of the first variable that is set."""
    for name in names:
        value = os.environ.get(name, "").strip()
        if value:
            return name, value
    return None


def choice(names: Collection[str], allowed: Collection[str]) -> str | None:
    """Give the value of the first variable that is set, lower case; it must be one of `allowed`."""
    found = text(*names)
    if found is None:
        return None
    name, value = found
    if value.lower() not in allowed:
        raise ConfigurationError(f"{name}={value}: expected one of {', '.join(sorted(allowed))}")
    return value.lower()


def number(*names: str, at_least: float = 0, above: float | None = None, whole: bool = False) -> float | None:
    """Give the number in the first variable that is set."""
    found = text(*names)
    if found is None:
        return None
    name, value = found
    kind = "a whole number" if whole else "a number"
    bound = f"above {above:g}" if above is not None else f"of at least {at_least:g}"
    try:
        given = int(value) if whole else float(value)
    except ValueError:
        raise ConfigurationError(f"{name}={value}: expected {kind} {bound}") from None
    # Written so that NaN is refused too.
    if not (given > above if above is not None else given >= at_least) or given == float("inf"):
        raise ConfigurationError(f"{name}={value}: expected {kind} {bound}")
    return given


def check_url(name: str, value: str, *, bare: bool = False) -> str:
    """Give a URL back when it is one of HTTP with a host; `bare` allows `host:port` too."""
    if not is_http(value if "://" in value or not bare else f"http://{value}"):
        example = "http://localhost:4317 or localhost:4317" if bare else "http://localhost:4318"
        raise ConfigurationError(f"{name}={without_password(value)}: not a URL of an OTLP endpoint, such as {example}")
    return value


def headers(*names: str) -> dict[str, str]:
    """Give the headers in the first variable that is set: `name=value`, separated by commas, values URL-encoded.

    A message about a wrong one does not repeat its text, which may be a secret.
    """
    found = text(*names)
    if found is None:
        return {}
    name, value = found
    entries = [entry.strip() for entry in value.split(",")]
    parsed: dict[str, str] = {}
    for position, entry in enumerate(entries, 1):
        if not entry:
            continue
        key, equals, content = entry.partition("=")
        key, content = unquote(key.strip()), unquote(content.strip())
        where = f"{name}: entry {position} of {len(entries)} (not shown, it may be a secret)"
        if not equals or not _is_name(key):
            raise ConfigurationError(f"{where} is not of the form name=value, separated by commas")
        if not _is_value(content):
            raise ConfigurationError(f"{where} has a value that no HTTP header can have; URL-encode it")
        parsed[key.lower()] = content
    return parsed


def check_headers(given: Mapping[str, str]) -> dict[str, str]:
    """Give headers that were given as an argument, names in lower case."""
    if not all(_is_name(name) and _is_value(value) for name, value in given.items()):
        raise ConfigurationError("headers: one (not shown, it may be a secret) that HTTP cannot carry; URL-encode it")
    return {name.lower(): value for name, value in given.items()}


def _is_name(text: str) -> bool:
    return _HEADER_NAME.fullmatch(text) is not None


def _is_value(text: str) -> bool:
    return text.isprintable() and text.isascii()
