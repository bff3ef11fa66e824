"""Places where columns lie: directories here, and object storage by an address such as `s3://bucket/history`."""

import os
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from groqscope.history.errors import HistoryError
from groqscope.history.layout import HISTORY, IDS, REQUESTS, SPANS, SUFFIX, Wanted
from groqscope.store.directory import make_private


class Place(Protocol):
    """A directory of columns."""

    address: str

    def children(self, directory: str) -> list[tuple[str, bool, int]]:
        """Return address, whether it is a directory, and size of what is in a directory; nothing if it is not there."""
        ...

    def put(self, file: Path, name: str) -> None:
        """Move a file to its name in this place, where it appears whole or not at all."""
        ...

    def remove(self, address: str) -> None:
        """Remove a file."""
        ...

    def register(self, connection: Any) -> None:
        """Let DuckDB read from here."""
        ...


class Directory:
    """A directory of this machine."""

    def __init__(self, path: Path) -> None:
        self.address = str(path)

    def children(self, directory: str) -> list[tuple[str, bool, int]]:
        """Return what is in a directory, in order of names."""
        try:
            with os.scandir(directory) as entries:
                found = [(entry.path, entry.is_dir(), entry.stat().st_size) for entry in entries]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(found)

    def put(self, file: Path, name: str) -> None:
        """Rename a file, and write down the directories that changed."""
        target = Path(self.address, name)
        make_private(target.parent)
        with suppress(FileNotFoundError):  # renamed already, before a crash
            file.replace(target)
        for directory in (target.parent, *list(target.parents)[1 : 2 + name.count("/")]):
            sync(directory)

    def remove(self, address: str) -> None:
        """Remove a file, and its directory when it was the last one."""
        path = Path(address)
        path.unlink(missing_ok=True)
        with suppress(OSError):
            path.parent.rmdir()
            path.parent.parent.rmdir()

    def register(self, connection: Any) -> None:
        """Let it remember what files say of themselves: each question reads the same ones."""
        connection.execute("SET parquet_metadata_cache = true")


class ObjectStorage:
    """A place that fsspec knows by the beginning of its address."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        self._protocol = address.partition("://")[0]
        try:
            self._files: Any = import_module("fsspec").filesystem(self._protocol)
        except ImportError as error:
            raise HistoryError(
                f"{address}: {error}; object storage needs pip install 'groqscope[object-storage]'"
            ) from error
        except ValueError as error:
            raise HistoryError(f"{address}: {error}") from error

    def children(self, directory: str) -> list[tuple[str, bool, int]]:
        """Return what is in a directory, in order of names."""
        try:
            # Nothing remembered: another machine may have written meanwhile.
            found = self._files.ls(directory, detail=True, refresh=True)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except Exception as error:
            raise HistoryError(f"{directory} cannot be read: {_reason(error)}") from error
        own = self._files._strip_protocol(directory).rstrip("/")  # noqa: SLF001 - there is no public name
        return sorted(
            (f"{self._protocol}://{one['name'].lstrip('/')}", one["type"] == "directory", one.get("size") or 0)
            for one in found
            if one["name"].rstrip("/") != own
        )

    def put(self, file: Path, name: str) -> None:
        """Upload a file, then remove it here: an object appears when it is whole."""
        if not file.exists():  # uploaded already, before a crash
            return
        try:
            self._files.put_file(str(file), f"{self.address}/{name}")
        except Exception as error:
            raise HistoryError(f"{self.address} cannot be written: {_reason(error)}") from error
        file.unlink()

    def remove(self, address: str) -> None:
        """Remove an object."""
        with suppress(FileNotFoundError):
            self._files.rm_file(address)

    def register(self, connection: Any) -> None:
        """Let DuckDB read through fsspec, unless it does already."""
        if not connection.filesystem_is_registered(self._protocol):
            connection.register_filesystem(self._files)


def is_address(path: object) -> bool:
    """Whether it is the address of object storage, not a path."""
    return "://" in str(path)


def is_columns(path: object) -> bool:
    """Whether there can be nothing but columns: an address, or a Parquet file."""
    return is_address(path) or str(path).endswith(SUFFIX)


def has_columns(path: object) -> bool:
    """Whether requests lie as columns there; what an address holds is not looked at."""
    if is_columns(path):
        return True
    try:
        with os.scandir(str(path)) as entries:
            return any(
                e.name in {HISTORY, REQUESTS} or e.name.startswith(("day=", "service=")) or e.name.endswith(SUFFIX)
                for e in entries
            )
    except OSError:
        return False


def place_of(address: str | Path) -> Place:
    """Return the place of an address.

    Raises:
        HistoryError: what reads it is not installed, or nothing knows such addresses.
    """
    return ObjectStorage(str(address)) if is_address(address) else Directory(Path(address))


def parts(place: Place, wanted: Wanted, kind: str = REQUESTS) -> Iterator[tuple[str, int]]:
    """Yield address and size of each Parquet file that may hold what is wanted, one day after the other.

    A store stands for the history in it, a history for one of its kinds; other directories are looked through.
    """
    if place.address.endswith(SUFFIX):
        if kind == REQUESTS:
            yield place.address, 0
        return
    root = _root(place, kind)
    if root is not None:
        yield from _walk(place, root, wanted)


def _root(place: Place, kind: str) -> str | None:
    found = {
        address.rstrip("/").rpartition("/")[2]: address
        for address, directory, _ in place.children(place.address)
        if directory
    }
    if HISTORY in found:
        return f"{found[HISTORY]}/{kind}"
    if REQUESTS in found or SPANS in found:
        return found.get(kind)
    return place.address if kind == REQUESTS else None


def _walk(place: Place, directory: str, wanted: Wanted) -> Iterator[tuple[str, int]]:
    for address, is_directory, size in place.children(directory):
        name = address.rstrip("/").rpartition("/")[2]
        if name.startswith((".", "_")):
            continue
        if is_directory:
            if name not in {SPANS, IDS} and wanted.has(f"{address.rstrip('/')}/"):
                yield from _walk(place, address, wanted)
        elif name.endswith(SUFFIX) and wanted.has(address):
            yield address, size


def sync(path: Path) -> None:
    """Wait until a file or directory is on the disk."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return  # a directory of Windows
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: Exception) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__
