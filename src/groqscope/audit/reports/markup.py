"""HTML out of Python values: whatever is not markup already is escaped."""

import json
from collections.abc import Sequence
from html import escape
from typing import Any, Final

from groqscope.audit.formatting import visible


class Markup(str):
    """Text that is HTML."""

    __slots__ = ()


def tag(name: str, *children: str, **attributes: str | int | None) -> Markup:
    """Make an element; attributes in Python's spelling (`class_`, `aria_label`), those that are `None` left out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(visible(str(value)))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: str) -> Markup:
    """Put markup and text one after the other; the text is escaped, its controls made visible."""
    return Markup("".join(c if isinstance(c, Markup) else escape(visible(c)) for c in children))


def section(title: str, *children: str) -> Markup:
    """Make a titled box."""
    return tag("section", tag("h2", title), *children)


def table(titles: Sequence[str], rows: Sequence[Markup], *, left: int = 1) -> Markup:
    """Make a table; the first `left` columns are aligned left, the others right."""
    heads = [tag("th", title, scope="col", class_=None if i < left else "r") for i, title in enumerate(titles)]
    return tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *rows))


def line(cells: Sequence[str], *, left: int = 1, class_: str | None = None, marks: Sequence[str | None] = ()) -> Markup:
    """Make a row of a table; `marks` are further classes of its cells."""
    made: list[Markup] = []
    for index, cell in enumerate(cells):
        extra = marks[index] if index < len(marks) else None
        names = " ".join(name for name in ("" if index < left else "r", extra or "") if name)
        made.append(tag("td", cell, class_=names or None))
    return tag("tr", *made, class_=class_)


_HARMLESS: Final = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def embedded(data: Any) -> Markup:
    """Write JSON for inside a `<script>` element: no `<` that could end it."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for char, code in _HARMLESS.items():
        text = text.replace(char, code)
    return Markup(text)
