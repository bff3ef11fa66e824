"""The `OTEL_*` variables: an invalid one is logged once, with name and value, and treated as not set.

The SDK reads many of them itself, and ignores a mistake or raises without the variable's name. So it gets to see only
the valid ones (`Environment.presented`).
"""

import logging
import os
import re
import ssl
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

from groqscope._diagnostics import log_once
from groqscope._exchange import is_http, without_password

_logger = logging.getLogger("groqscope")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_LARGEST: Final = 2**31 - 1
"""The SDK's queues and waits overflow above this."""
_MILLISECONDS: Final = 1000
"""A time limit this high must be in milliseconds: a quarter of an hour is no sensible limit for one request."""
_SECURE_PORT: Final = ":443"


class ConfigurationError(ValueError):
    """An invalid setting; the message has its name, its value, and what is expected."""


class Environment:
    """The variables of one `configure()`."""

    def __init__(self, variables: Mapping[str, str] = os.environ) -> None:
        self.problems: list[str] = []
        """A sentence for each setting that was ignored or changed."""
        self._values = {
            name: value
            for name, given in variables.items()
            if name.startswith(("OTEL_", "GROQSCOPE_STORE_")) and (value := _without_quotes(given.strip()))
        }

    def text(self, *names: str) -> tuple[str, str] | None:
        """Return name and value of the first variable that is set; by OpenTelemetry's rules an empty one is not set."""
        for name in names:
            if name in self._values:
                return name, self._values[name]
        return None

    def refuse(self, name: str, why: str) -> None:
        """Log why a variable is invalid, and continue as if it were not set."""
        self.note(name, self._values[name], f"{why}; it is not used")
        del self._values[name]

    def note(self, name: str, value: str, sentence: str) -> None:
        """Log once how a variable is treated."""
        problem = f"{name}={without_password(value)}: {sentence}"
        if problem not in self.problems:
            self.problems.append(problem)
        log_once(_logger, "%s", problem)

    def replace(self, name: str, value: str | None) -> None:
        """Present another value to the SDK, or none."""
        if value is None:
            self._values.pop(name, None)
        else:
            self._values[name] = value

    def choice(self, names: Iterable[str], allowed: Collection[str]) -> str | None:
        """Return the first value that is in `allowed` (lower case)."""
        for name, value in self._each(names):
            if value.lower() in allowed:
                self._values[name] = value.lower()
                return value.lower()
            self.refuse(name, f"expected one of {', '.join(sorted(allowed))}")
        return None

    def seconds(self, *names: str) -> float | None:
        """Return a time limit in seconds, the unit of the Python SDK; the specification uses milliseconds."""
        given = self.number(*names, above=0)
        if given is None or given < _MILLISECONDS:
            return given
        name, value = self.text(*names) or ("", "")
        self.note(name, value, f"taken as milliseconds: {given / 1000:g} s")
        return given / 1000

    def number(self, *names: str, at_least: float = 0, above: float | None = None, whole: bool = False) -> float | None:
        """Return the first value that is a number within bounds."""
        for name, value in self._each(names):
            try:
                given = float(value)
            except ValueError:
                given = float("nan")
            # This form of the comparison also rejects NaN.
            enough = given > above if above is not None else given >= at_least
            if enough and given <= _LARGEST and not (whole and given % 1):
                return given
            kind = "a whole number" if whole else "a number"
            self.refuse(
                name, f"expected {kind} {f'above {above:g}' if above is not None else f'of at least {at_least:g}'}"
            )
        return None

    def milliseconds(self, name: str) -> None:
        """Check a duration that the SDK itself reads, in whole milliseconds."""
        given = self.number(name, above=0)
        if given is not None:
            self._values[name] = str(max(1, round(given)))

    def count(self, name: str, *, at_least: int = 0) -> int | None:
        """Check and return a count, which the SDK reads too."""
        given = self.number(name, at_least=at_least, whole=True)
        if given is None:
            return None
        self._values[name] = str(int(given))
        return int(given)

    def boolean(self, name: str) -> bool:
        """Return whether a variable is `true`, in any case; by OpenTelemetry's rules every other value is false."""
        return self.choice((name,), ("true", "false")) == "true"

    def url(self, name: str, *, bare: bool = False) -> str | None:
        """Return an HTTP URL; `bare` also allows `host:port`, which otherwise gets the missing scheme."""
        found = self.text(name)
        if found is None:
            return None
        value = found[1]
        if "://" not in value:
            whole = f"{'https' if value.partition('/')[0].endswith(_SECURE_PORT) else 'http'}://{value}"
            if is_http(whole):
                if not bare:
                    self.note(name, value, f"not a URL: http:// or https:// is missing; taken as {whole}")
                return value if bare else whole
        if is_http(value):
            return value
        self.refuse(name, f"not a URL of an OTLP endpoint, such as {_example(bare=bare)}")
        return None

    def headers(self, *names: str) -> dict[str, str]:
        """Return the headers of the first variable that has any: `name=value`, comma-separated, values URL-encoded.

        The message about an invalid entry does not repeat it, since it may be a secret.
        """
        for name, value in self._each(names):
            entries = [_without_quotes(entry.strip()) for entry in value.split(",")]
            parsed: dict[str, str] = {}
            for position, entry in enumerate(entries, 1):
                if not entry:
                    continue
                key, equals, content = entry.partition("=")
                key, content = unquote(key.strip()), unquote(_without_quotes(content.strip()))
                where = f"entry {position} of {len(entries)}"
                if not equals or not _is_name(key):
                    self.note(name, "(not shown)", f"{where} is not of the form name=value; it is not used")
                elif not _is_value(content):
                    self.note(name, "(not shown)", f"{where} has a value that no HTTP header can have; it is not used")
                else:
                    parsed[key.lower()] = content
            self.replace(name, ",".join(f"{key}={quote(content)}" for key, content in parsed.items()) or None)
            if parsed:
                return parsed
        return {}

    def pairs(self, name: str) -> None:
        """Drop the entries that are not of the form key=value from a list that the SDK reads."""
        found = self.text(name)
        if found is None:
            return
        entries = [entry.strip() for entry in found[1].split(",") if entry.strip()]
        usable = [entry for entry in entries if "=" in entry.lstrip("=")]
        for entry in entries:
            if entry not in usable:
                self.note(name, found[1], f"{entry!r} is not of the form key=value; it is not used")
        self.replace(name, ",".join(usable) or None)

    def file(self, *names: str, load: Callable[[str], object] | None = None) -> str | None:
        """Return the path of the first variable that names a file that `load` can read."""
        for name, value in self._each(names):
            try:
                if not Path(value).is_file():
                    raise FileNotFoundError(2, "no such file")
                if load is not None:
                    load(value)
            except (OSError, ValueError) as error:
                self.refuse(name, _reason(error))
            else:
                return value
        return None

    def certificates(self, authority: Iterable[str], certificate: Iterable[str], key: Iterable[str]) -> tuple[
        str | None, str | None, str | None
    ]:  # fmt: skip
        """Return the files of the authority, the client's certificate and its key; `None` for what TLS cannot use."""
        certificate = tuple(certificate)
        root = self.file(*authority, load=lambda path: _tls().load_verify_locations(path))
        own_key = self.file(*key)
        # Keys with a password are rejected: nobody could be asked for it.
        own = self.file(*certificate, load=lambda path: _tls().load_cert_chain(path, own_key, password=lambda: ""))
        return root, own, own_key if own is not None else None

    def components(self, name: str, group: str, *, known: Collection[str] = ()) -> list[tuple[str, Any]]:
        """Return the components that a variable lists by name, each with its entry point.

        Args:
            name: The variable.
            group: The group of entry points.
            known: Names in lower case that need no entry point: they are returned with `None`.
        """
        found = self.text(name)
        chosen: list[tuple[str, Any]] = []
        for part in found[1].split(",") if found is not None else ():
            if not part.strip():
                continue
            component = _without_quotes(part.strip())
            if component.lower() in known:
                chosen.append((component.lower(), None))
                continue
            try:
                chosen.append(_registered(group, component))
            except Exception as error:  # noqa: BLE001 - any package may be broken in any way
                why = str(error) if isinstance(error, LookupError) else f"cannot be imported: {type(error).__name__}"
                self.note(name, found[1] if found else "", f"{component!r} {why}; it is not used")
        return chosen

    def only_installed(self, name: str, group: str, *, known: Collection[str] = ()) -> None:
        """Drop the names that are not installed from a list that the API or the SDK loads itself."""
        found = self.text(name)
        parts = [part.strip() for part in found[1].split(",") if part.strip()] if found is not None else []
        usable = [_spelled(group, part) or (part.lower() if part.lower() in known else None) for part in parts]
        for part, spelling in zip(parts, usable, strict=True):
            if spelling is None:
                self.note(name, found[1] if found else "", f"{part!r} {_missing(group)}; it is not used")
        self.replace(name, ",".join(filter(None, usable)) or None)

    @contextmanager
    def presented(self, *, hidden: Collection[str] = ()) -> Generator[None]:
        """Hide invalid variables from the SDK and logfire while they are set up."""
        before = {name: value for name, value in os.environ.items() if name.startswith("OTEL_")}
        shown = {n: value for n, value in self._values.items() if n.startswith("OTEL_") and n not in hidden}
        _set(before, shown)
        try:
            yield
        finally:
            _set(shown, before)

    def _each(self, names: Iterable[str]) -> Generator[tuple[str, str]]:
        for name in names:
            if (found := self.text(name)) is not None:
                yield found


def check_url(name: str, value: str, *, bare: bool = False) -> str:
    """Return a URL that was given as an argument, if it is an HTTP URL with a host; `bare` also allows `host:port`.

    Raises:
        ConfigurationError: it is not.
    """
    if not is_http(value if "://" in value or not bare else f"http://{value}"):
        shown = without_password(value)
        raise ConfigurationError(f"{name}={shown}: not a URL of an OTLP endpoint, such as {_example(bare=bare)}")
    return value


def check_headers(given: Mapping[str, str]) -> dict[str, str]:
    """Return headers that were given as an argument, names in lower case.

    Raises:
        ConfigurationError: one of them is not valid in HTTP.
    """
    if not all(_is_name(name) and _is_value(value) for name, value in given.items()):
        raise ConfigurationError(
            "headers: one (not shown, since it may be a secret) is not valid in HTTP; URL-encode it"
        )
    return {name.lower(): value for name, value in given.items()}


def _set(before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Change only the variables that differ, so that other threads that read the environment are not disturbed."""
    for name in before.keys() - after.keys():
        os.environ.pop(name, None)
    for name, value in after.items():
        if before.get(name) != value:
            os.environ[name] = value


def _registered(group: str, name: str) -> tuple[str, Any]:
    """Return a name as an entry point of the group spells it, and the object that the entry point loads.

    Raises:
        LookupError: there is no such entry point.
        Exception: it cannot be imported.
    """
    spelling = _spelled(group, name)
    if spelling is None:
        raise LookupError(_missing(group))
    return spelling, next(iter(entry_points(group=group, name=spelling))).load()


def _spelled(group: str, name: str) -> str | None:
    return next((spelling for spelling in (name, name.lower()) if entry_points(group=group, name=spelling)), None)


def _missing(group: str) -> str:
    return f"is not installed (there is no entry point of that name in {group})"


def _without_quotes(value: str) -> str:
    """Return a value without the quotes around it, which Docker's --env-file keeps."""
    return value[1:-1].strip() if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def _tls() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "not a PEM certificate with its key that TLS can use"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _example(*, bare: bool) -> str:
    return "http://localhost:4317 or localhost:4317" if bare else "http://localhost:4318"


def _is_name(text: str) -> bool:
    return _HEADER_NAME.fullmatch(text) is not None


def _is_value(text: str) -> bool:
    return text.isprintable() and text.isascii()
