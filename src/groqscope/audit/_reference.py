"""The tables of `docs/audit.md` that follow from the code; `python -m groqscope.audit._reference FILE` renews them."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from groqscope.audit._rules import MIN_NS, RULES
from groqscope.audit._words import percent
from groqscope.audit.fields import FIELDS, Field


def fields_table() -> str:
    """Give the vocabulary as a Markdown table."""
    rows = [f"| {_names(field)} | {_kind(field)} | {field.brief} |" for field in FIELDS]
    return "\n".join(["| name | kind | what it is |", "|---|---|---|", *rows])


def rules_table() -> str:
    """Give the causes as a Markdown table."""
    rows = [
        f"| `{rule.code}` | {rule.title} | {'-' if rule.absolute is None else percent(rule.absolute)} | {rule.advice} |"
        for rule in RULES
    ]
    head = f"named from this share on (and {MIN_NS // 1_000_000} ms)"
    return "\n".join([f"| cause | time … | {head} | what one can do |", "|---|---|---|---|", *rows])


TABLES: Final[dict[str, Callable[[], str]]] = {"fields": fields_table, "rules": rules_table}
_MARKED: Final = re.compile(r"(<!-- table: (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def renew(text: str) -> str:
    """Put the tables between their marks anew."""
    return _MARKED.sub(lambda match: f"{match[1]}{TABLES[match['name']]()}\n{match[3]}", text)


def _names(field: Field) -> str:
    return ", ".join(f"`{name}`" for name in (field.name, *field.aliases))


def _kind(field: Field) -> str:
    return field.kind if field.kind != "number" or field.unit == "1" else field.unit


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        path.write_text(renew(path.read_text(encoding="utf-8")), encoding="utf-8")
