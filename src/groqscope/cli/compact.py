"""`groqscope compact`: turns the closed files of a store into Parquet."""

import re
from typing import TYPE_CHECKING, Annotated

import typer

from groqscope.cli.output import counted, say_first
from groqscope.cli.progress import uncollected

if TYPE_CHECKING:
    from groqscope.history import Compaction

_EXAMPLES = """\b
Examples:
  groqscope compact                           the store, into its history
  groqscope compact --max-age 90d --max-size 5GB
  groqscope compact --to s3://bucket/groq     to object storage
  groqscope compact spans.jsonl --to history  copies; the file stays as it is
\b
`groqscope audit` reads files and history as one. Exit status: 0 success,
2 an error or unreadable input.
"""
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?)B?", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_AGE = re.compile(r"(\d+)\s*([dw])")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compact", epilog=_EXAMPLES, short_help="Turn stored requests into Parquet, for large stores.")(compact)


def compact(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE|DIR", help="What to copy, with --to, instead of the local store."),
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="DIR|URL", help="Where to: a directory, or s3://bucket/prefix.")
    ] = None,
    max_age: Annotated[
        str | None, typer.Option("--max-age", metavar="AGE", help="Remove days that are older: 90d, 12w.")
    ] = None,
    max_size: Annotated[
        str | None,
        typer.Option("--max-size", metavar="SIZE", help="Remove the oldest days beyond this size: 5GB (default 10GB)."),
    ] = None,
) -> int:
    """Turn the closed files of the store into Parquet, which takes a thirtieth of the space and is read much faster."""
    from groqscope import history
    from groqscope.audit import AuditError, source_of
    from groqscope.store import store_directory

    if paths and to is None:
        raise AuditError("--to is missing: where should the copy of these files go?")
    age = None if max_age is None else _age(max_age)
    given = {} if max_size is None else {"max_bytes": _size(max_size)}
    try:
        if paths:
            source_of(paths)  # raises if a named file does not exist
            with uncollected():
                done = history.copy(paths, to or "")
        else:
            store = store_directory()
            if not store.is_dir():
                raise AuditError(source_of([]).when_empty)
            with uncollected():
                done = history.compact(store, target=to, retention=history.Retention(max_age_ns=age, **given))
    except history.HistoryError as error:
        raise AuditError(str(error)) from error
    say_first(done.read.warnings)
    print(_sentence(done))
    return 2 if done.read.warnings else 0


def _sentence(done: "Compaction") -> str:
    from groqscope.audit.formatting import count

    if done.busy:
        return "another process is compacting this store: nothing to do"
    words = [f"{count(done.requests, 'request')} of {done.files:,} files"]
    if done.bytes_read:
        words.append(f"{done.bytes_read / 1e6:,.1f} MB became {done.bytes_written / 1e6:,.1f} MB")
    words += counted(
        (done.repeats, "copies were left out"),
        (done.open_files, "still written to"),
        (done.removed, "old files were removed"),
    )
    return ", ".join(words)


def _age(text: str) -> int:
    from groqscope.audit import AuditError

    match = _AGE.fullmatch(text.strip())
    if match is None:
        raise AuditError(f"--max-age {text!r}: write days or weeks, such as 90d or 12w")
    return int(match[1]) * {"d": 1, "w": 7}[match[2]] * 86_400 * 10**9


def _size(text: str) -> int:
    from groqscope.audit import AuditError

    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise AuditError(f"--max-size {text!r}: write a size such as 500MB or 5GB")
    return round(float(match[1]) * 1000 ** _POWERS[match[2].upper()])
