"""A store with requests of the last minutes, and what serves it."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from support.browser import chromium
from support.files import write_store
from support.waiting import wait_for

from groqscope.timeline import RequestRecord
from groqscope.ui.collection import Collection

__all__ = ["chromium"]


@pytest.fixture
def collect() -> Iterator[Callable[..., Collection]]:
    """Return a collection that has read what is there."""
    made: list[Collection] = []

    def collect(directory: Path, records: Iterable[RequestRecord] = (), **settings: int) -> Collection:
        records = list(records)
        if records:
            write_store(directory, records)
        collection = Collection(directory, **settings)
        made.append(collection)
        collection.start()
        wait_for(lambda: not collection.loading)
        return collection

    yield collect
    for collection in made:
        collection.stop()
