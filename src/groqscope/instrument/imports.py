"""Calls a function once a package is imported, by a finder in `sys.meta_path` that then removes itself.

Until then, each first import of any module costs one more comparison.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, cast

from groqscope._diagnostics import log_failure_once

logger = logging.getLogger("groqscope")


class _Finder(MetaPathFinder):
    """Finds one package by the other finders, and wraps its loader to be told when it is loaded."""

    def __init__(self, package: str, loaded: Callable[[], None]) -> None:
        self.package = package
        self.loaded = loaded

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        if fullname != self.package:
            return None
        for other in sys.meta_path:
            # `find_spec` is also called without an import following, so this finder stays in place.
            spec = None if other is self else other.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = cast("Any", _Telling(spec.loader, self))
                return spec
        return None


class _Telling:
    """A loader that reports when its module is loaded; the module itself keeps its original loader."""

    def __init__(self, loader: Any, finder: _Finder) -> None:
        self._loader = loader
        self._finder = finder

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        if self._finder in sys.meta_path:
            forget(self._finder)
            try:
                self._finder.loaded()
            except Exception as error:  # noqa: BLE001 - whoever imports the package has nothing to do with us
                log_failure_once(logger, f"groqscope could not observe {self._finder.package}", error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


def when_imported(package: str, loaded: Callable[[], None]) -> MetaPathFinder | None:
    """Call `loaded` once the package is imported. Return the finder that waits, `None` if it is imported already."""
    if package in sys.modules:
        return None
    finder = _Finder(package, loaded)
    sys.meta_path.insert(0, finder)
    return finder


def forget(finder: MetaPathFinder | None) -> None:
    """Remove a finder, if it still waits."""
    if finder in sys.meta_path:
        sys.meta_path.remove(finder)
