"""Where the columns lie: `requests/day=2026-11-29/service=shop/NAME.parquet`, and beside it the spans around them.

Partitions are named as Hive names them, which every engine reads. A day is one of UTC.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

HISTORY: Final = "history"
"""The directory in a store."""
REQUESTS: Final = "requests"
SPANS: Final = "spans"
IDS: Final = "ids"
"""Beside each part of requests a file of the same name: the beginnings of all IDs in it, sorted."""
ID_LENGTH: Final = 16
"""Characters of an ID that are kept to look it up by."""
SUFFIX: Final = ".parquet"
NO_SERVICE: Final = "__HIVE_DEFAULT_PARTITION__"
DAY_NS: Final = 86_400 * 10**9
_MAX_NAME: Final = 120
"""Characters of a directory's name, of which file systems allow 255 bytes at least."""
_DAY: Final = re.compile(r"(?:^|/)day=(\d{4}-\d{2}-\d{2})(?=/)")
_SERVICE: Final = re.compile(r"/service=([^/]*)(?=/)")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which partitions can hold what is asked for; times are Unix nanoseconds."""

    since: int | None = None
    until: int | None = None
    services: tuple[str, ...] = ()

    def has(self, path: str) -> bool:
        """Whether a part at this path may hold such a request; one outside of partitions may."""
        day = _DAY.search(path)
        if day is not None and not self._in_time(day[1]):
            return False
        service = _SERVICE.search(path)
        return service is None or not self.services or service[1] in map(service_name, self.services)

    def _in_time(self, day: str) -> bool:
        return (self.since is None or day >= day_of(self.since)) and (
            self.until is None or day <= day_of(max(0, self.until - 1))
        )


def day_of(unix_ns: int) -> str:
    """Return the day of a moment, in UTC."""
    return datetime.fromtimestamp(unix_ns // 10**9, UTC).strftime("%Y-%m-%d")


def service_name(service: str | None) -> str:
    """Return the name of a service's partition, in which no character means anything to a file system."""
    if service is None:
        return NO_SERVICE
    name = quote(service, safe="")
    if len(name) <= _MAX_NAME:
        return name
    return f"{name[:_MAX_NAME]}~{hashlib.sha256(service.encode()).hexdigest()[:16]}"


def request_partition(day: str, service: str | None) -> str:
    """Return the directory of a day's requests of a service."""
    return f"{REQUESTS}/day={day}/service={service_name(service)}"


def ids_of_part(part: str) -> str:
    """Return where the IDs of a part of requests are."""
    before, _, after = part.rpartition(f"{REQUESTS}/")
    return f"{before}{IDS}/{after}"


def span_partition(day: str) -> str:
    """Return the directory of a day's spans."""
    return f"{SPANS}/day={day}"


def partition_day(path: str) -> str | None:
    """Return the day of a part, by its path."""
    day = _DAY.search(path)
    return day[1] if day else None
