"""What each answer of the live page costs in a store of 100,000 requests: `python -m bench.ui_views [REQUESTS]`.

CPU time, so that what else the machine does hardly matters; the first answer of each kind, before anything is remembered.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.audit import REQUESTS, write
from groqscope.ui.collection import Collection
from groqscope.ui.parameters import Asked, Page
from groqscope.ui.views import Views


def loaded(directory: Path) -> Collection:
    """Return the requests of a store, all read."""
    collection = Collection(directory)
    collection.start()
    while collection.loading:
        time.sleep(0.1)
    return collection


def questions(views: Views) -> dict[str, Callable[[], Any]]:
    """Return what a reader asks, by what it is."""
    first = views.requests(Asked(), Page())
    begun = {"upto": first["upto"], "at": first["at"]}

    def listed(asked: Asked | None = None, **page: Any) -> Callable[[], Any]:
        return lambda: views.requests(asked or Asked(), Page(**page, **begun))

    calls = Asked(where="tool_calls > 0")
    a, b = Asked(models=("llama",)), Asked(models=("qwen",))
    return {
        "list, rows at 50,000": listed(offset=50_000),
        "sorted by total": listed(sort="total"),
        "the same, rows at 40,000": listed(sort="total", offset=40_000),
        "searched": listed(search="qwen"),
        "with a condition": listed(calls),
        "the same, sorted by cost": listed(calls, sort="cost"),
        "in groups": lambda: views.groups(Asked(by="model")),
        "overview": lambda: views.overview(Asked()),
        "overview with a condition": lambda: views.overview(calls),
        "two models compared": lambda: views.compare(a, b),
        "one request": lambda: views.request(first["requests"][5]["id"]),
        "live": lambda: views.live("6h"),
    }


def main() -> None:
    """Write a store, ask, print."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else REQUESTS
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), number)
        begin = time.process_time()
        collection = loaded(Path(folder))
        print(f"{'reading the store':28} {time.process_time() - begin:7.2f} s")
        for name, ask in questions(Views(collection)).items():
            begin = time.process_time()
            ask()
            print(f"{name:28} {time.process_time() - begin:7.2f} s")
        collection.stop()


if __name__ == "__main__":
    main()
