"""Write docs/licences.md from the metadata of what is installed: `python docs/generate_licences.py`.

The packages are those pinned in requirements.txt; what is for other systems, and not installed here, is kept as it was.
"""

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = Path(__file__).parent / "licences.md"
_HEAD = """\
# Licences of the dependencies

<!-- Written by docs/generate_licences.py from the packages' own metadata. -->

groqscope itself is under the MIT licence. This is what `requirements.txt` installs: its dependencies and those
of the extras `pydantic-ai` and `ui`, and what builds the package.

In the package itself is uPlot 1.6.32 (MIT, Leon Sorokin), which draws the charts of the [live page](ui.md): the files
`dist/uPlot.iife.min.js` and `dist/uPlot.min.css` of its npm package, unchanged, with its licence beside them.

| package | version | licence |
| --- | --- | --- |
"""
_SHORT = {
    "Apache Software License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "MIT License": "MIT",
    "BSD License": "BSD",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD 3-Clause License": "BSD-3-Clause",
}


def render() -> str:
    """Return the page."""
    return _HEAD + "".join(f"| {name} | {version} | {_licence(name) or 'unknown'} |\n" for name, version in pinned())


def pinned() -> Iterator[tuple[str, str]]:
    """Return name and version of each package in requirements.txt."""
    for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines():
        found = re.match(r"([A-Za-z0-9._-]+)==([^ ;\\]+)", line)
        if found:
            yield found[1], found[2]


def _licence(name: str) -> str | None:
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return known().get(name)
    expression = about.get("License-Expression")
    if expression:
        return expression
    classifiers = [c.rpartition(" :: ")[2] for c in about.get_all("Classifier") or () if c.startswith("License :: ")]
    named = [c for c in classifiers if c != "OSI Approved"] or [(about.get("License") or "").strip().splitlines()[0]]
    return " and ".join(_SHORT.get(n, n) for n in named)


def known() -> dict[str, str]:
    """Return what the page says about each package."""
    if not PAGE.exists():
        return {}
    rows = re.findall(r"^\| (\S+) \| (\S+) \| (.+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    return {name: licence for name, _, licence in rows}


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
