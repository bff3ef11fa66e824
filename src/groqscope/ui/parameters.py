"""The parameters in the address of a view: the options of `groqscope audit`, by their names."""

import shlex
import time
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import QueryParams

from groqscope.audit import AuditError, Query, parse_moment

_MAX_ROWS: Final = 500
"""Greatest number of rows in one answer."""
_DIGITS: Final = 19
"""Digits of a number: those of a time in Unix nanoseconds."""
_LONGEST: Final = 2_000
"""Greatest number of characters in one parameter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The selection of a view."""

    since: str = ""
    until: str = ""
    models: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    where: str = ""
    by: str = ""

    def query(self, now: int | None = None) -> Query:
        """Return the query that it stands for now, or at another moment in Unix nanoseconds.

        Raises:
            AuditError: a time, an outcome, a field or the expression cannot be understood.
        """
        now = now or time.time_ns()
        query = Query(
            since=parse_moment(self.since, "since", now) if self.since else None,
            until=parse_moment(self.until, "until", now) if self.until else None,
            models=self.models,
            services=self.services,
            outcomes=self.outcomes,
            where=self.where or None,
            by=self.by or "duration",
        )
        query.predicate()
        return query


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The part of a list that is asked for."""

    search: str = ""
    cause: str = ""
    sort: str = "time"
    descending: bool = True
    offset: int = 0
    limit: int = 100
    upto: int = 0
    """Number of the first request that arrived after the list was made; 0: it is made now."""
    at: int = 0
    """When the list was made, Unix nanoseconds: `15m` ago is from then."""


def asked(given: QueryParams, prefix: str = "") -> Asked:
    """Return the selection of an address; `prefix` tells the two of a comparison apart.

    Raises:
        AuditError: a parameter is longer than any that makes sense.
    """

    def one(name: str) -> str:
        return _short(given.get(prefix + name, ""), name).strip()

    def several(name: str) -> tuple[str, ...]:
        return tuple(_short(value, name) for value in given.getlist(prefix + name) if value)

    return Asked(
        since=one("since"),
        until=one("until"),
        models=several("model"),
        services=several("service"),
        outcomes=several("outcome"),
        where=one("where"),
        by=one("by"),
    )


def page(given: QueryParams) -> Page:
    """Return the part of a list that an address asks for.

    Raises:
        AuditError: a number is none.
    """
    return Page(
        search=_short(given.get("q", ""), "q"),
        cause=_short(given.get("cause", ""), "cause"),
        sort=_short(given.get("sort", ""), "sort") or "time",
        descending=given.get("order", "desc") != "asc",
        offset=max(0, _number(given, "offset", 0)),
        limit=min(_MAX_ROWS, max(1, _number(given, "limit", 100))),
        upto=_number(given, "upto", 0),
        at=_number(given, "at", 0),
    )


def _number(given: QueryParams, name: str, default: int) -> int:
    text = given.get(name, "") or str(default)
    if not text.isascii() or not text.isdigit() or len(text) > _DIGITS:
        raise AuditError(f"{name} {text[:20]!r} is not a number")
    return int(text)


def _short(text: str, name: str) -> str:
    if len(text) > _LONGEST:
        raise AuditError(f"{name} is too long")
    return text


def command(asked: Asked) -> str:
    """Return the command that shows the same in a terminal."""
    options = (
        ("--since", (asked.since,)),
        ("--until", (asked.until,)),
        ("--model", asked.models),
        ("--service", asked.services),
        ("--outcome", asked.outcomes),
        ("--where", (asked.where,)),
        ("--by", (asked.by,)),
    )
    given = [word for option, values in options for value in values if value for word in (option, value)]
    return shlex.join(["groqscope", "audit", *given])
