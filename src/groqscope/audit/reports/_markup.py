"""HTML out of Python values: whatever is not markup already is escaped."""

import json
from html import escape
from typing import Any, Final

from groqscope.audit.reports._text import visible


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


_HARMLESS: Final = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def embedded(data: Any) -> Markup:
    """Write JSON for inside a `<script>` element: no `<` that could end it."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for char, code in _HARMLESS.items():
        text = text.replace(char, code)
    return Markup(text)
