"""Write the files of the bundled services, which the wheel contains, to a directory that the user names."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import groqscope

_INSTALLED: Final = Path(groqscope.__file__).parent / "_stack"
_CHECKOUT: Final = Path(groqscope.__file__).parents[2]
"""Where the same files are when the package is installed editable."""
_WANTED: Final = ("docker-compose.yml", "stack", "dashboards/json")
_DOCKERFILE: Final = Path("stack/demo/Dockerfile")
_DEMO_IMAGE: Final = f"""\
# The demo's simulated Groq and its application, from the version of groqscope that wrote this file.
ARG PYTHON_IMAGE=python:3.13-slim
FROM ${{PYTHON_IMAGE}}

RUN python -m pip install --no-cache-dir 'groqscope[simulator,pydantic-ai]=={groqscope.__version__}'
COPY stack/demo /demo

USER 65534:65534
ENV HOME=/tmp PYTHONUNBUFFERED=1
CMD ["python", "/demo/simulated_groq.py", "--host", "0.0.0.0"]
"""
"""Replaces the checkout's Dockerfile, which needs the source tree."""


class StackFilesError(Exception):
    """The files cannot be written; the message says why."""


def write_stack(directory: Path, *, force: bool = False) -> list[Path]:
    """Write the compose file, the configuration and the dashboards; return their paths relative to the directory.

    Raises:
        StackFilesError: a file exists with other content (unless `force`), or the package lacks its files.
        OSError: the directory cannot be written.
    """
    contents = dict(_contents())
    if not force:
        for path, content in contents.items():
            target = directory / path
            if target.exists() and (not target.is_file() or target.read_bytes() != content):
                raise StackFilesError(
                    f"{target} exists and differs: choose another directory, or overwrite it with --force"
                )
    for path, content in contents.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return list(contents)


def _contents() -> Iterator[tuple[Path, bytes]]:
    root = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
    if not (root / "docker-compose.yml").is_file():
        raise StackFilesError("this installation lacks the stack's files: pip install --force-reinstall groqscope")
    for wanted in _WANTED:
        place = root / wanted
        for path in [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file()):
            name = path.relative_to(root)
            if "__pycache__" not in name.parts:
                yield name, _DEMO_IMAGE.encode() if name == _DOCKERFILE else path.read_bytes()
