"""The command-line application, and the only place that prints errors and sets the exit status."""

import errno
import io
import os
import platform
import sys
from importlib import import_module
from typing import Annotated, Any, Final

import typer

from groqscope._version import __version__
from groqscope.cli.output import say

COMMANDS: Final = {
    "audit": "audit",
    "tail": "tail",
    "ui": "ui",
    "demo": "demo",
    "simulate": "simulate",
    "push": "push",
    "compact": "compact",
    "stack": "stack",
    "doctor": "doctor",
}
"""Subcommands and their modules, in the order of the help."""


def application() -> typer.Typer:
    """Return the application with all subcommands."""
    app = typer.Typer(
        name="groqscope",
        help="Where the time, the tokens and the money of every Groq request went.",
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        epilog="Begin with `groqscope demo`, which needs no key, then `groqscope audit`.",
    )
    app.callback()(_root)
    for module in COMMANDS.values():
        import_module(f"{__package__}.{module}").register(app)
    return app


def _show_version(value: bool) -> None:
    if value:
        from groqscope.cli.doctor_checks import PACKAGES, versions

        beside = ", ".join(f"{name} {version or 'missing'}" for name, version in versions(PACKAGES).items())
        print(f"groqscope {__version__} (Python {platform.python_version()}, {beside})")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line and exit.

    Exit status: 0 success, 1 a budget is exceeded, 2 an error or unreadable input, 3 a budget is inconclusive,
    130 ended by Ctrl-C.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        # Do not fail on a path or model name that the terminal's encoding cannot represent.
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(run())


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        status = application()(args=given or ["--help"], prog_name="groqscope", standalone_mode=False)
        sys.stdout.flush()
    except _CLICK_EXCEPTION as error:
        error.show()
        return 2
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except (BrokenPipeError, SystemExit) as error:
        if isinstance(error, SystemExit) and type(sys.stdout).__name__ != _PACIFIED:
            raise
        _discard_output()  # the reader (`head`, `less`) closed the pipe, which is no error
        return 0
    except OSError as error:
        if error.errno not in _FULL or error.filename is not None:
            raise
        _discard_output()
        print(f"groqscope: cannot write to standard output: {error.strerror}", file=sys.stderr)
        return 2
    except Exception as error:
        from groqscope.audit import AuditError  # takes 50 ms, which `--help` should not

        if not isinstance(error, AuditError):
            raise
        say(error)
        return error.exit_code
    return status if isinstance(status, int) else 0


def _discard_output() -> None:
    """Discard buffered standard output, so that nothing is raised when Python closes it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""Error numbers of a full disk or a file size limit, when standard output is a file."""

_PACIFIED: Final = "PacifyFlushWrapper"
"""The class with which click replaces standard output when the reader closed the pipe."""

# A wrong option or argument. typer brings its own click or uses the installed one, by version; BadParameter is in both.
_CLICK_EXCEPTION: Final[Any] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
