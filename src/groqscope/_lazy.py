"""Lazy imports: a package's public names, whose modules are imported on first use."""

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def attach(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return a `__getattr__` and a `__dir__` for a package.

    Args:
        package: Its `__name__`.
        modules: The module inside the package that defines each name.
    """

    def get(name: str) -> Any:
        if name in modules:
            return getattr(importlib.import_module(f"{package}.{modules[name]}"), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def names() -> list[str]:
        """Return all public names, loaded or not, for completion in notebooks."""
        return sorted({*vars(sys.modules[package]), *modules})

    return get, names
