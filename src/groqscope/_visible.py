"""Escapes untrusted text for terminals, logs and pages, so that it can be seen but has no effect."""

from typing import Final

_HIDDEN: Final = frozenset(
    code
    for first, last in (
        (0x00, 0x1F),
        (0x7F, 0x9F),
        (0xAD, 0xAD),
        (0x61C, 0x61C),
        (0x180E, 0x180E),
        (0x200B, 0x200F),
        (0x2028, 0x202E),
        (0x2060, 0x206F),
        (0xD800, 0xDFFF),
        (0xFEFF, 0xFEFF),
        (0xFFF9, 0xFFFB),
        (0xE0000, 0xE007F),
    )
    for code in range(first, last + 1)
)
"""Unicode categories of control characters, invisible marks, direction changes and lone surrogates."""


def visible(text: str, *, limit: int | None = None) -> str:
    r"""Return untrusted text with control characters escaped (as in `\x1b`), truncated to `limit`."""
    if limit is not None and len(text) > limit:
        text = text[: max(1, limit - 1)] + "…"
    if text.isprintable() and text.isascii():
        return text
    return "".join(_escaped(ord(char)) if ord(char) in _HIDDEN else char for char in text)


def visible_lines(text: str) -> str:
    """Return our own text, which may contain untrusted text, escaped except for its line breaks."""
    return "\n".join(visible(line) for line in text.split("\n"))


def _escaped(code: int) -> str:
    if code < 0x100:  # two digits suffice
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def is_text(text: str) -> bool:
    """Whether it can be written as UTF-8: half of a surrogate pair cannot, and nothing stored has one."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
